// Every scheduler, one row each.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/samplers.h"
#include "unnoise/schedulers/scheduler.h"

namespace unnoise {

using SchedulerFactory = std::shared_ptr<const Scheduler>(const Json& config);
// The table of abar at whole timesteps
SchedulerFactory make_ddpm, make_ddim, make_ddim_inverse, make_pndm, make_lcm, make_tcd, make_repaint, make_unclip;
// Consistency models, SDEs
SchedulerFactory make_cm_stochastic, make_score_sde_ve, make_score_sde_vp, make_ipndm, make_scm, make_wuerstchen;
// Flow matching
SchedulerFactory make_flow_euler, make_flow_heun, make_flow_lcm;
// k-diffusion: steps in sigma
SchedulerFactory make_euler, make_euler_ancestral, make_heun, make_lms, make_kdpm2, make_kdpm2_ancestral, make_dpm_sde,
    make_karras_ve, make_edm_heun, make_dpm_2s_ancestral, make_dpm_3m_sde, make_restart;
// DPM-Solver and its kin
SchedulerFactory make_dpm_multistep, make_dpm_singlestep, make_unipc, make_deis, make_sa_solver,
    make_dpm_multistep_inverse, make_edm_euler, make_edm_dpm_multistep, make_cosine_dpm_multistep, make_res_multistep;
// Beyond diffusers
SchedulerFactory make_dopri5, make_dpm_adaptive;

namespace {

struct Row {
  SamplerInfo info;
  SchedulerFactory* make;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      // The table of abar at whole timesteps
      {{"ddpm", "DDPMScheduler", true, "Ho et al. 2020, algorithm 2", "-", true, "N", 1000,
        "the original; every training timestep, noise at each"},
       make_ddpm},
      {{"ddim", "DDIMScheduler", true, "Song et al. 2021, eq. 12", "1", false, "N", 50,
        "deterministic with few steps; what inversion and editing build on"},
       make_ddim},
      {{"pndm", "PNDMScheduler", true, "Liu et al. 2022, algorithms 1 and 2", "2", false,
        "N+9, N+1 with skip_prk_steps", 50, "what Stable Diffusion 1 was saved with"},
       make_pndm},
      {{"lcm", "LCMScheduler", true, "Luo et al. 2023, algorithm 3", "-", true, "N", 4,
        "for latent consistency models and LCM-LoRA: 1 to 8 steps", true},
       make_lcm},
      {{"tcd", "TCDScheduler", true, "Zheng et al. 2024, algorithm 4", "-", true, "N", 4,
        "for models from trajectory consistency distillation: few steps, more detail than lcm", true},
       make_tcd},
      {{"ddim_inverse", "DDIMInverseScheduler", true, "Song et al. 2021, section 5.4", "1", false, "N", 50,
        "from a picture to its noise, for editing: start from a picture", true},
       make_ddim_inverse},
      {{"repaint", "RePaintScheduler", true, "Lugmayr et al. 2022, algorithm 1", "-", true, "about N jump_n_sample",
        250, "draws the missing part of a picture with an unconditional model", true},
       make_repaint},
      {{"unclip", "UnCLIPScheduler", true, "Ho et al. 2020, algorithm 2; Ramesh et al. 2022", "-", true, "N", 25,
        "what unCLIP models (Karlo, Kandinsky) were saved with", true},
       make_unclip},
      // k-diffusion: steps in sigma
      {{"euler", "EulerDiscreteScheduler", true, "Karras et al. 2022, algorithm 2 without its correction", "1", false,
        "N", 30, "simple and robust; what Stable Diffusion XL and Stable Video Diffusion ship with"},
       make_euler},
      {{"euler_ancestral", "EulerAncestralDiscreteScheduler", true,
        "Crowson 2022, k-diffusion; Ho et al. 2020 in sigma", "-", true, "N", 30,
        "varied pictures in few steps; never settles as the steps grow"},
       make_euler_ancestral},
      {{"heun", "HeunDiscreteScheduler", true, "Karras et al. 2022, algorithm 1", "2", false, "2N-1", 25,
        "closer to the exact path than Euler at the same number of calls"},
       make_heun},
      {{"lms", "LMSDiscreteScheduler", true, "Crowson 2022, k-diffusion; Adams and Bashforth's method in sigma",
        "1 to 4", false, "N", 50, "high order at one call a step, for 30 steps and more"},
       make_lms},
      {{"kdpm2", "KDPM2DiscreteScheduler", true, "Crowson 2022, k-diffusion; after Lu et al. 2022, DPM-Solver-2", "2",
        false, "2N-1", 25, "second order by midpoints in log sigma"},
       make_kdpm2},
      {{"kdpm2_ancestral", "KDPM2AncestralDiscreteScheduler", true,
        "Crowson 2022, k-diffusion; after Lu et al. 2022, DPM-Solver-2", "-", true, "2N-1", 25,
        "varied pictures with more detail than Euler ancestral, at twice the calls"},
       make_kdpm2_ancestral},
      {{"dpm_sde", "DPMSolverSDEScheduler", true, "Crowson 2022, k-diffusion; Lu et al. 2022, DPM-Solver++, section 5",
        "-", true, "2N-1", 25, "stochastic with good detail from few steps"},
       make_dpm_sde},
      {{"edm_heun", "EDMHeunScheduler", false, "Karras et al. 2022, algorithm 2", "2", false, "2N-1", 18,
        "EDM's own sampler on a model with a table of betas; s_churn makes it stochastic"},
       make_edm_heun},
      {{"dpm_2s_ancestral", "DPMSolver2SAncestralScheduler", false,
        "Crowson 2022, k-diffusion; Lu et al. 2022, DPM-Solver++, algorithm 1", "2 with eta 0", true, "2N-1", 20,
        "varied pictures with good detail, at two calls a step"},
       make_dpm_2s_ancestral},
      {{"dpm_3m_sde", "DPMSolver3MSDEScheduler", false,
        "Crowson 2023, k-diffusion; Lu et al. 2022, DPM-Solver++, section 5", "3 with eta 0", true, "N", 40,
        "stochastic with many steps; best with exponential sigmas"},
       make_dpm_3m_sde},
      {{"restart", "RestartScheduler", false, "Xu et al. 2023, algorithm 1", "-", true,
        "2N-1 + 2 restart_count restart_steps", 18,
        "corrects earlier errors by going back up; better than Heun at the same calls"},
       make_restart},
      {{"karras_ve", "KarrasVeScheduler", true, "Karras et al. 2022, algorithm 2 and table 5", "-", true, "2N-1", 50,
        "variance-exploding networks (NCSN++) in diffusers' deprecated pipeline", true},
       make_karras_ve},
      // DPM-Solver and its kin: steps in lambda
      {{"dpm_multistep", "DPMSolverMultistepScheduler", true, "Lu et al. 2022, DPM-Solver++, algorithm 2", "1 to 2",
        false, "N", 20, "the first to try: good pictures from 15 to 25 steps, with guidance, in latents and pixels"},
       make_dpm_multistep},
      {{"unipc", "UniPCMultistepScheduler", true, "Zhao et al. 2023, algorithms 5 and 6", "2 to 4", false, "N", 15,
        "the fewest steps: corrects each step with the call of the next; also for flow matching"},
       make_unipc},
      {{"deis", "DEISMultistepScheduler", true, "Zhang & Chen 2023, eq. 15", "1 to 3", false, "N", 20,
        "smooth with 10 to 20 steps, for networks that predict eps"},
       make_deis},
      {{"dpm_singlestep", "DPMSolverSinglestepScheduler", true, "Lu et al. 2022, DPM-Solver++, algorithm 1", "1 to 3",
        false, "N", 20, "like dpm_multistep without memory of earlier steps; steadier at strong guidance"},
       make_dpm_singlestep},
      {{"sa_solver", "SASolverScheduler", true, "Xue et al. 2023, algorithm 1", "1 to 4", true, "N", 20,
        "noise while sampling, in few steps: more variety than an ODE"},
       make_sa_solver},
      {{"edm_euler", "EDMEulerScheduler", true, "Karras et al. 2022, algorithm 2 without its correction", "1", false,
        "N", 40, "networks trained as in EDM; s_churn for fresh noise", true},
       make_edm_euler},
      {{"edm_dpm_multistep", "EDMDPMSolverMultistepScheduler", true, "Lu et al. 2022; Karras et al. 2022", "1 to 3",
        false, "N", 20, "networks trained as in EDM, such as Playground 2.5, in few steps", true},
       make_edm_dpm_multistep},
      {{"cosine_dpm_multistep", "CosineDPMSolverMultistepScheduler", true, "Lu et al. 2022, sec. 5; Stable Audio",
        "1 to 2", true, "N", 100, "Stable Audio's own", true},
       make_cosine_dpm_multistep},
      {{"dpm_multistep_inverse", "DPMSolverMultistepInverseScheduler", true, "Lu et al. 2022, along rising noise",
        "1 to 3", false, "N", 50, "from a picture to the noise that it came from, for editing", true},
       make_dpm_multistep_inverse},
      {{"res_multistep", "RESMultistepScheduler", false, "Zhang, Song & Chen 2023, sec. 3", "1 to 3", false, "N", 20,
        "like dpm_multistep with exact integrals: better with few, uneven steps"},
       make_res_multistep},
      // EDM, consistency models, SDEs
      {{"cm_stochastic", "CMStochasticIterativeScheduler", true, "Song et al. 2023, algorithm 1", "-", true, "N", 2,
        "for consistency models: 1 or 2 steps", true},
       make_cm_stochastic},
      {{"scm", "SCMScheduler", true, "Lu & Song 2025; Chen et al. 2025, SANA-Sprint", "-", true, "N", 2,
        "for continuous-time consistency models: 1 to 4 steps", true},
       make_scm},
      {{"score_sde_ve", "ScoreSdeVeScheduler", true, "Song et al. 2021, algorithm 2", "-", true,
        "N (correct_steps + 1)", 2000, "for NCSN++ models of the variance exploding SDE", true},
       make_score_sde_ve},
      {{"score_sde_vp", "ScoreSdeVpScheduler", true, "Song et al. 2021, appendix G", "-", true, "N", 1000,
        "for old models of the variance preserving SDE", true},
       make_score_sde_vp},
      {{"ipndm", "IPNDMScheduler", true, "Liu et al. 2022; Crowson 2022", "4", false, "N", 50,
        "for models with continuous timesteps that predict v", true},
       make_ipndm},
      {{"wuerstchen", "DDPMWuerstchenScheduler", true, "Pernias et al. 2023; Ho et al. 2020, algorithm 2", "-", true,
        "N", 20, "what Wuerstchen and Stable Cascade were saved with", true},
       make_wuerstchen},
      // Flow matching
      {{"flow_euler", "FlowMatchEulerDiscreteScheduler", true, "Esser et al. 2024, section 2", "1", false, "N", 28,
        "for flow matching models: Stable Diffusion 3, FLUX and their kin"},
       make_flow_euler},
      {{"flow_heun", "FlowMatchHeunDiscreteScheduler", true, "Karras et al. 2022, algorithm 2, on straight paths", "2",
        false, "2N-1", 25, "flow matching with more accurate steps at twice the calls"},
       make_flow_heun},
      {{"flow_lcm", "FlowMatchLCMScheduler", true, "Luo et al. 2023, on straight paths", "-", true, "N", 4,
        "for distilled flow matching models, also those that grow the picture on the way", true},
       make_flow_lcm},
      // Beyond diffusers
      {{"dopri5", "DormandPrinceScheduler", false, "Dormand & Prince 1980; Song et al. 2021, section 4.3", "5", false,
        "adaptive", 50, "the exact deterministic picture, to a tolerance instead of a number of steps"},
       make_dopri5},
      {{"dpm_adaptive", "DPMSolverAdaptiveScheduler", false, "Lu et al. 2022, DPM-Solver, appendix C", "3", false,
        "adaptive", 50, "the same with fewer calls at loose tolerances"},
       make_dpm_adaptive},
  };
  return all;
}

/// "DPM++ 2M Karras" and "dpm++2mkarras" are one.
std::string folded(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (c != ' ' && c != '-' && c != '_') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

const Row& row_of(const SamplerInfo& info) {
  return *std::find_if(rows().begin(), rows().end(), [&](const Row& row) { return row.info.name == info.name; });
}

}  // namespace

const std::vector<SamplerInfo>& samplers() {
  static const std::vector<SamplerInfo> infos = [] {
    std::vector<SamplerInfo> out;
    for (const Row& row : rows()) out.push_back(row.info);
    return out;
  }();
  return infos;
}

FoundSampler find_sampler(std::string_view name) {
  for (const SamplerInfo& info : samplers())
    if (info.name == name || info.class_name == name) return {&info, Json::object()};
  for (const SamplerAlias& alias : sampler_aliases())
    if (folded(alias.alias) == folded(name))
      for (const SamplerInfo& info : samplers())
        if (info.name == alias.name) return {&info, Json::parse(alias.config)};

  const bool is_class = name.ends_with("Scheduler");
  std::vector<std::string> known;
  for (const SamplerInfo& info : samplers()) known.emplace_back(is_class ? info.class_name : info.name);
  std::string list;
  for (const auto& one : known) list += (list.empty() ? "" : ", ") + one;
  if (!is_class)
    for (const SamplerAlias& alias : sampler_aliases()) known.emplace_back(alias.alias);
  const std::string near = nearest_name(name, known);
  throw usage_error(fmt::format("scheduler \"{}\" is not one of {}", name, list),
                    near.empty() ? "`unnoise samplers` lists them." : fmt::format("Did you mean \"{}\"?", near));
}

std::shared_ptr<const Scheduler> scheduler_from_config(const Json& config) {
  if (!config.is_object() || !config.contains("_class_name") || !config["_class_name"].is_string())
    throw data_error("scheduler config: expected a JSON object with \"_class_name\", such as \"DDPMScheduler\"");
  return make_scheduler(config["_class_name"].get<std::string>(), config);
}

std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const Json& config) {
  const auto [info, on_top] = find_sampler(name);
  const auto make = row_of(*info).make;
  if (on_top.empty()) return make(config);
  Json merged = config.is_null() ? Json::object() : config;
  if (merged.is_object()) merged.update(on_top);
  return make(merged);
}

std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const Scheduler& like) {
  return make_scheduler(name, like.given_config());
}

std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const NoiseSchedule& noise) {
  return make_scheduler(name, to_json(noise.options()));
}

std::vector<std::string> scheduler_names() {
  std::vector<std::string> names;
  for (const SamplerInfo& info : samplers()) names.emplace_back(info.name);
  return names;
}

}  // namespace unnoise
