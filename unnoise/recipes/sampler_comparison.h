// The measurements behind `unnoise samplers`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "unnoise/core/observer.h"
#include "unnoise/pipelines/unconditional.h"

namespace unnoise {

/// A network and the noise that every sampler starts from.
struct Trial {
  const Unconditional& pipe;
  int64_t num_images;
  std::vector<int64_t> class_labels;
  uint64_t seed;
};

/// One sampler at one budget.
struct SamplerRun {
  int64_t calls = 0;    ///< of the network, really made
  int64_t steps = 0;    ///< asked of the scheduler; 0 where the sampler chose them
  double distance = 0;  ///< from the reference: root mean square over all pixels, in grey levels of 255
  double seconds = 0;   ///< for all pictures
  Tensor pictures;      ///< [N,C,H,W], clamped to [-1,1]
};

struct SamplerScore {
  std::string name;                             ///< as asked for: "ddim", "DPM++ 2M Karras"
  bool stochastic = false;                      ///< its pictures are others by design: no distance to speak of
  std::vector<std::optional<SamplerRun>> runs;  ///< one a budget; none where the sampler needs more calls
};

/// Draws num_images pictures with `scheduler`.
SamplerRun run_sampler(const Trial& trial, std::shared_ptr<const Scheduler> scheduler, const StartOptions& start,
                       const Observer& observer, const std::stop_token& stop);

/// Root mean square of a - b in grey levels (of 255), both [N,C,H,W] in [-1,1].
double grey_levels_apart(const Tensor& a, const Tensor& b);

/// The deterministic picture that all of them approach: DDIM without clipping, in many steps.
SamplerRun reference_run(const Trial& trial, int64_t steps, const Observer& observer, const std::stop_token& stop);

/// Samplers that make pictures with a model of this scheduler, and two variants that users ask for by name.
std::vector<std::string> samplers_for(const Scheduler& scheduler);

/// The most steps with at most `calls` calls of the network; nothing when even one step takes more.
std::optional<int64_t> steps_within(const Scheduler& scheduler, int64_t calls);

SamplerScore score_sampler(const Trial& trial, const std::string& name, const std::vector<int64_t>& budgets,
                           const Tensor& reference, const Observer& observer, const std::stop_token& stop);

}  // namespace unnoise
