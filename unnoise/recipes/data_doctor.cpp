#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/data/resize.h"
#include "unnoise/io/image_convert.h"
#include "unnoise/recipes/data_jobs.h"
#include "unnoise/recipes/labelled_grid.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/output_file.h"
#include "unnoise/recipes/picture_scan.h"

namespace unnoise {
namespace {

constexpr size_t kNamed = 10;         // in a list of the report
constexpr size_t kPairsOnSheet = 60;  // the most alike first
constexpr size_t kPairsARow = 3;
constexpr int64_t kSheetSide = 64;  // pixels
constexpr double kLongSides = 3;    // a longer side this many times the shorter loses most of the picture in a crop
constexpr double kImbalance = 10;   // largest to smallest class

/// Two pictures that are the same, or nearly.
struct Pair {
  size_t a = 0, b = 0;  // numbers in the scan
  bool exact = false;
  double difference = 0;
};

class Examination {
 public:
  Examination(const DataDoctorOptions& options, std::vector<SplitDataset> splits)
      : options_(options), splits_(std::move(splits)) {
    for (size_t s = 0; s < splits_.size(); ++s)
      for (int64_t i = 0; i < splits_[s].data->size(); ++i) refs_.push_back({s, i});
  }

  void run(const Observer& observer, const std::stop_token& stop) {
    facts_ = scan_pictures(splits_, refs_, ScanDepth::with_hashes, observer, stop);
    if (stop.stop_requested()) return;
    find_exact();
    find_near();
    std::stable_sort(pairs_.begin(), pairs_.end(), [](const Pair& x, const Pair& y) {
      return std::pair(!x.exact, x.difference) < std::pair(!y.exact, y.difference);
    });
    std::set<size_t> copies;
    for (const Pair& pair : pairs_)
      if (pair.exact) copies.insert(pair.b);
    count("broken", where([](const PictureFacts& f) { return !f.problem.empty(); }));
    count("tiny",
          where([&](const PictureFacts& f) { return f.width > 0 && std::min(f.width, f.height) < options_.min_size; }));
    count("long", where([](const PictureFacts& f) {
            return f.width > 0 && static_cast<double>(std::max(f.width, f.height)) >
                                      kLongSides * static_cast<double>(std::min(f.width, f.height));
          }));
    count("see_through", where([](const PictureFacts& f) { return f.see_through; }));
    count("odd_mode", where([](const PictureFacts& f) { return f.mode == "I;16" || f.mode == "CMYK"; }));
    count("duplicates", {copies.begin(), copies.end()});
  }

  std::string text() const;
  Json json() const;
  void write_sheet(const std::string& file, const Observer& observer) const;

 private:
  using Numbers = std::vector<size_t>;

  template <class Test>
  Numbers where(Test test) const {
    Numbers found;
    for (size_t k = 0; k < facts_.size(); ++k)
      if (facts_[k].looked_at && test(facts_[k])) found.push_back(k);
    return found;
  }
  void count(const std::string& what, Numbers found) { found_[what] = std::move(found); }

  std::string name(size_t k) const {
    const auto& [split, index] = refs_[k];
    const std::string own = splits_[split].data->name(index);
    return splits_.size() > 1 && own.find(splits_[split].split) == std::string::npos ? splits_[split].split + ": " + own
                                                                                     : own;
  }
  std::string names(const Numbers& numbers) const {
    std::vector<std::string> list;
    for (size_t n = 0; n < std::min(numbers.size(), kNamed); ++n)
      list.push_back(fmt::format("    {}", name(numbers[n])));
    if (numbers.size() > kNamed) list.push_back(fmt::format("    and {} more", numbers.size() - kNamed));
    return fmt::format("{}\n", fmt::join(list, "\n"));
  }
  std::string content(size_t k) const {
    const Dataset& data = *splits_[refs_[k].split].data;
    if (auto file = data.file(refs_[k].index)) return std::move(file->bytes);
    const auto pixels = data.read(refs_[k].index).pixels;
    return {pixels.begin(), pixels.end()};
  }

  /// Equal hashes are compared byte for byte. The first of a group stands for it.
  void find_exact() {
    std::map<std::tuple<size_t, int64_t>, Numbers> groups;
    for (size_t k = 0; k < facts_.size(); ++k)
      if (facts_[k].problem.empty()) groups[{facts_[k].content, facts_[k].bytes}].push_back(k);
    for (const auto& [key, members] : groups) {
      if (members.size() < 2) continue;
      const std::string first = content(members[0]);
      for (size_t n = 1; n < members.size(); ++n)
        if (content(members[n]) == first) pairs_.push_back({members[0], members[n], true, 0});
    }
  }

  void find_near() {
    std::set<size_t> copies;
    for (const Pair& pair : pairs_) copies.insert(pair.b);
    Numbers numbers;  // one of each group of copies
    std::vector<uint64_t> looks;
    for (size_t k = 0; k < facts_.size(); ++k) {
      if (!facts_[k].problem.empty() || copies.contains(k)) continue;
      numbers.push_back(k);
      looks.push_back(facts_[k].look);
    }
    for (const auto& [i, j] : near_pairs(looks, static_cast<int>(options_.distance))) {
      const size_t a = numbers[static_cast<size_t>(i)], b = numbers[static_cast<size_t>(j)];
      const double d = difference(facts_[a].thumbnail, facts_[b].thumbnail);
      if (d <= options_.difference) pairs_.push_back({a, b, false, d});
    }
  }

  int64_t between_splits(bool exact) const {
    return std::count_if(pairs_.begin(), pairs_.end(),
                         [&](const Pair& p) { return p.exact == exact && refs_[p.a].split != refs_[p.b].split; });
  }
  std::string class_lines() const;

  const DataDoctorOptions& options_;
  std::vector<SplitDataset> splits_;
  std::vector<PictureRef> refs_;
  std::vector<PictureFacts> facts_;
  std::vector<Pair> pairs_;
  std::map<std::string, Numbers> found_;
};

std::string Examination::class_lines() const {
  std::map<int64_t, int64_t> sizes;
  const Dataset& data = *splits_[0].data;
  for (int64_t i = 0; i < data.size(); ++i)
    if (const auto label = data.label(i)) ++sizes[*label];
  if (sizes.size() < 2) return "";
  const auto by_count = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto [fewest, most] = std::minmax_element(sizes.begin(), sizes.end(), by_count);
  if (static_cast<double>(most->second) < kImbalance * static_cast<double>(fewest->second)) return "";
  const auto labels = data.label_names();
  const auto label_name = [&](int64_t label) {
    return label < static_cast<int64_t>(labels.size()) ? labels[static_cast<size_t>(label)] : std::to_string(label);
  };
  return fmt::format(
      "classes         \"{}\" has {} pictures, \"{}\" only {}\n    What is rare is learned badly: add pictures, "
      "or leave the class out.\n",
      label_name(most->first), most->second, label_name(fewest->first), fewest->second);
}

std::string Examination::text() const {
  std::string report;
  const auto section = [&](const std::string& what, std::string_view title, std::string_view advice) {
    const auto& numbers = found_.at(what);
    if (numbers.empty()) return;
    report += fmt::format("{:<16}{}\n{}    {}\n", title, human_count(static_cast<int64_t>(numbers.size())),
                          names(numbers), advice);
  };
  section("broken", "broken", "Training skips them. Get them again or remove them.");
  if (!found_.at("broken").empty()) report += "    the first: " + facts_[found_.at("broken")[0]].problem + "\n";
  section("duplicates", "exact copies", "Each weighs on the training as often as it is there. Remove all but one.");
  const auto near = std::count_if(pairs_.begin(), pairs_.end(), [](const Pair& p) { return !p.exact; });
  if (near > 0) {
    report += fmt::format("{:<16}{} pairs\n", "near duplicates", human_count(near));
    size_t told = 0;
    for (const Pair& pair : pairs_) {
      if (pair.exact) continue;
      if (told++ == kNamed) {
        report += fmt::format("    and {} more\n", static_cast<size_t>(near) - kNamed);
        break;
      }
      report += fmt::format("    {} ~ {} (difference {:.3f})\n", name(pair.a), name(pair.b), pair.difference);
    }
    report += fmt::format("    Look at them{}: resized, recompressed or slightly changed copies are better removed.\n",
                          options_.duplicates ? " in " + *options_.duplicates : " with --duplicates pairs.png");
  }
  if (const auto exact = between_splits(true), alike = between_splits(false); exact + alike > 0)
    report += fmt::format(
        "{:<16}{} exact and {} near duplicates stand in two splits: a measurement on the test pictures is "
        "too good\n",
        "leaks", exact, alike);
  section(
      "tiny", "tiny",
      fmt::format("Their shorter side is below {} pixels (--min-size): they would be enlarged.", options_.min_size));
  section("long", "long and thin", "A square cut from them shows less than a third of the picture.");
  section("see_through", "transparent",
          "Training drops the alpha: what is behind it shows, often black. Lay them on white first.");
  section("odd_mode", "odd modes",
          "16-bit grey needs --preserve-input-precision; CMYK is converted without a colour profile.");
  report += class_lines();
  int64_t total = static_cast<int64_t>(refs_.size());
  if (report.empty()) return fmt::format("{} pictures, nothing to complain about\n", human_count(total));
  return fmt::format("{} pictures\n\n{}", human_count(total), report);
}

Json Examination::json() const {
  Json json{{"pictures", refs_.size()}, {"near_duplicates", Json::array()}, {"exact_duplicates", Json::array()}};
  for (const auto& [what, numbers] : found_) {
    if (what == "duplicates") continue;
    json[what] = Json::array();
    for (const size_t k : numbers) json[what].push_back(name(k));
  }
  for (const Pair& pair : pairs_) {
    Json entry{{"a", name(pair.a)}, {"b", name(pair.b)}};
    if (!pair.exact) entry["difference"] = pair.difference;
    json[pair.exact ? "exact_duplicates" : "near_duplicates"].push_back(std::move(entry));
  }
  json["between_splits"] = between_splits(true) + between_splits(false);
  return json;
}

void Examination::write_sheet(const std::string& file, const Observer& observer) const {
  if (pairs_.empty()) return observer.info("no duplicates: " + file + " is not written");
  const auto view = [&](size_t k) {
    return resize_bilinear(convert(splits_[refs_[k].split].data->read(refs_[k].index), ImageMode::rgb), kSheetSide,
                           kSheetSide);
  };
  const bool labelled = fs::path(file).extension() == ".svg";
  const size_t a_row = labelled ? 1 : kPairsARow;
  LabelledGrid grid{fmt::format("{}: {} pairs that look alike", options_.data, pairs_.size()), {}, 1, {}};
  const Image gap = [] {
    Image white = blank_image(kSheetSide, kSheetSide, 3);
    std::fill(white.pixels.begin(), white.pixels.end(), uint8_t{255});
    return white;
  }();
  const size_t shown = std::min(pairs_.size(), kPairsOnSheet);
  for (size_t at = 0; at < shown; at += a_row) {
    LabelledRow row;
    for (size_t n = at; n < at + a_row; ++n) {
      row.pictures.push_back(n < shown ? view(pairs_[n].a) : gap);
      row.pictures.push_back(n < shown ? view(pairs_[n].b) : gap);
      if (n + 1 < at + a_row) row.pictures.push_back(gap);
    }
    if (labelled)
      row.label =
          fs::path(name(pairs_[at].a)).filename().string() + " ~ " + fs::path(name(pairs_[at].b)).filename().string();
    grid.rows.push_back(std::move(row));
  }
  write_grid(file, grid, {{"Title", grid.title}});
}

}  // namespace

DataReport check_data(const DataDoctorOptions& options, const Observer& observer, std::stop_token stop) {
  if (options.distance < 0 || options.distance > 7)
    throw usage_error(fmt::format("--distance: expected 0 to 7, found {}", options.distance));
  if (!(options.difference >= 0 && options.difference <= 1))
    throw usage_error(fmt::format("--difference: expected 0 to 1, found {}", options.difference));
  if (options.duplicates) prepare_output_file(*options.duplicates);
  Examination examination(options, open_source(options, observer));
  examination.run(observer, stop);
  if (stop.stop_requested()) return {JobStatus::interrupted, ""};
  if (options.duplicates) examination.write_sheet(*options.duplicates, observer);
  return {JobStatus::done, options.json ? dump_json(examination.json()) : examination.text()};
}

}  // namespace unnoise
