#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/recipes/data_jobs.h"
#include "unnoise/recipes/data_licence.h"
#include "unnoise/recipes/dataset_splits.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

/// A class's name as a folder's: no slash, not hidden.
std::string folder_name(std::string name) {
  for (char& c : name)
    if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < ' ') c = '-';
  if (name.empty() || name.front() == '.' || name.starts_with("__")) name.insert(0, "class");
  return name;
}

/// Copies one split below `root`; metadata.jsonl keeps the columns. Gives how many were copied before a stop.
int64_t write_split(const fs::path& root, const SplitPart& part, const std::vector<SplitDataset>& source,
                    const Observer& observer, const std::stop_token& stop) {
  std::string rows;
  std::set<std::string> taken;
  int64_t done = 0;
  for (const auto& [split, index] : part.pictures) {
    if (stop.stop_requested()) return done;
    const Dataset& data = *source[split].data;
    const auto names = data.label_names();
    const auto label = data.label(index);
    fs::path place;
    if (label)
      place = folder_name(*label < static_cast<int64_t>(names.size()) ? names[static_cast<size_t>(*label)]
                                                                      : std::to_string(*label));
    const PictureFile file = picture_file(data, index);
    std::string name = file.name.empty() ? fmt::format("{:06}", index) : file.name;
    if (!is_image_name(name)) name += ".png";
    if (!taken.insert((place / name).string()).second) name = fmt::format("{:06}-{}", index, name);
    taken.insert((place / name).string());
    make_folders(root / place);
    write_part(root / place / name, file.bytes);
    Json columns = data.columns(index);
    if (!columns.empty()) {
      columns["file_name"] = (place / name).generic_string();
      if (label) columns["label"] = place.string();  // with metadata, folders are no classes
      rows += dump_json_line(columns) + "\n";
    }
    if (++done % 64 == 0)
      observer.progress({.stage = "copy " + part.split,
                         .done = done,
                         .total = static_cast<int64_t>(part.pictures.size()),
                         .detail = {}});
  }
  if (!rows.empty()) write_part(root / "metadata.jsonl", rows);
  return done;
}

}  // namespace

DataReport split_data(const DataSplitOptions& options, const Observer& observer, std::stop_token stop) {
  check_new_folder(options.output, options.overwrite);
  const auto source = open_source(options, observer);
  const auto parts = plan_splits(source, options, true);
  std::string text;
  bool stopped = false;
  const auto fill = [&](const fs::path& folder) {
    for (const auto& part : parts) {
      make_folders(folder / part.split);
      const int64_t done = write_split(folder / part.split, part, source, observer, stop);
      stopped = done < static_cast<int64_t>(part.pictures.size());
      if (stopped) throw environment_error("interrupted");  // leaves nothing behind
      text += fmt::format("{:<12}{:>10} pictures\n", part.split, human_count(done));
    }
    pass_on_licence(options.data, folder);
  };
  try {
    write_folder_atomic(options.output, fill);
  } catch (const Error&) {
    if (!stopped) throw;
    return {JobStatus::interrupted, ""};
  }
  return {JobStatus::done, text + options.output + "\n"};
}

}  // namespace unnoise
