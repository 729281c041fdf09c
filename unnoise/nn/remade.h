// Feature maps that are cheap to make again: a layer that needs one on its way back keeps what it is made of, which is
// smaller or kept by others anyway.
#pragma once

#include <cstdint>
#include <utility>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// A feature map [B,C,H,W], and how it was made where that is worth knowing.
struct Remade {
  enum class Way {
    none,     ///< of nothing known
    joined,   ///< its parts side by side, along C: what a UNet reads on its way up
    doubled,  ///< one map of half the height and width, every pixel four times
  };
  Tensor map;
  Way way = Way::none;
  std::vector<Tensor> from;

  Remade(Tensor x) : map(std::move(x)) {}  // NOLINT(google-explicit-constructor): a layer is called with a map
  static Remade joined(const Tensor& a, const Tensor& b);
  static Remade doubled(const Tensor& x);

 private:
  Remade(Tensor x, Way how, std::vector<Tensor> of) : map(std::move(x)), way(how), from(std::move(of)) {}
};

/// How an autograd function keeps its argument x. No Tensor among its arguments: gradients go to x.
class KeptMap {
 public:
  using Way = Remade::Way;

  explicit KeptMap(const Remade& x) : way_(x.way), from_(x.from) {}
  /// For AutogradContext::saved_data.
  int64_t way() const { return static_cast<int64_t>(way_); }
  static bool is_remade(int64_t way) { return static_cast<Way>(way) != Way::none; }
  /// Appends what is to be saved; x as the function read it.
  void save(const Tensor& x, std::vector<Tensor>& saved) const;
  /// x again, channels-last and of that type, from saved[first, ...).
  static Tensor load(int64_t way, const std::vector<Tensor>& saved, size_t first, at::ScalarType type);
  /// Likewise, in parts along C where it is joined.
  static std::vector<Tensor> load_parts(int64_t way, const std::vector<Tensor>& saved, size_t first,
                                        at::ScalarType type);

 private:
  Way way_;
  std::vector<Tensor> from_;
};

}  // namespace unnoise
