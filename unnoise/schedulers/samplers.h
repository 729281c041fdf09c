// What there is to choose from: every scheduler with its paper, its cost and when to take it, and the names that other
// programs give them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/json.h"

namespace unnoise {

struct SamplerInfo {
  std::string_view name;        ///< "ddim"
  std::string_view class_name;  ///< "DDIMScheduler", in scheduler_config.json
  bool in_diffusers;            ///< the class is one of diffusers
  std::string_view paper;       ///< authors, year, equation or algorithm
  std::string_view order;       ///< global order of convergence in the step, "1" or "1 to 3"; "-" where it has none
  bool stochastic;              ///< draws noise while sampling (with its default settings)
  std::string_view calls;       ///< calls of the network for N steps: "N", "2N-1"
  int64_t usual_steps;          ///< a good number to begin with
  std::string_view when;        ///< when to use it, one sentence
  /// Not a way from noise to pictures for any model of its kind: inverts, edits, or needs a model distilled for it.
  bool special = false;
};

/// Every scheduler, the most used first.
const std::vector<SamplerInfo>& samplers();

/// A name of AUTOMATIC1111's web UI, such as "DPM++ 2M Karras".
struct SamplerAlias {
  std::string_view alias;
  std::string_view name;    ///< SamplerInfo::name
  std::string_view config;  ///< JSON that goes on top of the model's own
};
const std::vector<SamplerAlias>& sampler_aliases();

/// By short name, class or alias; case, '-' and ' ' do not count in aliases. Error::usage with the nearest name.
struct FoundSampler {
  const SamplerInfo* info;
  Json config;  ///< what an alias sets; {} otherwise
};
FoundSampler find_sampler(std::string_view name);

}  // namespace unnoise
