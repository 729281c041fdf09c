#include "unnoise/training/grad_scaler.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <limits>
#include <tuple>

#include "unnoise/core/fields.h"

namespace unnoise {
namespace {

struct SavedScale {
  double scale = 0;
  int64_t growth_tracker = 0;

  static constexpr auto fields() {
    return std::tuple{field("scale", &SavedScale::scale, "what the loss is multiplied by"),
                      field("growth_tracker", &SavedScale::growth_tracker, "updates since it last changed")};
  }
};

}  // namespace

bool GradScaler::unscale(const std::vector<Tensor>& parameters) const {
  const c10::NoGradGuard no_grad;
  bool finite = true;
  for (const Tensor& parameter : parameters) {
    const Tensor& gradient = parameter.grad();
    if (!gradient.defined()) continue;
    gradient.mul_(1.0 / scale_);
    finite = finite && gradient.isfinite().all().item<bool>();
  }
  return finite;
}

void GradScaler::update(bool finite) {
  if (!finite) {
    scale_ *= options_.backoff_factor;
    growth_tracker_ = 0;
  } else if (++growth_tracker_ == options_.growth_interval) {
    const double grown = scale_ * options_.growth_factor;
    if (grown <= std::numeric_limits<float>::max()) scale_ = grown;  // torch keeps it in float32
    growth_tracker_ = 0;
  }
}

Json GradScaler::state() const { return to_json(SavedScale{scale_, growth_tracker_}); }

void GradScaler::load_state(const Json& state, std::string_view where) {
  SavedScale saved{scale_, growth_tracker_};
  assign_json(saved, state, where);
  scale_ = saved.scale;
  growth_tracker_ = saved.growth_tracker;
}

}  // namespace unnoise
