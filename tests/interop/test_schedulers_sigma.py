"""k-diffusion's schedulers (steps in sigma) against the installed diffusers, over their whole config space."""
import warnings

import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverSDEScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LMSDiscreteScheduler,
)
from diffusers.schedulers.deprecated.scheduling_karras_ve import KarrasVeScheduler
from scheduler_sweep import network, sweep

# diffusers steps by x + (x - x0) / sigma * (sigma_next - sigma): a step down from sigma leaves rounding of about 1e-7 sigma, which is all
# that there is of a sample that should be 0. Ours steps a part of the way to x0, which does not cancel.
OF_NOISE = 1e-2
BETAS = [{}, {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}, {"beta_schedule": "squaredcos_cap_v2"},
         {"beta_start": 0.001, "beta_end": 0.03}, {"trained_betas": np.linspace(0.001, 0.08, 100).tolist(), "num_train_timesteps": 100}]
GRIDS = [{}, {}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]
SPACE = {
    "num_train_timesteps": [1000, 1000, 1000, 1100, 200],
    "betas": BETAS,
    "grid": GRIDS,
    "prediction_type": ["epsilon", "epsilon", "v_prediction", "sample"],
    "timestep_spacing": ["linspace", "leading", "trailing"],
    "steps_offset": [0, 0, 1],
}
LISTS = [[999, 850, 736, 645, 545, 455, 343, 233, 124, 24], [999, 600, 200, 10], [700.5, 300.25], [500], [999, 0]]
SIGMAS = [[14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.0],
          [700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.0], [5.0, 0.5], [80.0, 2.0, 0.001]]


def expand(case):
    """The groups of keys that belong together, in place."""
    for group in ("betas", "grid"):
        case["config"].update(case["config"].pop(group, {}))


def with_lists(case):
    """Timesteps or sigmas of one's own in some cases, never both; a training table that they fit."""
    expand(case)
    start, config = case["start"], case["config"]
    if "sigmas" in start:
        start.pop("timesteps", None)
    if "timesteps" in start:
        config["num_train_timesteps"] = 1000
        if "trained_betas" in config:
            config.pop("trained_betas")


def without_leaps(case):
    """Two calls a stretch: the slope at the lower level is (x - x0) / sigma, whose rounding a few long steps down from 2000 or 20000
    (squaredcos) magnify to any size, in both programs."""
    with_lists(case)
    config, start = case["config"], case["start"]
    if config.get("beta_schedule") == "squaredcos_cap_v2" or config.get("beta_start") == 0.001:
        start.pop("timesteps", None)
        start["steps"] = max(start.get("steps", 10), 10)
    if len(start.get("timesteps", [])) < 2 and start.get("steps", 1) < 2:
        start.pop("begin", None)


def grid_of(cls, case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = cls(**case["config"])
        grid = {k: case["start"][k] for k in ("timesteps", "sigmas") if k in case["start"]}
        scheduler.set_timesteps(**(grid or {"num_inference_steps": case["start"]["steps"]}))
    return scheduler


def differs_for(cls, also=lambda case, scheduler: None):
    """Why a case differs on purpose; each is a row of docs/samplers.md."""

    def differs(case):
        config, start = case["config"], case["start"]
        train, spacing = config.get("num_train_timesteps", 1000), config.get("timestep_spacing", "linspace")
        steps = start.get("steps")
        if steps and steps > train and spacing != "linspace":
            return "more steps than timesteps: refused"
        if steps and spacing == "trailing" and len(np.arange(train, 0, -train / steps)) != steps:
            return "rounding made a step too many, to timestep -1"
        if steps and spacing == "leading" and (steps - 1) * (train // steps) + config.get("steps_offset", 0) >= train:
            return "the offset reached past the last timestep"
        try:
            scheduler = grid_of(cls, case)
        except Exception:  # noqa: BLE001 - diffusers refuses
            return None
        t = scheduler.timesteps
        if not start.get("begin") and (t == t[0]).sum() > 1:
            return "the first timestep comes twice: diffusers skips a step and runs off its table"
        return also(case, scheduler)

    return differs


def test_euler(ours):
    space = {
        **SPACE,
        "interpolation_type": ["linear", "linear", "log_linear"],
        "range": [{}, {}, {"sigma_min": 0.002, "sigma_max": 80.0}, {"sigma_max": 20.0}, {"sigma_min": 0.05}],
        "timestep_type": ["discrete", "discrete", "continuous"],
        "rescale_betas_zero_snr": [False, False, True],
        "final_sigmas_type": ["zero", "zero", "sigma_min"],
    }
    starts = {"timesteps": [None] * 5 + LISTS, "sigmas": [None] * 8 + SIGMAS, "begin": [None, None, 1],
              "s_churn": [None, 0.0, 5.0, 1000.0], "s_tmin": [None, 0.5], "s_tmax": [None, 40.0], "s_noise": [None, 1.003]}

    def prepare(case):
        case["config"].update(case["config"].pop("range"))
        with_lists(case)
        given = case["start"].get("timesteps") or case["start"].get("sigmas", [0, 0])[1:] or [0]
        if min(len(given), case["start"].get("steps", len(given))) < 2:
            case["start"].pop("begin", None)

    def one_more(case, scheduler):
        if "steps" in case["start"] and len(scheduler.timesteps) > case["start"]["steps"]:
            return "continuous timesteps with log_linear levels: diffusers takes one step more than asked"
        return None

    sweep(ours, EulerDiscreteScheduler, space, starts=starts, cases=120, prepare=prepare, differs=differs_for(EulerDiscreteScheduler, one_more),
          of_noise=OF_NOISE, at_least=60)


SHARED = {k: v for k, v in SPACE.items() if k != "grid"}


def no_sample(case, scheduler):
    return "a network that predicts the sample is refused" if case["config"]["prediction_type"] == "sample" else None


def test_euler_ancestral(ours):
    cls = EulerAncestralDiscreteScheduler
    space = {**SHARED, "rescale_betas_zero_snr": [False, False, True]}
    sweep(ours, cls, space, cases=75, prepare=expand, differs=differs_for(cls, no_sample), of_noise=OF_NOISE)


def test_heun(ours):
    cls = HeunDiscreteScheduler
    space = {**SPACE, "clip_sample": [False, False, True], "clip_sample_range": [1.0, 2.5],
             "betas": [*BETAS, {"beta_schedule": "exp"}]}
    starts = {"timesteps": [None] * 5 + LISTS, "begin": [None, None, 2]}
    sweep(ours, cls, space, starts=starts, cases=75, prepare=without_leaps, differs=differs_for(cls), of_noise=OF_NOISE)


def test_lms(ours):
    cls = LMSDiscreteScheduler

    def near_levels(case, scheduler):
        if case["start"]["steps"] > 100 and case["config"].get("use_beta_sigmas"):
            return "coefficients of levels so near each other that diffusers' float32 integrand cancels"
        return None

    # 1e-3 where the same cancellation is milder
    sweep(ours, cls, SPACE, starts={"order": [None, 1, 2, 3, 4, 6]}, cases=60, prepare=expand, differs=differs_for(cls, near_levels),
          of_noise=OF_NOISE, tolerance=lambda case: 1e-3 if case["start"]["steps"] > 100 else 1e-4)


@pytest.mark.parametrize("cls", [KDPM2DiscreteScheduler, KDPM2AncestralDiscreteScheduler])
def test_kdpm2(ours, cls):
    sweep(ours, cls, SPACE, starts={"begin": [None, None, 2]}, cases=75, prepare=without_leaps,
          differs=differs_for(cls, no_sample), of_noise=OF_NOISE)


def from_one_stream(scheduler, case):
    """Everything from the global generator, as in a pipeline without one: the tree's seed follows the initial noise."""
    start = dict(case["start"])
    scheduler.set_timesteps(start["steps"])
    if start.get("begin"):
        scheduler.set_begin_index(start["begin"])
    torch.manual_seed(case["seed"])
    x = torch.randn(case["shape"]) * scheduler.init_noise_sigma
    timesteps = scheduler.timesteps[start.get("begin", 0):]
    for t in timesteps:
        out = network(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(out, t, x, s_noise=start.get("s_noise", 1.0)).prev_sample
    return x, timesteps, scheduler.sigmas


def test_dpm_sde(ours):
    cls = DPMSolverSDEScheduler
    space = {**SPACE, "noise_sampler_seed": [None, 0, 7, 2**40 + 3]}

    # 1000 steps take torchsde half a minute
    sweep(ours, cls, space, starts={"begin": [None, None, 2], "s_noise": [None, 1.003]}, cases=75, steps=[1, 2, 3, 5, 10, 20, 50, 100],
          prepare=without_leaps, differs=differs_for(cls, no_sample), loop=from_one_stream, of_noise=OF_NOISE)


def karras_ve_loop(scheduler, case):
    """KarrasVePipeline."""
    generator = torch.Generator().manual_seed(case["seed"])
    scheduler.set_timesteps(case["start"]["steps"])
    x = torch.randn(case["shape"], generator=generator) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        sigma = scheduler.schedule[t]
        sigma_prev = scheduler.schedule[t - 1] if t > 0 else 0
        x_hat, sigma_hat = scheduler.add_noise_to_input(x, sigma, generator=generator)
        out = (sigma_hat / 2) * network((x_hat + 1) / 2, sigma_hat / 2)
        step = scheduler.step(out, sigma_hat, sigma_prev, x_hat)
        if sigma_prev != 0:
            out = (sigma_prev / 2) * network((step.prev_sample + 1) / 2, sigma_prev / 2)
            step = scheduler.step_correct(out, sigma_hat, sigma_prev, x_hat, step.prev_sample, step["derivative"])
        x = step.prev_sample
    return x, scheduler.timesteps, None


def test_karras_ve(ours):
    # The stand-in's score makes x grow without bounds at sigma = 10000: small levels, so that it stays a number.
    space = {"sigma_min": [0.02, 0.3, 0.1], "sigma_max": [1.0, 1.5, 2.0], "s_noise": [1.007, 1.0], "s_churn": [0, 80, 5.0],
             "s_min": [0.05, 0], "s_max": [50, 0.7]}
    sweep(ours, KarrasVeScheduler, space, cases=60, steps=[2, 3, 5, 10, 20, 50], loop=karras_ve_loop, compare_grid=False)
