"""DPM-Solver and its kin against the installed diffusers, over the whole space of their configs."""
import json
import math
from unittest import mock

import diffusers
import numpy as np
import torch
from scheduler_sweep import accepted, network, sweep

FLAGS = [False, True]
BETAS = {
    "beta_schedule": ["linear", "scaled_linear", "squaredcos_cap_v2"],
    "beta_start": [0.0001, 0.00085],
    "beta_end": [0.02, 0.012],
}
THRESHOLD = {"thresholding": [False, False, True], "dynamic_thresholding_ratio": [0.87], "sample_max_value": [1.5]}
SPACING = {"timestep_spacing": ["linspace", "leading", "trailing"], "steps_offset": [0, 1]}
# one of these a case; "grid" is taken apart by keep()
GRIDS = [None, None, "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_flow_sigmas"]
TIMESTEPS = [None, None, None, None, None, [999, 600, 200, 10], [900, 800, 500, 30, 0], [400]]
BEGIN = [0, 0, 0, 1, 4]


def loop(scheduler, case, prepare=lambda scheduler: None):
    """As scheduler_sweep.reference_loop, but always told where it begins, as diffusers' pipelines do: looking the first timestep
    up, diffusers takes the second of two equal ones and then runs off the end of its list."""
    start = dict(case["start"])
    steps, begin = start.pop("steps", None), start.pop("begin", 0)
    if "timesteps" not in start and "sigmas" not in start:
        start["num_inference_steps"] = steps
    if "sigmas" in start:
        start["sigmas"] = np.array(start["sigmas"])
    scheduler.set_timesteps(**start)
    prepare(scheduler)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    else:
        scheduler._step_index = begin
    generator = torch.Generator().manual_seed(case["seed"])
    x = torch.randn(case["shape"], generator=generator) * scheduler.init_noise_sigma
    timesteps = scheduler.timesteps[begin:]
    for t in timesteps:
        out = network(scheduler.scale_model_input(x, t), t, case.get("learned"))
        x = scheduler.step(out, t, x, **accepted(scheduler.step, generator=generator)).prev_sample
    return x, timesteps, scheduler.sigmas


def loop_in_double(scheduler, case):
    """diffusers' coefficients in float64: they are differences of products, and in float32 little is left of them where steps are
    short or sigmas large. unnoise computes these in double."""

    def widen(scheduler):
        scheduler.sigmas = scheduler.sigmas.double()

    return loop(scheduler, case, widen)


def cancels(case):
    """Where weights of past outputs in float32, computed in another order, tell in the picture: very uneven steps."""
    c = case["config"]
    return 5e-3 if c.get("use_beta_sigmas") and c["solver_order"] > 1 else 1e-3 if c.get("use_beta_sigmas") else 1e-4


def keep(case):
    """Puts together what belongs together."""
    config, start = case["config"], case["start"]
    grid = config.pop("grid", None)
    if grid:
        config[grid] = True
        start.pop("timesteps", None) and start.setdefault("steps", 10)
        config.pop("lambda_min_clipped", None)
    if grid == "use_flow_sigmas":
        if config["prediction_type"] == "v_prediction":  # is none of a flow
            of_eps = not config.get("predict_x0", True) or config.get("algorithm_type") in ("dpmsolver", "sde-dpmsolver")
            config["prediction_type"] = "epsilon" if of_eps else "flow_prediction"
    else:
        config.pop("use_dynamic_shifting", None)
    if not config.get("use_dynamic_shifting"):
        start.pop("mu", None)
    if config.get("lambda_min_clipped") == -5.1 and config.get("timestep_spacing") == "trailing":
        config.pop("lambda_min_clipped")
    count = len(start["timesteps"]) if "timesteps" in start else len(start["sigmas"]) if "sigmas" in start else start["steps"]
    start["begin"] = min(start.get("begin", 0), count - 1)
    case["learned"] = config.get("variance_type") == "learned" and config["prediction_type"] == "epsilon"
    return True


def repeats(case):
    """Steps of no length make diffusers' differences of past outputs 0 / 0."""
    c, start = case["config"], case["start"]
    steps = start.get("steps", 0)
    if c.get("timestep_spacing") == "leading" and steps + c.get("steps_offset", 0) >= 1000:
        return "timesteps beyond the table, or all 0"
    if c.get("timestep_spacing") == "trailing" and len(trailing(steps)) > steps:
        return "one timestep too many, -1"
    return None


def trailing(steps):
    return np.arange(1000, 0, -1000 / steps).round() if steps else []


MULTISTEP = {
    **BETAS, **THRESHOLD, **SPACING,
    "solver_order": [1, 2, 3],
    "prediction_type": ["epsilon", "sample", "v_prediction"],
    "algorithm_type": ["dpmsolver", "dpmsolver++", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++", "deis"],
    "solver_type": ["midpoint", "heun", "logrho", "bh2"],
    "lower_order_final": FLAGS,
    "euler_at_final": FLAGS,
    "grid": GRIDS + ["use_lu_lambdas"],
    "flow_shift": [1.0, 3.0],
    "final_sigmas_type": ["zero", "sigma_min", "sigma_min"],
    "lambda_min_clipped": [-math.inf, -5.1],
    "variance_type": [None, "learned"],
    "rescale_betas_zero_snr": FLAGS,
    "use_dynamic_shifting": FLAGS,
}


def test_dpm_multistep(ours):
    def differs(case):
        c = case["config"]
        if c["algorithm_type"] == "sde-dpmsolver" and c["solver_order"] == 3:
            return "no such method"
        if c["algorithm_type"] == "deis" and c["final_sigmas_type"] == "zero":
            return "diffusers takes dpmsolver++ for deis, but only after having refused it"
        return repeats(case)

    sweep(ours, diffusers.DPMSolverMultistepScheduler, MULTISTEP, starts={"timesteps": TIMESTEPS, "begin": BEGIN, "mu": [None, 0.8]},
          cases=300, prepare=keep, loop=loop, differs=differs, tolerance=cancels, at_least=150)


SINGLESTEP = {k: v for k, v in MULTISTEP.items()
              if k not in ("euler_at_final", "timestep_spacing", "steps_offset", "rescale_betas_zero_snr")}
SINGLESTEP |= {"algorithm_type": ["dpmsolver", "dpmsolver++", "dpmsolver++", "sde-dpmsolver++", "deis"], "grid": GRIDS}


def test_dpm_singlestep(ours):
    def differs(case):
        c = case["config"]
        if c["algorithm_type"] == "dpmsolver" and c["thresholding"]:
            return "diffusers stumbles over an unset variable"
        if c["algorithm_type"] == "deis" and c["final_sigmas_type"] == "zero":
            return "as in test_dpm_multistep"
        if case["start"].get("steps", 0) > 995:
            return "timesteps come twice"
        return None

    sweep(ours, diffusers.DPMSolverSinglestepScheduler, SINGLESTEP, cases=300, prepare=keep, loop=loop, differs=differs,
          tolerance=cancels, starts={"timesteps": TIMESTEPS, "begin": BEGIN, "mu": [None, 0.8]}, at_least=150)


UNIPC = {
    **BETAS, **THRESHOLD, **SPACING,
    "solver_order": [1, 2, 3],
    "prediction_type": ["epsilon", "sample", "v_prediction"],
    "predict_x0": [True, True, False],
    "solver_type": ["bh1", "bh2", "bh2", "midpoint", "heun", "logrho"],
    "lower_order_final": FLAGS,
    "disable_corrector": [[], [], [0], [0, 1, 2]],
    "grid": GRIDS,
    "flow_shift": [1.0, 3.0],
    "final_sigmas_type": ["zero", "sigma_min"],
    "rescale_betas_zero_snr": FLAGS,
    "use_dynamic_shifting": FLAGS,
    "time_shift_type": ["exponential", "linear"],
    "sigma_min": [None, None, 0.05],
    "sigma_max": [None, None, 20.0],
    "shift_terminal": [None, 0.1],
}


def keep_unipc(case):
    keep(case)
    config, start = case["config"], case["start"]
    if not config.get("use_flow_sigmas"):
        config.pop("shift_terminal")
        start.pop("sigmas", None) and start.setdefault("steps", 20)
    elif case["seed"] % 3 == 0 and "sigmas" not in start:
        config["use_karras_sigmas"] = True
        config["sigma_max"] = 200.0
    if config.get("use_dynamic_shifting"):
        start.setdefault("mu", 0.5)
    if "sigmas" in start:
        start.pop("steps", None)
    start["begin"] = min(start["begin"], len(start["sigmas"]) - 1 if "sigmas" in start else start["steps"] - 1)
    return True


def test_unipc(ours):
    def differs(case):
        c = case["config"]
        if not c["predict_x0"] and c["thresholding"]:
            return "diffusers forgets the thresholding"
        if c["final_sigmas_type"] == "zero" and not c["lower_order_final"] and c["solver_order"] > 1:
            return "diffusers divides by an infinite step"
        return repeats(case)

    sweep(ours, diffusers.UniPCMultistepScheduler, UNIPC, cases=300, prepare=keep_unipc, loop=loop, differs=differs, at_least=120,
          starts={"begin": BEGIN, "mu": [0.8, 1.5], "sigmas": [None, None, None, [1.0, 0.8, 0.5, 0.2], [0.9, 0.3]]})


DEIS = {
    **BETAS, **THRESHOLD, **SPACING,
    "solver_order": [1, 2, 3],
    "prediction_type": ["epsilon", "sample", "v_prediction"],
    "algorithm_type": ["deis", "dpmsolver", "dpmsolver++"],
    "solver_type": ["logrho", "midpoint", "heun", "bh1", "bh2"],
    "lower_order_final": FLAGS,
    "grid": GRIDS,
    "flow_shift": [1.0, 3.0],
    "use_dynamic_shifting": FLAGS,
}


def test_deis(ours):
    def tolerance(case):
        # At its noisiest timestep x / alpha is 20000 x, from which 20000 eps is taken, in float32; a flow has 2000.
        if case["config"]["beta_schedule"] == "squaredcos_cap_v2":
            return 3e-2
        return max(cancels(case), 1e-3 if case["config"].get("use_flow_sigmas") else 2e-4)

    sweep(ours, diffusers.DEISMultistepScheduler, DEIS, starts={"begin": BEGIN, "mu": [None, 0.8]}, cases=250, prepare=keep,
          loop=loop_in_double, differs=repeats, tolerance=tolerance, at_least=120)


def test_deis_in_float32(ours):
    usual = DEIS | {"beta_schedule": ["linear", "scaled_linear"], "grid": [None, "use_karras_sigmas"]}
    # the rounding of diffusers' coefficients: with 50 steps of order 3 they are off by a hundredth
    sweep(ours, diffusers.DEISMultistepScheduler, usual, cases=90, prepare=keep, loop=loop, tolerance=1e-3, steps=[5, 10, 15, 20, 50])


EDM = {
    "sigma_min": [0.002, 0.02],
    "sigma_max": [80.0, 20.0],
    "sigma_data": [0.5, 1.0],
    "sigma_schedule": ["karras", "exponential"],
    "prediction_type": ["epsilon", "v_prediction"],
    "rho": [7.0, 5.0],
    "final_sigmas_type": ["zero", "sigma_min"],
    "num_train_timesteps": [1000, 10],
}
EDM_STEPS = [1, 2, 3, 5, 10, 20, 50, 999, 1000, 1500]


def keep_begin(case):
    case["start"]["begin"] = min(case["start"]["begin"], case["start"]["steps"] - 1)


def edm_loop(scheduler, case):
    """s_churn and the like go to step()."""
    start = dict(case["start"])
    steps, begin = start.pop("steps"), start.pop("begin", 0)
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(begin)
    generator = torch.Generator().manual_seed(case["seed"])
    x = torch.randn(case["shape"], generator=generator) * scheduler.init_noise_sigma
    for t in scheduler.timesteps[begin:]:
        x = scheduler.step(network(scheduler.scale_model_input(x, t), t), t, x, generator=generator, **start).prev_sample
    return x, scheduler.timesteps[begin:], scheduler.sigmas


def test_edm_euler(ours):
    churn = {"s_churn": [None, 0, 5.0, 100.0], "s_tmin": [None, 0.05], "s_tmax": [None, 50.0], "s_noise": [None, 1.003]}
    sweep(ours, diffusers.EDMEulerScheduler, EDM, starts={"begin": BEGIN, **churn}, cases=100, steps=EDM_STEPS, prepare=keep_begin,
          loop=edm_loop)


EDM_DPM = EDM | THRESHOLD | {
    "solver_order": [1, 2, 3],
    "algorithm_type": ["dpmsolver++", "sde-dpmsolver++"],
    "solver_type": ["midpoint", "heun", "logrho"],
    "lower_order_final": FLAGS,
    "euler_at_final": FLAGS,
}


def test_edm_dpm_multistep(ours):
    def differs(case):
        c = case["config"]
        if c["solver_order"] == 3 and c["algorithm_type"] == "sde-dpmsolver++":
            return "diffusers forgets the noise of order 3, and fails"
        return None

    sweep(ours, diffusers.EDMDPMSolverMultistepScheduler, EDM_DPM, starts={"begin": BEGIN}, cases=160, steps=EDM_STEPS,
          prepare=keep_begin, loop=edm_loop, differs=differs, at_least=100)


COSINE = EDM | {
    "sigma_min": [0.3, 0.05],
    "sigma_max": [500.0, 80.0],
    "solver_order": [1, 2],
    "solver_type": ["midpoint", "heun", "bh1"],
    "lower_order_final": FLAGS,
    "euler_at_final": FLAGS,
}


def cosine_loop(scheduler, case):
    try:
        return edm_loop(scheduler, case)
    except RecursionError:  # torchsde, asked for noise beyond sigma_max or within one rounding: no number to compare with
        return torch.full(case["shape"], math.nan), scheduler.timesteps, scheduler.sigmas


def test_cosine_dpm_multistep(ours):
    # its last level but one is sigma_min up to a rounding; what then remains of the noise's weight, and of its place in the path,
    # is that rounding
    sweep(ours, diffusers.CosineDPMSolverMultistepScheduler, COSINE, starts={"begin": BEGIN}, cases=120, steps=[1, 2, 3, 5, 10, 20, 50],
          prepare=keep_begin, loop=cosine_loop, tolerance=lambda c: 1e-3 if c["config"]["final_sigmas_type"] == "sigma_min" else 1e-4)


SA = {
    **BETAS, **THRESHOLD, **SPACING,
    "predictor_order": [1, 2, 3, 4],
    "corrector_order": [1, 2, 3, 4],
    "prediction_type": ["epsilon", "sample", "v_prediction"],
    "algorithm_type": ["data_prediction", "data_prediction", "noise_prediction"],
    "lower_order_final": FLAGS,
    "grid": GRIDS,
    "flow_shift": [1.0, 3.0],
    "lambda_min_clipped": [-math.inf, -5.1],
    "variance_type": [None, "learned"],
}


def test_sa_solver(ours):
    def differs(case):
        c = case["config"]
        if c["algorithm_type"] == "noise_prediction" and c["thresholding"]:
            return "diffusers stumbles over an unset variable"
        if case["learned"]:
            return "diffusers draws noise for the variance's channels, too"
        if c["algorithm_type"] == "noise_prediction" and (c["beta_schedule"] == "squaredcos_cap_v2" or c.get("use_beta_sigmas")):
            return "in float32 nothing is left of x / alpha less eps sigma / alpha, each up to 20000 times the picture"
        return repeats(case)

    def tolerance(case):  # of eps the same cancellation in small
        return 1e-3 if case["config"]["algorithm_type"] == "noise_prediction" else 1e-4

    sweep(ours, diffusers.SASolverScheduler, SA, starts={"begin": BEGIN}, cases=250, prepare=keep, loop=loop_in_double,
          differs=differs, tolerance=tolerance, at_least=100)


def test_sa_solver_in_float32(ours):
    usual = SA | {"beta_schedule": ["linear", "scaled_linear"], "grid": [None, "use_karras_sigmas"], "variance_type": [None],
                  "algorithm_type": ["data_prediction"], "predictor_order": [1, 2, 3], "corrector_order": [1, 2, 3, 4]}
    sweep(ours, diffusers.SASolverScheduler, usual, cases=80, prepare=keep, loop=loop, steps=[5, 10, 15, 20, 25], tolerance=1e-4)



INVERSE = {k: v for k, v in MULTISTEP.items()
           if k not in ("final_sigmas_type", "rescale_betas_zero_snr", "use_dynamic_shifting")} | {"grid": GRIDS}


def test_dpm_multistep_inverse(ours):
    def differs(case):
        c = case["config"]
        if c["algorithm_type"] == "sde-dpmsolver" and c["solver_order"] == 3:
            return "no such method"
        if c["algorithm_type"] == "sde-dpmsolver++" and c["solver_order"] == 3:
            return "diffusers forgets the noise of order 3, and fails"
        if c.get("use_flow_sigmas"):
            return "diffusers walks down the sigmas of a flow"
        return repeats(case)

    def all_timesteps(scheduler, case):
        """diffusers leaves out timesteps that come twice, but not their sigmas, so that all later ones have the wrong sigma."""
        with mock.patch("numpy.unique", lambda t, return_index: (t, np.arange(len(t)))):
            return loop(scheduler, case)

    def keep_inverse(case):
        keep(case)
        case["start"].pop("timesteps", None)

    sweep(ours, diffusers.DPMSolverMultistepInverseScheduler, INVERSE, cases=250, prepare=keep_inverse, loop=all_timesteps,
          differs=differs, tolerance=cancels, starts={"begin": BEGIN}, at_least=100)


CONFIGS = [
    {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++", "solver_order": 1, "use_karras_sigmas": True},
    {"_class_name": "DEISMultistepScheduler", "solver_order": 1, "steps_offset": 1, "trained_betas": None},
    {"_class_name": "UniPCMultistepScheduler", "disable_corrector": [0, 1], "sigma_min": 0.1, "lambda_min_clipped": -5.1},
    {"_class_name": "DPMSolverSinglestepScheduler", "lower_order_final": True, "variance_type": "learned_range"},
    {"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_data": 1.0, "made_up": [1]},
    {"_class_name": "EDMEulerScheduler", "rho": 5.0},
    {"_class_name": "CosineDPMSolverMultistepScheduler", "sigma_max": 100.0},
    {"_class_name": "SASolverScheduler", "predictor_order": 3},
    {"_class_name": "DPMSolverMultistepInverseScheduler", "solver_type": "heun"},
]


def test_configs_convert_as_in_diffusers(driver):
    """Every class's keys and defaults, and what one class takes over from another."""
    pairs = [(c, other["_class_name"]) for c in CONFIGS for other in CONFIGS
             # diffusers refuses these; unnoise takes the method over the same integrand
             if "algorithm_type" not in c or other["_class_name"] not in ("DEISMultistepScheduler", "SASolverScheduler")]
    got = json.loads(driver("scheduler_driver", {"configs": [{"config": c, "to": to} for c, to in pairs]}).stdout)["configs"]
    for (config, to), ours in zip(pairs, got):
        source = getattr(diffusers, config["_class_name"]).from_config(config)
        theirs = json.loads(getattr(diffusers, to).from_config(source.config).to_json_string())
        assert ours == theirs, (config, to)
