#include "unnoise/recipes/held_out_pictures.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <vector>

namespace unnoise {

std::shared_ptr<const Dataset> open_unseen(DatasetOptions set, const Observer& observer) {
  set.split = set.split == "test" ? "train" : "test";
  return find_split(set, observer);
}

HeldOutPictures read_held_out(const std::shared_ptr<const Dataset>& data, LoaderOptions options, int64_t count,
                              const Observer& observer) {
  options.center_crop = true;
  options.random_flip = false;
  Loader loader(data, options, observer);
  std::vector<Tensor> images, labels;
  for (int64_t left = count == 0 ? data->size() : std::min(count, data->size()); left > 0;) {
    const Batch batch = loader.next();
    const int64_t take = std::min(left, batch.images.size(0));
    images.push_back(batch.images.narrow(0, 0, take));
    if (batch.labels.defined()) labels.push_back(batch.labels.narrow(0, 0, take));
    left -= take;
  }
  return {at::cat(images), labels.empty() ? Tensor() : at::cat(labels)};
}

bool ask(const AskedNetwork& asked, const HeldOutPictures& pictures, const AddedNoise& noise, int64_t at_once,
         const std::function<void(const HeldOutAnswer&)>& hear, const std::stop_token& stop) {
  const c10::NoGradGuard no_grad;
  const NoiseProcess& process = asked.process;
  const int64_t n = pictures.x0.size(0);
  for (int64_t first = 0; first < n; first += at_once) {
    if (stop.stop_requested()) return false;
    const auto part = [&](const Tensor& all) {
      return all.defined() ? all.narrow(0, first, std::min(at_once, n - first)).to(asked.device) : all;
    };
    const Tensor x0 = part(pictures.x0), eps = part(noise.eps), level = part(noise.level);
    const Tensor xt = process.add_noise(x0, eps, level);
    Tensor input = process.input(xt, level);
    if (asked.self_conditioning) input = at::cat({input, at::zeros_like(xt)}, 1);
    const Tensor output = asked.network(input, process.timesteps(level), part(pictures.labels)).to(at::kFloat);
    hear({x0, eps, level, xt, output.narrow(1, 0, x0.size(1)), first});
  }
  return true;
}

}  // namespace unnoise
