#include "unnoise/schedulers/brownian_tree.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

// SeedSequence: O'Neill 2015, "Developing a seed_seq Alternative", as NumPy has it
constexpr size_t kPoolSize = 24;
constexpr uint32_t kInitA = 0x43b0d7e5, kMultA = 0x931e8875, kInitB = 0x8b51f9dd, kMultB = 0x58f38ded;
constexpr uint32_t kMixL = 0xca01f9dd, kMixR = 0x4973f715;

uint32_t hashed(uint32_t value, uint32_t& hash, uint32_t multiplier) {
  value ^= hash;
  hash *= multiplier;
  value *= hash;
  return value ^ (value >> 16);
}

uint32_t mixed(uint32_t a, uint32_t b) {
  const uint32_t result = kMixL * a - kMixR * b;
  return result ^ (result >> 16);
}

/// The number's 32-bit words, the lowest first, at least one.
void append_words(uint64_t number, std::vector<uint32_t>& out) {
  do out.push_back(static_cast<uint32_t>(number));
  while ((number >>= 32) != 0);
}

std::vector<uint32_t> generate(const std::vector<uint32_t>& pool, size_t n) {
  std::vector<uint32_t> out;
  uint32_t hash = kInitB;
  for (size_t i = 0; i < n; ++i) out.push_back(hashed(pool[i % pool.size()], hash, kMultB));
  return out;
}

/// To six decimals as Python's round: by the decimal digits, not by a multiplication.
double rounded(double t) {
  const auto digits = fmt::format("{:.6f}", t);
  double out = t;
  std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return out;
}

}  // namespace

SeedSequence::SeedSequence(uint64_t entropy) : hash_(kInitA) {
  std::vector<uint32_t> words;
  append_words(entropy, words);
  words.resize(kPoolSize);
  for (const uint32_t word : words) pool_.push_back(hashed(word, hash_, kMultA));
  for (size_t from = 0; from < kPoolSize; ++from)
    for (size_t to = 0; to < kPoolSize; ++to)
      if (from != to) pool_[to] = mixed(pool_[to], hashed(pool_[from], hash_, kMultA));
}

std::vector<uint32_t> SeedSequence::words(size_t n) const { return generate(pool_, n); }

std::vector<uint32_t> SeedSequence::child_words(const std::vector<uint64_t>& spawn_key, size_t n) const {
  std::vector<uint32_t> words, pool = pool_;
  uint32_t hash = hash_;
  for (const uint64_t number : spawn_key) append_words(number, words);
  for (const uint32_t word : words)
    for (uint32_t& one : pool) one = mixed(one, hashed(word, hash, kMultA));
  return generate(pool, n);
}

BrownianTree::BrownianTree(double t0, double t1, Shape shape, uint64_t seed)
    : seeds_(seed), shape_(std::move(shape)), root_{rounded(t0), rounded(t1), 0, 0} {
  root_w_ = normal(seeds_.words(1)[0]) * std::sqrt(t1 - t0);
}

Tensor BrownianTree::normal(uint32_t seed) const { return Rng(seed).normal(shape_); }

Tensor BrownianTree::increment(double a, double b) {
  a = rounded(std::clamp(a, root_.start, root_.end));
  b = rounded(std::clamp(b, root_.start, root_.end));
  before_ = std::exchange(now_, {});
  std::vector<Tensor> parts;
  if (a < b) collect(root_, root_w_, a, b, parts);
  if (parts.empty()) return at::zeros(shape_);
  Tensor sum = parts.front();
  for (size_t i = 1; i < parts.size(); ++i) sum = sum + parts[i];
  return sum;
}

void BrownianTree::collect(const Node& node, const Tensor& w, double a, double b, std::vector<Tensor>& parts) {
  if (a == node.start && b == node.end) {
    parts.push_back(w);
    return;
  }
  const double middle = rounded(0.5 * (node.end + node.start));
  if (middle <= node.start || middle >= node.end) return;  // huge levels: no finer than doubles are
  const auto [left, right] = halves(node, middle, w);
  if (a < middle) collect({node.start, middle, 2 * node.key, node.depth + 1}, left, a, std::min(b, middle), parts);
  if (b > middle) collect({middle, node.end, 2 * node.key + 1, node.depth + 1}, right, std::max(a, middle), b, parts);
}

// The Brownian bridge: W(middle) given both ends is normal, with mean and variance by the lengths of the halves.
BrownianTree::Halves BrownianTree::halves(const Node& node, double middle, const Tensor& w) {
  const std::pair place{node.depth, node.key};
  if (const auto found = now_.find(place); found != now_.end()) return found->second;
  if (const auto found = before_.find(place); found != before_.end()) return now_[place] = found->second;
  const double length_inverse = 1 / (node.end - node.start), left = middle - node.start, right = node.end - middle;
  const Tensor noise = normal(seeds_.child_words({node.key, node.depth}, 1)[0]);
  const Tensor left_w = at::add(left * w * length_inverse, noise, std::sqrt(left * right * length_inverse));
  return now_[place] = {left_w, w - left_w};
}

BrownianNoise::BrownianNoise(const Tensor& x, float sigma_min, float sigma_max, std::optional<int64_t> seed, Rng& rng)
    : options_(x.options()) {
  constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
  Shape shape = x.sizes().vec();
  if (seed || rng.streams() == 1) {
    const int64_t drawn = seed ? *seed : rng.integers(kHighest, 1).item<int64_t>();
    trees_.emplace_back(sigma_min, sigma_max, std::move(shape), static_cast<uint64_t>(drawn));
    return;
  }
  const Tensor drawn = rng.integers(kHighest, std::exchange(shape[0], 1));
  for (int64_t i = 0; i < drawn.size(0); ++i)
    trees_.emplace_back(sigma_min, sigma_max, shape, static_cast<uint64_t>(drawn[i].item<int64_t>()));
}

Tensor BrownianNoise::operator()(float sigma, float sigma_next) {
  std::vector<Tensor> parts;
  for (BrownianTree& tree : trees_)
    parts.push_back(tree.increment(std::min(sigma, sigma_next), std::max(sigma, sigma_next)));
  const Tensor w = parts.size() == 1 ? parts[0] : at::cat(parts);
  // the path runs from the lowest level up
  const float length = sigma_next - sigma;
  return (length == 0 ? w : w / std::copysign(std::sqrt(std::abs(length)), length)).to(options_);
}

void check_noise_seed(std::string_view class_name, std::optional<int64_t> seed) {
  if (seed && *seed < 0)
    throw usage_error(fmt::format("{}: noise_sampler_seed: expected 0 or more, found {}", class_name, *seed));
}

}  // namespace unnoise
