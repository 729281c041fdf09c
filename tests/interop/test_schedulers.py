"""DDPM and DDIM against the installed diffusers: tables bit for bit, timesteps one by one, whole sampling loops.

The network is a stand-in that both sides compute alike, x t / (t + 1), so that only the scheduler can differ.
"""
import itertools
import json

import pytest
import torch
from conftest import relative_error
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.schedulers.scheduling_ddpm import betas_for_alpha_bar
from safetensors.torch import load_file

CLASSES = {"DDPMScheduler": DDPMScheduler, "DDIMScheduler": DDIMScheduler}
BETAS = ["linear", "scaled_linear", "squaredcos_cap_v2", "laplace", "sigmoid", "exp"]
SPACINGS = ["leading", "linspace", "trailing"]
PREDICTIONS = ["epsilon", "sample", "v_prediction"]
LIMITS = {
    "clip": {"clip_sample": True},
    "wide": {"clip_sample": True, "clip_sample_range": 2.5},
    "threshold": {"thresholding": True, "dynamic_thresholding_ratio": 0.87, "sample_max_value": 1.5},
    "free": {"clip_sample": False},
}
SHAPE = [2, 3, 4, 4]
# Both sides do the same float32 operations in the same order: bit-equal with one LibTorch, an ulp a step apart with two.
TOLERANCE = 1e-6


def reference(name, config):
    """diffusers' scheduler; a beta schedule that its class lacks goes in as trained_betas, from diffusers' own functions."""
    config = dict(config)
    schedule = config.get("beta_schedule", "linear")
    lacking = ["exp"] if name == "DDPMScheduler" else ["exp", "laplace", "sigmoid"]
    if schedule in lacking:
        steps = config.get("num_train_timesteps", 1000)
        if schedule == "sigmoid":
            betas = DDPMScheduler(beta_schedule="sigmoid", num_train_timesteps=steps).betas
        else:
            betas = betas_for_alpha_bar(steps, alpha_transform_type=schedule)
        config.update(trained_betas=betas.tolist(), beta_schedule="linear")
    return CLASSES[name](**config)


def run_reference(case):
    scheduler = reference(case["class"], case["config"])
    start = dict(case["start"])
    steps, timesteps = start.pop("steps", None), start.pop("timesteps", None)
    scheduler.set_timesteps(steps) if timesteps is None else scheduler.set_timesteps(timesteps=timesteps)
    generator = torch.Generator().manual_seed(case["seed"])
    x = torch.randn(case["shape"], generator=generator)
    for t in scheduler.timesteps:
        time = t.to(x.dtype)
        out = x * time / (time + 1)
        if case.get("learned"):
            out = torch.cat([out, x.abs() / 20], dim=1)
        step = scheduler.step(out, t, x, generator=generator, **start)
        x = step.prev_sample
    return x, step.pred_original_sample


@pytest.fixture
def results(driver, tmp_path):
    def call(**request):
        driver("scheduler_driver", {"out": str(tmp_path / "out.safetensors"), **request})
        return load_file(tmp_path / "out.safetensors")

    return call


def compare(results, cases):
    """All cases in one call; the worst is reported by its settings. Returns how often the reference was not finite."""
    for i, case in enumerate(cases):
        case.update(name=str(i), seed=i % 7, shape=SHAPE)
    got = results(loops=cases)
    not_finite = 0
    for case in cases:
        x, x0 = run_reference(case)
        sample = got[case["name"] + ".sample"]
        assert sample.isfinite().all(), case
        if not (x.isfinite().all() and x0.isfinite().all()):
            not_finite += 1
            continue
        assert relative_error(sample, x) < TOLERANCE, case
        assert relative_error(got[case["name"] + ".x0"], x0) < TOLERANCE, case
    return not_finite


def config_of(beta, spacing, prediction, limit, **more):
    return {"beta_schedule": beta, "timestep_spacing": spacing, "prediction_type": prediction, **LIMITS[limit], **more}


GRID = list(itertools.product(BETAS, SPACINGS, PREDICTIONS, LIMITS))


@pytest.mark.parametrize("name", CLASSES)
def test_tables_are_bit_equal(results, name):
    configs = [{"beta_schedule": b, "num_train_timesteps": n} for b in BETAS for n in (2, 10, 1000, 4000)]
    configs += [
        {"beta_schedule": b, "num_train_timesteps": n, "beta_start": 0.00085, "beta_end": 0.012, "rescale_betas_zero_snr": True}
        for b in BETAS[:3]
        for n in (10, 1000)
    ]
    configs += [{"trained_betas": [0.1, 0.3, 0.25], "num_train_timesteps": 3}]
    got = results(tables=[{"name": str(i), "class": name, "config": c} for i, c in enumerate(configs)])
    for i, config in enumerate(configs):
        theirs = reference(name, config)
        for table in ("betas", "alphas", "alphas_cumprod"):
            assert torch.equal(got[f"{i}.{table}"], getattr(theirs, table)), (config, table)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("train", [1000, 50])
def test_timesteps_are_equal_for_every_number_of_steps(results, name, train):
    configs = [{"timestep_spacing": s, "steps_offset": o, "num_train_timesteps": train} for s in SPACINGS for o in (0, 1)]
    steps = list(range(1, train + 1))
    got = results(grids=[{"name": str(i), "class": name, "config": c, "steps": steps} for i, c in enumerate(configs)])
    for i, config in enumerate(configs):
        theirs = reference(name, config)
        grids = torch.split(got[f"{i}.timesteps"], steps)
        for n, grid in zip(steps, grids):
            theirs.set_timesteps(n)
            expected = theirs.timesteps
            if expected.max() >= train:  # sampling then fails with an index error
                assert n == train and config["steps_offset"] == 1
                expected = expected - 1
            if expected.min() < 0:  # rounding made one timestep too many, -1, which destroys the picture
                assert len(expected) == n + 1 and config["timestep_spacing"] == "trailing"
                expected = expected[:-1]
            assert torch.equal(grid, expected), (config, n)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_small_log", "fixed_large", "learned", "learned_range"])
def test_ddpm_loops(results, variance):
    cases = []
    for i, axes in enumerate(GRID):
        for n in {(1, 5, 20)[i % 3], (2, 3, 10)[i % 3]}:
            config = config_of(*axes, variance_type=variance)
            cases.append({"class": "DDPMScheduler", "config": config, "start": {"steps": n}, "learned": "learned" in variance})
    assert compare(results, cases) == 0


def test_ddim_loops(results):
    cases = []
    axes = itertools.product(GRID, [0.0, 0.5, 1.0])
    for i, (setting, eta) in enumerate(axes):
        more = {"set_alpha_to_one": i % 2 == 0, "steps_offset": i % 5 % 2}
        for n in {(1, 5, 20)[i % 3], (2, 3, 10)[(i // 3) % 3]}:
            start = {"steps": n, "eta": eta, "use_clipped_model_output": i % 4 == 3}
            cases.append({"class": "DDIMScheduler", "config": config_of(*setting, **more), "start": start})
    assert compare(results, cases) == 0


@pytest.mark.parametrize("name", CLASSES)
def test_long_loops(results, name):
    cases = []
    for i, (beta, spacing) in enumerate(itertools.product(BETAS, SPACINGS)):
        config = config_of(beta, spacing, PREDICTIONS[(i + i // 3) % 3], list(LIMITS)[i % 3])
        for n in [50] + [(999, 1000)[i % 2]] * (i % 3 == i // 3 % 3):
            cases.append({"class": name, "config": config, "start": {"steps": n}})
    assert compare(results, cases) == 0


@pytest.mark.parametrize("name", CLASSES)
def test_zero_terminal_snr_loops(results, name):
    cases = []
    for spacing, prediction, limit, n in itertools.product(SPACINGS, PREDICTIONS, LIMITS, (1, 2, 10, 50)):
        if prediction == "epsilon" and limit == "free":
            continue  # pure noise tells nothing about the picture: an error here, NaN there
        config = config_of("scaled_linear", spacing, prediction, limit, rescale_betas_zero_snr=True)
        cases.append({"class": name, "config": config, "start": {"steps": n}})
    not_finite = compare(results, cases)
    assert not_finite <= sum(c["config"]["prediction_type"] == "epsilon" for c in cases)  # diffusers: (x - eps) / 0


def test_ddpm_custom_timesteps(results):
    lists = [[999, 500, 20, 0], [900, 500, 100, 1], [0], [700]]
    cases = [{"class": "DDPMScheduler", "config": config_of("linear", "leading", p, "clip"), "start": {"timesteps": t}}
             for t in lists for p in PREDICTIONS]
    assert compare(results, cases) == 0


def test_configs_convert_as_in_diffusers(driver):
    sources = [
        {"_class_name": "DDPMScheduler", "_diffusers_version": "0.1.1", "beta_end": 0.01, "variance_type": "fixed_large"},
        {"_class_name": "DDPMScheduler", "prediction_type": "v_prediction", "clip_sample": False, "made_up": [1, 2]},
        {"_class_name": "DDIMScheduler", "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1},
        {"_class_name": "DDIMScheduler", "trained_betas": None, "timestep_spacing": "trailing", "clip_sample_range": 2},
    ]
    cases = [{"config": source, "to": to} for source in sources for to in CLASSES]
    got = json.loads(driver("scheduler_driver", {"configs": cases}).stdout)["configs"]
    for case, config in zip(cases, got):
        scheduler = CLASSES[case["config"]["_class_name"]].from_config(case["config"])
        assert config == json.loads(CLASSES[case["to"]].from_config(scheduler.config).to_json_string()), case
