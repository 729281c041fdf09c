// Pictures that a network was not trained on, and the loop in which it is asked about them with noise: what the two
// measures of its error share, that of eps (held_out_eps_error.h) and that of its own objective
// (held_out_objective_loss.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

#include "unnoise/core/observer.h"
#include "unnoise/data/dataset.h"
#include "unnoise/data/loader.h"
#include "unnoise/training/noise_process.h"

namespace unnoise {

/// The part that a model has not seen which was trained on `set`: its test pictures, or what it has for training when
/// `set` is those. nullptr where the set marks no such part.
std::shared_ptr<const Dataset> open_unseen(DatasetOptions set, const Observer& observer);

struct HeldOutPictures {
  Tensor x0;      ///< [N,C,H,W] in [-1,1]
  Tensor labels;  ///< [N] or undefined
};

/// The first `count` of the loader's order (0 = all), the middle square of each, not mirrored.
HeldOutPictures read_held_out(const std::shared_ptr<const Dataset>& data, LoaderOptions options, int64_t count,
                              const Observer& observer);

/// (what NoiseProcess::input and timesteps give, labels [B] or undefined) -> the answer, [B,C,H,W] or [B,2C,H,W].
using HeldOutNetwork = std::function<Tensor(const Tensor& input, const Tensor& timesteps, const Tensor& labels)>;

struct AskedNetwork {
  HeldOutNetwork network;
  const NoiseProcess& process;
  bool self_conditioning = false;  ///< it then sees zeros for its last answer
  at::Device device = at::kCPU;
};

/// The noise of each picture.
struct AddedNoise {
  Tensor eps;    ///< [N,C,H,W]
  Tensor level;  ///< [N] of the process's kind
};

/// What a batch of pictures was answered with; all on the network's device.
struct HeldOutAnswer {
  Tensor x0, eps, level, xt;
  Tensor output;      ///< float32, without a learned variance: [B,C,H,W]
  int64_t first = 0;  ///< place of the batch's first picture
};

/// Asks about all pictures, `at_once` at a time; false when stopped.
bool ask(const AskedNetwork& asked, const HeldOutPictures& pictures, const AddedNoise& noise, int64_t at_once,
         const std::function<void(const HeldOutAnswer&)>& hear, const std::stop_token& stop);

}  // namespace unnoise
