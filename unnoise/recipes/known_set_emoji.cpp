// Sets of emoji from their packages: which pictures, laid on white, with names as captions and categories as classes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "unnoise/data/resize.h"
#include "unnoise/io/image_convert.h"
#include "unnoise/io/image_read.h"
#include "unnoise/io/image_write.h"
#include "unnoise/recipes/data_source.h"
#include "unnoise/recipes/known_set_unpack.h"

namespace unnoise {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
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
  std::string category;     // "Smileys & Emotion"
  std::string subcategory;  // "face-smiling"
};

/// "Smileys & Emotion" and "smileys-emotion" are one category: packages write it either way.
std::string slug(std::string_view name) {
  std::string out;
  for (const char c : lower(std::string(name))) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '*';
    if (kept)
      out += c;
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  return out;
}

/// "face-*" is face-smiling, face-hat ...
bool is_meant(const std::string& wanted, const std::string& name) {
  return wanted.ends_with('*') ? name.starts_with(wanted.substr(0, wanted.size() - 1)) : name == wanted;
}

/// Those of the categories that options or set name; all of a set that names none. Whatever is named must be there.
std::vector<Emoji> chosen(const UnpackJob& job, std::vector<Emoji> emoji) {
  const auto& names = job.options.categories.empty() ? job.set.categories : job.options.categories;
  if (names.empty()) return emoji;
  std::vector<bool> keeps(emoji.size());
  for (const auto& name : names) {
    bool found = false;
    for (size_t i = 0; i < emoji.size(); ++i) {
      if (!is_meant(slug(name), slug(emoji[i].category)) && !is_meant(slug(name), slug(emoji[i].subcategory))) continue;
      keeps[i] = found = true;
    }
    if (found) continue;
    std::set<std::string> there;
    for (const auto& one : emoji) there.insert({slug(one.category), slug(one.subcategory)});
    const std::vector<std::string> list(there.begin(), there.end());
    const std::string near = nearest_name(slug(name), list);
    throw usage_error(
        fmt::format("--categories: {} has no emoji of \"{}\", but of {}", job.set.package, name, fmt::join(list, ", ")),
        near.empty() ? "" : fmt::format("Did you mean \"{}\"?", near));
  }
  std::vector<Emoji> kept;
  for (size_t i = 0; i < emoji.size(); ++i)
    if (keeps[i]) kept.push_back(std::move(emoji[i]));
  return kept;
}

bool with_skin_tones(const UnpackJob& job) { return job.options.skin_tones || job.set.skin_tones; }

void write_emoji(const UnpackJob& job, const FileTree& package, std::vector<Emoji> all) {
  const std::vector<Emoji> emoji = chosen(job, std::move(all));
  const bool finely = !job.options.categories.empty() || !job.set.categories.empty();
  std::string rows;
  int64_t done = 0;
  make_folders(job.into / "train");
  for (const auto& [file, caption, category, subcategory] : emoji) {
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
    rows +=
        dump_json_line({{"file_name", name.string()}, {"text", caption}, {"label", finely ? subcategory : category}}) +
        "\n";
    job.observer.progress(
        {.stage = "unpack", .done = ++done, .total = static_cast<int64_t>(emoji.size()), .detail = {}});
  }
  write_part(job.into / "train" / "metadata.jsonl", rows);
}

/// Of a key of emoji.json's skin_variations, "1F3FB" or, of two people, "1F3FB-1F3FF": ", light skin tone".
std::string tone_words(std::string_view key) {
  static const std::map<std::string_view, const char*> kTones = {
      {"1F3FB", "light"}, {"1F3FC", "medium-light"}, {"1F3FD", "medium"}, {"1F3FE", "medium-dark"}, {"1F3FF", "dark"}};
  std::string words;
  for (std::string_view rest = key; !rest.empty(); rest.remove_prefix(std::min(rest.size(), size_t{6}))) {
    const auto tone = kTones.find(rest.substr(0, 5));
    words += fmt::format(", {} skin tone", tone == kTones.end() ? "other" : tone->second);
  }
  return words;
}

}  // namespace

void unpack_emoji_datasource(const UnpackJob& job) {
  const auto package = archive_tree(job.packages[0], job.into, job.observer);
  const std::string maker(job.set.package.substr(job.set.package.rfind('-') + 1));
  std::vector<Emoji> emoji;
  const auto add = [&](const Json& picture, const Json& entry, const std::string& tones) {
    if (!picture.value("has_img_" + maker, false)) return;
    const std::string file = fmt::format("package/img/{}/64/{}", maker, picture.at("image").get<std::string>());
    if (!std::binary_search(package->files().begin(), package->files().end(), file)) return;
    emoji.push_back({file, lower(entry.at("name")) + tones, entry.at("category"), entry.at("subcategory")});
  };
  for (const Json& entry : json_in(*package, "package/emoji.json")) {
    if (entry.at("category") == "Component") continue;  // skin tones and hair alone
    add(entry, entry, "");
    if (!with_skin_tones(job) || !entry.contains("skin_variations")) continue;
    for (const auto& [tones, picture] : entry.at("skin_variations").items()) add(picture, entry, tone_words(tones));
  }
  if (emoji.empty()) throw job.other_contents("emoji.json and pictures of 64 pixels");
  write_emoji(job, *package, std::move(emoji));
}

void unpack_fluent_emoji(const UnpackJob& job) {
  const auto package = archive_tree(job.packages[0], job.into, job.observer);
  const auto names = archive_tree(job.packages.at(1), job.into, job.observer);
  const Json words = json_in(*names, "package/meta/groups.json");
  const auto bare = [](std::string code) {  // without the "as a picture" selector, which sets place differently
    for (size_t at; (at = code.find("-fe0f")) != std::string::npos;) code.erase(at, 5);
    return code;
  };
  std::map<std::string, std::string> files;
  for (const auto& file : package->files())
    if (is_image_name(file)) files.emplace(bare(fs::path(file).stem().string()), file);
  std::vector<Emoji> emoji;
  const auto add = [&](const Json& entry) {
    const auto file = files.find(bare(lower(entry.at("hexcode"))));
    if (file == files.end() || !entry.contains("group")) return;
    const auto word = [&](const char* list, const char* number) -> std::string {
      return words.at(list).at(std::to_string(entry.at(number).get<int>()));
    };
    emoji.push_back({file->second, lower(entry.at("label")), word("groups", "group"), word("subgroups", "subgroup")});
  };
  for (const Json& entry : json_in(*names, "package/en/data.json")) {
    add(entry);
    if (!with_skin_tones(job) || !entry.contains("skins")) continue;
    for (const Json& skin : entry.at("skins")) add(skin);
  }
  if (emoji.empty()) throw job.other_contents("assets/*.webp");
  write_emoji(job, *package, std::move(emoji));
}

}  // namespace unnoise
