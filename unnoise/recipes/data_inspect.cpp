#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/recipes/data_jobs.h"
#include "unnoise/recipes/evenly_spaced.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/picture_scan.h"

namespace unnoise {
namespace {

using Counts = std::map<std::string, int64_t>;

struct SplitCounts {
  std::string split;
  int64_t pictures = 0;
  int64_t captions = 0;
  std::map<int64_t, int64_t> classes;
  int64_t looked_at = 0;
  int64_t bytes = 0;  // of those looked at
};

struct Sizes {
  std::vector<std::pair<int64_t, int64_t>> all;  // width, height; sorted by their area
  size_t different() const { return std::set(all.begin(), all.end()).size(); }
};

SplitCounts count_split(const SplitDataset& split) {
  SplitCounts counts{split.split, split.data->size()};
  for (int64_t i = 0; i < counts.pictures; ++i) {
    if (const auto label = split.data->label(i)) ++counts.classes[*label];
    if (split.data->text(i)) ++counts.captions;
  }
  return counts;
}

std::string most_first(const Counts& counts) {
  std::vector<std::pair<int64_t, std::string>> sorted;
  for (const auto& [name, count] : counts) sorted.emplace_back(-count, name);
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> parts;
  for (const auto& [count, name] : sorted) parts.push_back(fmt::format("{} {}", name, human_count(-count)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string class_name(const std::vector<std::string>& names, int64_t label) {
  return label < static_cast<int64_t>(names.size()) ? names[static_cast<size_t>(label)] : std::to_string(label);
}

std::string size_line(const Sizes& sizes) {
  const auto text = [](const std::pair<int64_t, int64_t>& s) { return fmt::format("{}x{}", s.first, s.second); };
  if (sizes.different() == 1) return "all " + text(sizes.all.front());
  return fmt::format("{} to {}, median {}; {} different", text(sizes.all.front()), text(sizes.all.back()),
                     text(sizes.all[sizes.all.size() / 2]), human_count(static_cast<int64_t>(sizes.different())));
}

/// All that was found, to be told in either form.
struct Findings {
  std::vector<SplitCounts> splits;
  std::vector<std::string> class_names;
  Sizes sizes;
  Counts modes, formats;
  int64_t looked_at = 0, broken = 0, bytes = 0, pictures = 0;
  std::set<std::string> columns;
  std::string caption;  // the first one
};

void add_facts(Findings& found, const std::vector<PictureRef>& which, const std::vector<PictureFacts>& facts) {
  for (size_t k = 0; k < facts.size(); ++k) {
    if (!facts[k].looked_at) continue;
    ++found.looked_at;
    ++found.splits[which[k].split].looked_at;
    if (!facts[k].problem.empty()) {
      ++found.broken;
      continue;
    }
    found.sizes.all.emplace_back(facts[k].width, facts[k].height);
    ++found.modes[facts[k].mode];
    ++found.formats[facts[k].format.empty() ? "bare pixels" : facts[k].format];
    found.splits[which[k].split].bytes += facts[k].bytes;
  }
  std::sort(found.sizes.all.begin(), found.sizes.all.end(),
            [](auto& a, auto& b) { return std::pair(a.first * a.second, a) < std::pair(b.first * b.second, b); });
  for (const auto& split : found.splits) {
    found.pictures += split.pictures;
    if (split.looked_at > 0)
      found.bytes += static_cast<int64_t>(static_cast<double>(split.bytes) / static_cast<double>(split.looked_at) *
                                          static_cast<double>(split.pictures));
  }
}

std::string as_text(const Findings& found) {
  std::string text = fmt::format("{:<12}{:>10}{:>9}{:>10}\n", "split", "pictures", "classes", "captions");
  for (const auto& split : found.splits)
    text += fmt::format("{:<12}{:>10}{:>9}{:>10}\n", split.split, human_count(split.pictures),
                        split.classes.empty() ? "-" : std::to_string(split.classes.size()),
                        split.captions == 0 ? "-" : human_count(split.captions));
  const bool all = found.looked_at == found.pictures;
  text += fmt::format("\nbytes       {}{}\n", all ? "" : "about ", human_bytes(static_cast<double>(found.bytes)));
  if (!found.sizes.all.empty()) {
    text += fmt::format("sizes       {}\n", size_line(found.sizes));
    text += fmt::format("modes       {}\n", most_first(found.modes));
    text += fmt::format("formats     {}\n", most_first(found.formats));
  }
  if (found.broken > 0)
    text +=
        fmt::format("broken      {} cannot be decoded; `unnoise data doctor` names them\n", human_count(found.broken));
  if (!all)
    text += fmt::format("            (of {} pictures that were decoded; --num-images 0 decodes all)\n",
                        human_count(found.looked_at));
  if (!found.columns.empty()) text += fmt::format("columns     {}\n", fmt::join(found.columns, ", "));
  if (!found.caption.empty()) text += fmt::format("caption     \"{}\" (the first)\n", found.caption.substr(0, 200));
  if (found.splits[0].classes.empty()) return text;
  std::map<int64_t, std::vector<int64_t>> classes;  // label -> count in each split
  for (size_t s = 0; s < found.splits.size(); ++s)
    for (const auto& [label, count] : found.splits[s].classes) {
      classes[label].resize(found.splits.size());
      classes[label][s] = count;
    }
  constexpr size_t kShown = 40;
  text += "\nclass                   ";
  for (const auto& split : found.splits) text += fmt::format("{:>12}", split.split);
  text += "\n";
  size_t shown = 0;
  for (const auto& [label, counts] : classes) {
    if (++shown > kShown) {
      text += fmt::format("and {} more\n", classes.size() - kShown);
      break;
    }
    text += fmt::format("{:>4} {:<19.19}", label, class_name(found.class_names, label));
    for (const int64_t count : counts) text += fmt::format("{:>12}", human_count(count));
    text += "\n";
  }
  return text;
}

Json as_json(const Findings& found) {
  Json json{{"pictures", found.pictures},
            {"looked_at", found.looked_at},
            {"broken", found.broken},
            {"bytes", found.bytes},
            {"modes", found.modes},
            {"formats", found.formats},
            {"class_names", found.class_names},
            {"columns", found.columns}};
  json["splits"] = Json::object();
  for (const auto& split : found.splits) {
    Json classes = Json::object();
    for (const auto& [label, count] : split.classes) classes[class_name(found.class_names, label)] = count;
    json["splits"][split.split] = {{"pictures", split.pictures}, {"captions", split.captions}, {"classes", classes}};
  }
  Counts sizes;
  for (const auto& [width, height] : found.sizes.all) ++sizes[fmt::format("{}x{}", width, height)];
  json["sizes"] = sizes;
  return json;
}

}  // namespace

DataReport inspect_data(const DataInspectOptions& options, const Observer& observer, std::stop_token stop) {
  if (options.num_images < 0)
    throw usage_error(fmt::format("--num-images: expected at least 0, found {}", options.num_images));
  const auto splits = open_source(options, observer);
  Findings found;
  std::vector<PictureRef> which;
  for (size_t s = 0; s < splits.size(); ++s) {
    const Dataset& data = *splits[s].data;
    found.splits.push_back(count_split(splits[s]));
    for (const int64_t i : evenly_spaced(data.size(), options.num_images == 0 ? data.size() : options.num_images))
      which.push_back({s, i});
    if (found.class_names.empty()) found.class_names = data.label_names();
    const Json columns = data.columns(0);
    for (const auto& [name, value] : columns.items()) found.columns.insert(name);
    if (found.caption.empty()) found.caption = data.text(0).value_or("");
  }
  add_facts(found, which, scan_pictures(splits, which, ScanDepth::plain, observer, stop));
  return {stop.stop_requested() ? JobStatus::interrupted : JobStatus::done,
          options.json ? dump_json(as_json(found)) : as_text(found)};
}

}  // namespace unnoise
