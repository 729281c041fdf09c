#include "unnoise/io/gif_palette.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>
#include <unordered_map>

namespace unnoise {
namespace {

constexpr size_t kMaxColours = 256;

/// Colours of the picture that share their upper 6 bits: how many pixels, and their mean.
struct Cluster {
  double count = 0;
  std::array<double, 3> mean{};
};

using Box = std::span<Cluster>;

int coarse(const uint8_t* rgb) { return ((rgb[0] >> 2) << 12) | ((rgb[1] >> 2) << 6) | (rgb[2] >> 2); }
constexpr size_t kCoarseColours = 1 << 18;

std::vector<Cluster> clusters_of(const Image& image) {
  std::vector<Cluster> cells(kCoarseColours);
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    const uint8_t* rgb = &image.pixels[i];
    Cluster& cell = cells[static_cast<size_t>(coarse(rgb))];
    cell.count += 1;
    for (size_t c = 0; c < 3; ++c) cell.mean[c] += rgb[c];
  }
  std::erase_if(cells, [](const Cluster& cell) { return cell.count == 0; });
  for (auto& cell : cells)
    for (double& sum : cell.mean) sum /= cell.count;
  return cells;
}

Cluster summed(Box box) {
  Cluster all;
  for (const auto& cluster : box) {
    all.count += cluster.count;
    for (size_t c = 0; c < 3; ++c) all.mean[c] += cluster.count * cluster.mean[c];
  }
  for (double& sum : all.mean) sum /= std::max(all.count, 1.0);
  return all;
}

/// Squared deviations from the mean along one channel, summed over the pixels of a box.
struct Spread {
  size_t channel = 0;
  double deviation = 0;
};

Spread widest(Box box) {
  const Cluster all = summed(box);
  Spread widest;
  for (size_t c = 0; c < 3; ++c) {
    double deviation = 0;
    for (const auto& cluster : box)
      deviation += cluster.count * (cluster.mean[c] - all.mean[c]) * (cluster.mean[c] - all.mean[c]);
    if (deviation > widest.deviation) widest = {c, deviation};
  }
  return widest;
}

Colour rounded(const std::array<double, 3>& mean) {
  Colour colour;
  for (size_t c = 0; c < 3; ++c) colour[c] = static_cast<uint8_t>(std::clamp(mean[c] + 0.5, 0.0, 255.0));
  return colour;
}

/// Splits the box that deviates most from its mean, at the mean, until there are enough.
std::vector<Colour> split_palette(std::vector<Cluster>& clusters) {
  struct Part {
    Box box;
    Spread spread;
  };
  std::vector<Part> parts = {{clusters, widest(clusters)}};
  while (parts.size() < kMaxColours) {
    auto part = std::ranges::max_element(parts, {}, [](const Part& p) { return p.spread.deviation; });
    if (part->spread.deviation <= 0) break;
    const size_t channel = part->spread.channel;
    const double mean = summed(part->box).mean[channel];
    const auto upper = std::ranges::partition(part->box, [&](const Cluster& k) { return k.mean[channel] < mean; });
    const Box high(upper.begin(), upper.end()), low(part->box.begin(), upper.begin());
    if (low.empty() || high.empty()) {  // equal up to rounding
      part->spread.deviation = 0;
      continue;
    }
    *part = {low, widest(low)};
    parts.push_back({high, widest(high)});
  }
  std::vector<Colour> palette;
  for (const auto& part : parts) palette.push_back(rounded(summed(part.box).mean));
  return palette;
}

template <class Component>
size_t nearest(const std::vector<Colour>& palette, const std::array<Component, 3>& colour) {
  size_t best = 0;
  Component best_distance = std::numeric_limits<Component>::max();
  for (size_t i = 0; i < palette.size(); ++i) {
    Component distance = 0;
    for (size_t c = 0; c < 3; ++c) {
      const Component difference = colour[c] - static_cast<Component>(palette[i][c]);
      distance += difference * difference;
    }
    if (distance < best_distance) {
      best_distance = distance;
      best = i;
    }
  }
  return best;
}

/// Moves each palette colour to the mean of the pixels that it is nearest to.
void refine(std::vector<Colour>& palette, const std::vector<Cluster>& clusters) {
  std::vector<Cluster> members(palette.size());
  for (const auto& cluster : clusters) {
    Cluster& member = members[nearest(palette, cluster.mean)];
    member.count += cluster.count;
    for (size_t c = 0; c < 3; ++c) member.mean[c] += cluster.count * cluster.mean[c];
  }
  for (size_t i = 0; i < palette.size(); ++i) {
    if (members[i].count == 0) continue;
    for (double& sum : members[i].mean) sum /= members[i].count;
    palette[i] = rounded(members[i].mean);
  }
}

/// Nearest palette colours, looked up for 64^3 colours as they come.
class Lookup {
 public:
  explicit Lookup(const std::vector<Colour>& palette) : palette_(palette), known_(kCoarseColours, -1) {}

  uint8_t operator()(const Colour& colour) {
    int16_t& index = known_[static_cast<size_t>(coarse(colour.data()))];
    if (index < 0) {
      std::array<int, 3> centre;
      for (size_t c = 0; c < 3; ++c) centre[c] = (colour[c] & 0xFC) + 2;
      index = static_cast<int16_t>(nearest(palette_, centre));
    }
    return static_cast<uint8_t>(index);
  }

 private:
  const std::vector<Colour>& palette_;
  std::vector<int16_t> known_;
};

/// What a pixel's palette colour got wrong goes to its neighbours: 7/16 ahead, 3/16, 5/16 and 1/16 below. Every other
/// row runs backwards, which avoids drifting patterns.
std::vector<uint8_t> dithered(const Image& image, const std::vector<Colour>& palette) {
  Lookup lookup(palette);
  const int64_t width = image.width;
  std::vector<uint8_t> indices(static_cast<size_t>(width * image.height));
  std::vector<std::array<int, 3>> errors(static_cast<size_t>(width + 2));  // in 1/16; one pixel of margin
  auto below = errors;
  for (int64_t y = 0; y < image.height; ++y) {
    const int64_t step = y % 2 == 0 ? 1 : -1;
    for (int64_t i = 0, x = step > 0 ? 0 : width - 1; i < width; ++i, x += step) {
      const uint8_t* rgb = image.row(y) + 3 * x;
      const auto at = [&](std::vector<std::array<int, 3>>& row, int64_t ahead) -> std::array<int, 3>& {
        return row[static_cast<size_t>(x + 1 + ahead * step)];
      };
      Colour wanted;
      for (size_t c = 0; c < 3; ++c)
        wanted[c] = static_cast<uint8_t>(std::clamp(rgb[c] + at(errors, 0)[c] / 16, 0, 255));
      const uint8_t index = lookup(wanted);
      indices[static_cast<size_t>(y * width + x)] = index;
      for (size_t c = 0; c < 3; ++c) {
        const int wrong = wanted[c] - palette[index][c];
        at(errors, 1)[c] += 7 * wrong;
        at(below, -1)[c] += 3 * wrong;
        at(below, 0)[c] += 5 * wrong;
        at(below, 1)[c] += wrong;
      }
    }
    errors.swap(below);
    std::ranges::fill(below, std::array<int, 3>{});
  }
  return indices;
}

Indexed grey(const Image& image) {
  Indexed out{std::vector<Colour>(kMaxColours), image.pixels};
  for (size_t i = 0; i < kMaxColours; ++i) out.palette[i].fill(static_cast<uint8_t>(i));
  return out;
}

/// The picture in its own colours; an empty palette when there are too many.
Indexed exact(const Image& image) {
  Indexed out;
  std::unordered_map<uint32_t, uint8_t> known;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    const Colour colour = {image.pixels[i], image.pixels[i + 1], image.pixels[i + 2]};
    const uint32_t key = (colour[0] << 16U) | (colour[1] << 8U) | colour[2];
    const auto found = known.find(key);
    if (found == known.end()) {
      if (out.palette.size() == kMaxColours) return {};
      out.indices.push_back(known[key] = static_cast<uint8_t>(out.palette.size()));
      out.palette.push_back(colour);
    } else {
      out.indices.push_back(found->second);
    }
  }
  return out;
}

}  // namespace

Indexed indexed(const Image& image) {
  if (image.channels == 1) return grey(image);
  if (Indexed own = exact(image); !own.palette.empty()) return own;
  auto clusters = clusters_of(image);
  auto palette = split_palette(clusters);
  for (int round = 0; round < 2; ++round) refine(palette, clusters);
  auto indices = dithered(image, palette);
  return {std::move(palette), std::move(indices)};
}

}  // namespace unnoise
