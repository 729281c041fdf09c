// The names of AUTOMATIC1111's web UI, which users of other programs know.
#include "unnoise/schedulers/samplers.h"

namespace unnoise {

const std::vector<SamplerAlias>& sampler_aliases() {
  static const std::vector<SamplerAlias> aliases{
      {"Euler", "euler", "{}"},
      {"Euler a", "euler_ancestral", "{}"},
      {"LMS", "lms", "{}"},
      {"LMS Karras", "lms", R"({"use_karras_sigmas": true})"},
      {"Heun", "heun", "{}"},
      {"Heun Karras", "heun", R"({"use_karras_sigmas": true})"},
      {"DPM2", "kdpm2", "{}"},
      {"DPM2 Karras", "kdpm2", R"({"use_karras_sigmas": true})"},
      {"DPM2 a", "kdpm2_ancestral", "{}"},
      {"DPM2 a Karras", "kdpm2_ancestral", R"({"use_karras_sigmas": true})"},
      {"DPM++ 2S a", "dpm_2s_ancestral", "{}"},
      {"DPM++ 2S a Karras", "dpm_2s_ancestral", R"({"use_karras_sigmas": true})"},
      {"DPM++ 2M", "dpm_multistep", R"({"algorithm_type": "dpmsolver++"})"},
      {"DPM++ 2M Karras", "dpm_multistep", R"({"algorithm_type": "dpmsolver++", "use_karras_sigmas": true})"},
      {"DPM++ 2M SDE", "dpm_multistep", R"({"algorithm_type": "sde-dpmsolver++"})"},
      {"DPM++ 2M SDE Karras", "dpm_multistep", R"({"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": true})"},
      {"DPM++ 2M SDE Exponential", "dpm_multistep",
       R"({"algorithm_type": "sde-dpmsolver++", "use_exponential_sigmas": true})"},
      {"DPM++ 2M SDE Heun", "dpm_multistep", R"({"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"})"},
      {"DPM++ SDE", "dpm_sde", "{}"},
      {"DPM++ SDE Karras", "dpm_sde", R"({"use_karras_sigmas": true})"},
      {"DPM++ 3M SDE", "dpm_3m_sde", "{}"},
      {"DPM++ 3M SDE Karras", "dpm_3m_sde", R"({"use_karras_sigmas": true})"},
      {"DPM++ 3M SDE Exponential", "dpm_3m_sde", R"({"use_exponential_sigmas": true})"},
      {"DPM adaptive", "dpm_adaptive", "{}"},
      {"Restart", "restart", "{}"},
      {"DDIM", "ddim", "{}"},
      {"PLMS", "pndm", R"({"skip_prk_steps": true})"},
      {"UniPC", "unipc", "{}"},
      {"LCM", "lcm", "{}"},
  };
  return aliases;
}

}  // namespace unnoise
