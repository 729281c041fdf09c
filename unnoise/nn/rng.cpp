#include "unnoise/nn/rng.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include <mutex>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

at::Generator make_generator(uint64_t seed) {
  auto generator = at::detail::createCPUGenerator();
  generator.set_current_seed(seed);
  return generator;
}

/// One draw of `shape`, or one [1,...] draw from each generator.
template <class Draw>
Tensor draw_each(std::vector<at::Generator>& generators, const Shape& shape, Draw draw) {
  if (generators.size() == 1) return draw(shape, generators[0]);
  if (shape.empty() || shape[0] != static_cast<int64_t>(generators.size()))
    throw usage_error(fmt::format("{} per-image seeds for a batch of {}: give one seed an image", generators.size(),
                                  shape.empty() ? 0 : shape[0]));
  Shape one = shape;
  one[0] = 1;
  std::vector<Tensor> parts;
  for (auto& generator : generators) parts.push_back(draw(one, generator));
  return at::cat(parts);
}

}  // namespace

Rng::Rng(uint64_t seed) : generators_{make_generator(seed)} {}

Rng Rng::per_image(const std::vector<uint64_t>& seeds) {
  if (seeds.empty()) throw usage_error("per-image seeds: the list is empty");
  Rng rng;
  rng.generators_.clear();
  for (const uint64_t seed : seeds) rng.generators_.push_back(make_generator(seed));
  return rng;
}

Tensor Rng::normal(const Shape& shape) {
  return draw_each(generators_, shape, [](const Shape& s, at::Generator& g) { return at::randn(s, g, at::kFloat); });
}

Tensor Rng::normal_like(const Tensor& x) { return normal(x.sizes().vec()).to(x.options()); }

Tensor Rng::uniform(const Shape& shape) {
  return draw_each(generators_, shape, [](const Shape& s, at::Generator& g) { return at::rand(s, g, at::kFloat); });
}

Tensor Rng::integers(int64_t high, int64_t n) {
  return draw_each(generators_, {n},
                   [high](const Shape& s, at::Generator& g) { return at::randint(0, high, s, g, at::kLong); });
}

Tensor Rng::permutation(int64_t n) { return at::randperm(n, generator(), at::kLong); }

at::Generator& Rng::generator() {
  if (generators_.size() != 1) throw usage_error("this draw needs one generator, not one an image");
  return generators_[0];
}

Tensor Rng::state() const {
  std::vector<Tensor> states;
  for (auto generator : generators_) {  // a handle
    std::lock_guard lock(generator.mutex());
    states.push_back(generator.get_state());
  }
  return at::stack(states);
}

void Rng::set_state(const Tensor& state) {
  if (state.dim() != 2 || state.size(0) < 1 || state.scalar_type() != at::kByte)
    throw data_error("saved random state: expected [streams, bytes] of uint8");
  generators_.clear();
  for (int64_t i = 0; i < state.size(0); ++i) {
    generators_.push_back(make_generator(0));
    std::lock_guard lock(generators_.back().mutex());
    generators_.back().set_state(state[i].contiguous());
  }
}

}  // namespace unnoise
