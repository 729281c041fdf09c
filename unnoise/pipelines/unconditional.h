// Noise to pictures with a UNet2DModel and a scheduler: diffusers' DDPMPipeline and DDIMPipeline in one, classes
// included.
//
//   auto pipe = Unconditional::load("models/butterflies");
//   pipe.scheduler = make_scheduler("ddim", *pipe.scheduler);
//   const Tensor images = pipe.sample({.num_images = 8, .steps = 50, .seed = 7});
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "unnoise/core/observer.h"
#include "unnoise/models/unet2d.h"
#include "unnoise/schedulers/scheduler.h"

namespace unnoise {

/// What a caller sees after each step: enough for frames of the pictures emerging.
struct SampleStep {
  int64_t first_image;  ///< number of the batch's first picture
  int64_t step;         ///< steps taken in this batch, from 1
  int64_t steps;        ///< steps of a batch
  const Tensor& x;      ///< [B,C,H,W], the pictures after the step, still noisy
  const Tensor& x0;     ///< [B,C,H,W], the clean pictures as the model sees them now
};

struct SampleRequest {
  std::optional<int64_t> num_images;  ///< default: as many as seeds, or one batch, or 1
  std::optional<int64_t> batch;       ///< drawn at once; default: all
  int64_t steps = 50;                 ///< steps of the scheduler; most methods call the network once in each
  uint64_t seed = 0;                  ///< one random stream for all pictures, through all batches
  std::vector<uint64_t> seeds;        ///< instead: a stream a picture, which then does not depend on its batch
  StartOptions start;                 ///< all else that the scheduler's run can be told; its `steps` are those above
  std::optional<int64_t> height;      ///< pixels; default: the model's sample_size
  std::optional<int64_t> width;
  std::vector<int64_t> class_labels;  ///< for a class-conditional model: one for all, or one a picture
  std::function<void(const SampleStep&)> on_step;
};

struct LoadOptions {
  std::string variant;  ///< "fp16": which of several weight files
};

/// Whether the network sees its own last answer for x0 as further channels: a config of the class that save() writes
/// for such a network, which diffusers does not have.
bool is_self_conditioned(const Json& unet_config);

struct Unconditional {
  std::shared_ptr<UNet2D> unet;
  std::shared_ptr<const Scheduler> scheduler;
  Json unet_config = Json::object();  ///< the folder's config.json: its keys that we do not know are saved again
  Json model_index = Json::object();  ///< the same for model_index.json
  bool self_conditioning = false;     ///< the network also sees its last x0, at first zeros: Chen et al. 2023

  /// A diffusers folder: model_index.json with unet/ and scheduler/, or the files flat in one folder. As in diffusers,
  /// a DDIMPipeline turns whatever scheduler it holds into DDIM. Error::data names the file and what is wrong with it.
  /// The weights need no gradients until unet->requires_grad(true), so that layers may keep them as their kernels read
  /// them.
  static Unconditional load(const fs::path& model_dir, const LoadOptions& options = {});
  /// The same folder, for diffusers and for load(); other files in it stay. The pipeline's class is one of diffusers'
  /// that samples the model as it was trained; a self-conditioned network is of a class that diffusers refuses to load.
  void save(const fs::path& model_dir) const;

  /// -> [N,C,H,W] float32 on the CPU, raw: about [-1,1], not clamped. The same request gives the pictures that
  /// diffusers gives with torch.Generator("cpu"): `seed` is one generator, `seeds` a list of them. After a stop, which
  /// is looked for between steps, only the pictures of finished batches; undefined when there are none. Throws
  /// Error::usage for a request that does not fit the model and Error::data when the result is not finite. Dropout is
  /// off meanwhile.
  Tensor sample(const SampleRequest& request, const Observer& observer = {}, std::stop_token stop = {}) const;
};

}  // namespace unnoise
