#include "unnoise/pipelines/likelihood.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/scalar_tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/pipelines/eval_mode.h"
#include "unnoise/schedulers/sigma_grids.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {
namespace {

void check_images(const Tensor& images, const UNet2D& unet) {
  const int64_t channels = unet.options().in_channels, multiple = unet.options().size_multiple();
  if (images.dim() == 4 && images.size(1) == channels && images.size(2) % multiple == 0 &&
      images.size(3) % multiple == 0)
    return;
  throw usage_error(fmt::format("pictures: expected [B,{},H,W] with H and W multiples of {}, found [{}]", channels,
                                multiple, fmt::join(images.sizes(), ",")));
}

}  // namespace

PictureLikelihood likelihood(const Unconditional& pipe, const Tensor& images, LikelihoodOptions options, Rng& rng,
                             const Tensor& class_labels) {
  check_images(images, *pipe.unet);
  const SigmaTable table(pipe.scheduler->noise());
  if (options.sigma_min == 0) options.sigma_min = table.sigmas().front();
  if (options.sigma_max == 0) options.sigma_max = table.sigmas().back();
  const Tensor weight = pipe.unet->parameters().front();
  const Denoiser denoise = [&](const Tensor& y, double sigma) {
    const auto alpha = static_cast<float>(1 / std::sqrt(1 + sigma * sigma));
    const Tensor x = y * alpha, t = at::scalar_tensor(static_cast<float>(table.timestep(sigma)), at::kFloat);
    const Tensor output = (*pipe.unet)(x.to(weight.scalar_type()), t, class_labels).to(at::kFloat);
    return x0_from(pipe.scheduler->prediction_type, x, split_output(x, output).prediction,
                   {alpha, static_cast<float>(sigma) * alpha});
  };
  const EvalMode eval(*pipe.unet);
  const Tensor x = dequantized(images.to(at::kCPU, at::kFloat), rng).to(weight.device());
  const Likelihood found = log_likelihood(denoise, x, options, rng);
  return {bits_per_dim(found.log_p, x.numel() / x.size(0)).to(at::kCPU), found.model_calls};
}

}  // namespace unnoise
