"""The methods that walk the table of abar, consistency models and SDEs beside the installed diffusers: random configurations
through whole sampling loops (see scheduler_sweep.py). The table itself and the dense grid of DDPM and DDIM: test_schedulers.py.
"""
import math

import pytest
import torch
from diffusers import (
    CMStochasticIterativeScheduler,
    DDIMInverseScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DDPMWuerstchenScheduler,
    IPNDMScheduler,
    LCMScheduler,
    PNDMScheduler,
    RePaintScheduler,
    SCMScheduler,
    ScoreSdeVeScheduler,
    TCDScheduler,
    UnCLIPScheduler,
)
from diffusers.schedulers.deprecated import ScoreSdeVpScheduler
from scheduler_sweep import GRID_ARGUMENTS, accepted, network, reference_loop, sweep

BETAS = {
    "beta_schedule": ["linear", "scaled_linear", "squaredcos_cap_v2"],
    "beta_start": [0.0001, 0.00085],
    "beta_end": [0.012, 0.02],
}
EPS_X0_V = ["epsilon", "sample", "v_prediction"]
SPACINGS = ["leading", "linspace", "trailing"]
CLIP = {"clip_sample": [False, True], "clip_sample_range": [1.0, 2.5]}
THRESHOLD = {"thresholding": [False, False, True], "dynamic_thresholding_ratio": [0.995, 0.87], "sample_max_value": [1.0, 1.5]}
ZERO_SNR = {"rescale_betas_zero_snr": [False, True]}


def from_begin(scheduler, case):
    """reference_loop for classes without set_begin_index: diffusers' image-to-image then just leaves out the first timesteps."""
    start = dict(case["start"])
    begin = start.pop("begin", 0)
    grid = {k: start.pop(k) for k in GRID_ARGUMENTS if k in start}
    if "timesteps" not in grid:
        grid["num_inference_steps"] = start.pop("steps")
    scheduler.set_timesteps(**grid)
    generator = torch.Generator().manual_seed(case["seed"])
    x = torch.randn(case["shape"], generator=generator)
    timesteps = scheduler.timesteps[begin:]
    for t in timesteps:
        out = network(x, t, case.get("learned"))
        x = scheduler.step(out, t, x, **accepted(scheduler.step, generator=generator), **start).prev_sample
    return x, timesteps, None


def small_begin(case):
    """No more steps left out than there are."""
    start = case["start"]
    count = start.get("steps") or len(start["timesteps"])
    if "begin" in start:
        start["begin"] = min(start["begin"], count - 1)


def too_many_timesteps(case):
    """np.arange(T, 0, -T/N) may reach 0 by rounding: diffusers then has a timestep -1, whose abar is that of pure noise."""
    config, steps = case["config"], case["start"].get("steps", 0)
    train = config.get("num_train_timesteps", 1000)
    if config.get("timestep_spacing") != "trailing" or not 0 < steps <= train:
        return None
    scheduler = DDIMScheduler(timestep_spacing="trailing", num_train_timesteps=train)
    scheduler.set_timesteps(steps)
    return "one timestep too many, -1" if len(scheduler.timesteps) > steps else None


def offset_past_the_table(case):
    config, steps = case["config"], case["start"].get("steps", 0)
    train = config.get("num_train_timesteps", 1000)
    if config.get("timestep_spacing") == "leading" and (steps - 1) * (train // max(steps, 1)) + config["steps_offset"] >= train:
        return "steps_offset beyond the last timestep: an index error in diffusers, as large as fits here"
    return None


def known(case):
    return too_many_timesteps(case) or offset_past_the_table(case)


DDPM_SPACE = {
    "num_train_timesteps": [1000, 1000, 400],
    **BETAS,
    "beta_schedule": BETAS["beta_schedule"] + ["laplace", "sigmoid"],
    "variance_type": ["fixed_small", "fixed_small_log", "fixed_large", "learned_range"],
    "prediction_type": EPS_X0_V,
    "timestep_spacing": SPACINGS,
    "steps_offset": [0, 1],
    **CLIP,
    **THRESHOLD,
    **ZERO_SNR,
}
TIMESTEPS = [None, None, None, [999, 500, 20, 0], [380, 300, 100, 1], [700], [0]]


def within_the_table(case):
    """Custom timesteps for the tables that have them."""
    if max(case["start"].get("timesteps", [0])) >= case["config"].get("num_train_timesteps", 1000):
        return False
    small_begin(case)
    return True


def test_ddpm(ours):
    def prepare(case):
        case["learned"] = case["config"]["variance_type"] == "learned_range"
        return within_the_table(case)

    sweep(ours, DDPMScheduler, DDPM_SPACE, starts={"timesteps": TIMESTEPS, "begin": [None, None, 1, 3]}, cases=180,
          prepare=prepare, loop=from_begin, differs=known)


def test_ddim(ours):
    space = {k: v for k, v in DDPM_SPACE.items() if k != "variance_type"}
    space["beta_schedule"] = BETAS["beta_schedule"]
    space["set_alpha_to_one"] = [False, True]
    starts = {"eta": [None, 0.4, 1.0], "use_clipped_model_output": [False, True], "begin": [None, None, 1, 3]}
    sweep(ours, DDIMScheduler, space, starts=starts, cases=180, prepare=small_begin, loop=from_begin, differs=known)


def test_ddim_inverse(ours):
    space = {
        "num_train_timesteps": [1000, 1000, 400],
        **BETAS,
        **CLIP,
        **ZERO_SNR,
        "prediction_type": EPS_X0_V,
        "timestep_spacing": ["leading", "trailing"],
        "steps_offset": [0, 1],
        "set_alpha_to_one": [False, True],
    }
    sweep(ours, DDIMInverseScheduler, space, starts={"begin": [None, None, 1, 3]}, cases=120, prepare=small_begin,
          loop=from_begin, differs=known)


@pytest.mark.parametrize("skip", [True, False])
def test_pndm(ours, skip):
    def prepare(case):
        if case["start"]["steps"] > case["config"]["num_train_timesteps"]:
            return False  # diffusers repeats timestep 0, unnoise refuses
        case["start"].setdefault("begin", 0)

    def differs(case):
        if not skip and case["start"]["steps"] < 4:
            return "fewer steps than Runge-Kutta's warm-up: an error in diffusers"
        return known(case)

    space = {
        "num_train_timesteps": [1000, 1000, 400],
        **BETAS,
        "skip_prk_steps": [skip],
        "set_alpha_to_one": [False, True],
        "prediction_type": ["epsilon", "v_prediction"],
        "timestep_spacing": SPACINGS,
        "steps_offset": [0, 1],
    }
    sweep(ours, PNDMScheduler, space, starts={"begin": [None, None, 1, 2, 3, 7] if skip else [None]}, cases=120, prepare=lambda c: (
        small_begin(c), prepare(c))[1], loop=from_begin, differs=differs)


DISTILLED_SPACE = {
    **BETAS,
    "num_train_timesteps": [1000, 1000, 400],
    "original_inference_steps": [50, 50, 100],
    "prediction_type": EPS_X0_V,
    **CLIP,
    **THRESHOLD,
    **ZERO_SNR,
    "timestep_scaling": [10.0, 5.0, 0.1],
}
DISTILLED_STARTS = {
    "timesteps": [None, None, None, [999, 759, 499, 259], [399, 100, 0], [39]],
    "original_inference_steps": [None, None, 20, 200],
    "strength": [None, None, 0.5, 0.82],
    "begin": [None, None, None, 1, 2],
}
FEW_STEPS = [1, 2, 3, 4, 5, 8, 10, 20, 50]


def noisy_end(case):
    start = case["start"]
    if "timesteps" in start and start.get("strength", 1) < 1:
        return "with custom timesteps and strength, diffusers adds noise after the last step"
    return None


def test_lcm(ours):
    sweep(ours, LCMScheduler, DISTILLED_SPACE, starts=DISTILLED_STARTS, steps=FEW_STEPS, cases=200, prepare=within_the_table,
          differs=noisy_end)


def test_tcd(ours):
    starts = {**DISTILLED_STARTS, "eta": [None, 0.0, 0.6, 1.0]}
    sweep(ours, TCDScheduler, DISTILLED_SPACE, starts=starts, steps=FEW_STEPS, cases=200, prepare=within_the_table,
          differs=noisy_end)


def test_cm_stochastic(ours):
    space = {
        "num_train_timesteps": [40, 201, 1000],
        "sigma_min": [0.002, 0.01, 0.05],
        "sigma_max": [80.0, 20.0],
        "sigma_data": [0.5, 1.0],
        "s_noise": [1.0, 0.9],
        "rho": [7.0, 4.0],
        "clip_denoised": [True, True, False],
    }
    starts = {"timesteps": [None, None, [22, 0], [39, 30, 17, 3], [5]], "begin": [None, None, 1, 2]}
    sweep(ours, CMStochasticIterativeScheduler, space, starts=starts, cases=120, prepare=small_begin, loop=reference_loop)


def first_noise(case, sigma=1.0):
    """The initial noise, and the generator that comes after it."""
    generator = torch.Generator().manual_seed(case["seed"])
    return torch.randn(case["shape"], generator=generator) * sigma, generator


def repaint_pipeline(scheduler, case):
    """RePaintPipeline's loop. Of the timesteps those count at which the network is called."""
    start = case["start"]
    x, generator = first_noise(case)
    count = math.prod(case["shape"])
    image = torch.arange(count).reshape(case["shape"]) % 7 / 3 - 1
    mask = (torch.arange(math.prod(case["shape"][2:])).reshape(1, 1, *case["shape"][2:]) % 3 == 0).float()
    scheduler.set_timesteps(start["steps"], start.get("jump_length", 10), start.get("jump_n_sample", 10))
    scheduler.eta = start.get("eta", scheduler.eta)
    called = []
    before = scheduler.timesteps[0] + 1
    for t in scheduler.timesteps:
        if t < before:
            called.append(t)
            x = scheduler.step(network(x, t), t, x, image, mask, generator).prev_sample
        else:
            x = scheduler.undo_step(x, before, generator)
        before = t
    return x, torch.stack(called), None


def test_repaint(ours):
    def prepare(case):
        case["known"] = True
        return case["start"]["steps"] * case["start"].get("jump_n_sample", 10) <= 3000  # seconds, not minutes

    space = {"num_train_timesteps": [1000, 400], **BETAS, "beta_schedule": BETAS["beta_schedule"] + ["sigmoid"],
             "eta": [0.0, 0.5, 1.0], "clip_sample": [True, False]}
    starts = {"eta": [None, 0.0, 0.7], "jump_length": [None, 1, 2, 7], "jump_n_sample": [1, 2, 3]}
    sweep(ours, RePaintScheduler, space, starts=starts, cases=90, prepare=prepare, loop=repaint_pipeline)


def unclip_pipeline(scheduler, case):
    """Its pipelines' loop: the step is told the timestep that it leads to, but for the last."""
    x, generator = first_noise(case)
    scheduler.set_timesteps(case["start"]["steps"])
    timesteps = scheduler.timesteps[case["start"].get("begin", 0):]
    for i, t in enumerate(timesteps):
        following = None if i + 1 == len(timesteps) else timesteps[i + 1]
        x = scheduler.step(network(x, t, case["learned"]), t, x, prev_timestep=following, generator=generator).prev_sample
    return x, timesteps, None


def test_unclip(ours):
    def prepare(case):
        case["learned"] = case["config"]["variance_type"] == "learned_range"
        small_begin(case)
        return case["start"]["steps"] <= case["config"]["num_train_timesteps"]  # diffusers repeats timesteps beyond

    space = {"num_train_timesteps": [1000, 1000, 400], "variance_type": ["fixed_small_log", "learned_range"], **CLIP,
             "prediction_type": ["epsilon", "sample"]}
    sweep(ours, UnCLIPScheduler, space, starts={"begin": [None, None, 1, 3]}, cases=100, prepare=prepare, loop=unclip_pipeline,
          differs=lambda case: "one step: a division by zero in diffusers" if case["start"]["steps"] == 1 else None)


def score_sde_ve_pipeline(scheduler, case):
    """ScoreSdeVePipeline's loop: what it returns is the mean of the last step."""
    x, generator = first_noise(case, scheduler.init_noise_sigma)
    steps = case["start"]["steps"]
    scheduler.set_timesteps(steps)
    scheduler.set_sigmas(steps)
    told = []
    for i, t in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[i]
        for _ in range(scheduler.config.correct_steps):
            told.append(sigma)
            x = scheduler.step_correct(network(x, sigma), x, generator=generator).prev_sample
        told.append(sigma)
        x, mean = scheduler.step_pred(network(x, sigma), t, x, generator=generator, return_dict=False)
    return mean, torch.stack(told), scheduler.sigmas


def test_score_sde_ve(ours):
    space = {
        "snr": [0.15, 0.05],
        "sigma_min": [0.01, 0.1],
        "sigma_max": [1348.0, 50.0],
        "sampling_eps": [1e-5, 1e-3],
        "correct_steps": [1, 1, 0, 2],
    }
    # The stand-in is no score: x grows by sigma^2 a step until it is infinite. Few steps stay finite.
    sweep(ours, ScoreSdeVeScheduler, space, steps=[1, 2, 3, 4, 5, 7], cases=100, loop=score_sde_ve_pipeline,
          differs=lambda case: "one step: diffusers takes sigma_min for its level" if case["start"]["steps"] == 1 else None)


def score_sde_vp_loop(scheduler, case):
    x, generator = first_noise(case)
    scheduler.set_timesteps(case["start"]["steps"])
    for t in scheduler.timesteps:
        x, mean = scheduler.step_pred(network(x, t), x, t, generator)
    return mean, scheduler.timesteps, None


def test_score_sde_vp(ours):
    space = {"beta_min": [0.1, 0.5], "beta_max": [20, 10.0], "sampling_eps": [1e-3, 1e-2], "num_train_timesteps": [2000]}
    sweep(ours, ScoreSdeVpScheduler, space, cases=60, loop=score_sde_vp_loop)


def test_ipndm(ours):
    def differs(case):
        betas = case["config"]["trained_betas"]
        return "trained_betas of another number of steps" if betas and case["start"]["steps"] != len(betas) - 1 else None

    space = {"num_train_timesteps": [1000, 400], "trained_betas": [None, None, None, [0.98, 0.7, 0.3, 0.0]]}
    sweep(ours, IPNDMScheduler, space, starts={"begin": [None, None, 1, 3]}, cases=70, prepare=small_begin, differs=differs)


def scm_loop(scheduler, case):
    """SanaSprintPipeline's: the last timestep is only where the run ends."""
    x, generator = first_noise(case)
    start = case["start"]
    if "timesteps" in start:
        scheduler.set_timesteps(len(start["timesteps"]) - 1, timesteps=start["timesteps"], max_timesteps=None,
                                intermediate_timesteps=None)
    else:
        scheduler.set_timesteps(start["steps"], intermediate_timesteps=1.3 if start["steps"] == 2 else None)
    begin = start.get("begin", 0)
    if begin:
        scheduler.set_begin_index(begin)
    timesteps = scheduler.timesteps[begin:-1]
    for t in timesteps:
        x = scheduler.step(network(x, t), t, x, generator=generator).prev_sample
    return x, timesteps, None


TIMES = [None, None, [1.5, 1.1, 0.4, 0.0], [1.0, 0.2]]


def within_the_times(case):
    start = case["start"]
    count = start.get("steps") or len(start["timesteps"]) - 1
    if "begin" in start:
        start["begin"] = min(start["begin"], count - 1)


def test_scm(ours):
    space = {"num_train_timesteps": [1000, 400], "sigma_data": [0.5, 1.0, 0.2], "prediction_type": ["trigflow"]}
    sweep(ours, SCMScheduler, space, starts={"timesteps": TIMES, "begin": [None, None, 1]}, cases=70, prepare=within_the_times,
          loop=scm_loop)


def wuerstchen_loop(scheduler, case):
    """Its pipelines': times a picture, the last only where the run ends."""
    x, generator = first_noise(case)
    start = case["start"]
    scheduler.set_timesteps(start.get("steps"), timesteps=start.get("timesteps"))
    timesteps = scheduler.timesteps[start.get("begin", 0):-1]
    for t in timesteps:
        x = scheduler.step(network(x, t), t.expand(len(x)), x, generator=generator).prev_sample
    return x, timesteps, None


def test_wuerstchen(ours):
    times = [None, None, [1.0, 0.7, 0.4, 0.0], [0.8, 0.2]]
    space = {"scaler": [1.0, 2.0, 0.5], "s": [0.008, 0.02]}
    sweep(ours, DDPMWuerstchenScheduler, space, starts={"timesteps": times, "begin": [None, None, 1]}, cases=70,
          prepare=within_the_times, loop=wuerstchen_loop)
