"""Random configurations of one scheduler class through whole sampling loops, diffusers beside unnoise.

    SPACE = {"prediction_type": ["epsilon", "v_prediction"], "use_karras_sigmas": [False, True], ...}
    def test_euler(ours):
        sweep(ours, EulerDiscreteScheduler, SPACE)

The network is a stand-in that both sides compute alike, x t / (|t| + 1), so that only the scheduler can differ. What is compared:
timesteps, sigmas (where diffusers keeps them), the final sample; and where diffusers refuses, unnoise must refuse too.
"""
import inspect
import json
import math
import os
import random
import warnings
import zlib

import torch
from conftest import relative_error

STEPS = [1, 2, 3, 5, 10, 20, 50, 999, 1000]
SHAPE = [2, 3, 4, 4]
TOLERANCE = 1e-4  # relative, after a whole loop
# Timesteps and sigmas are the same formulas in the same precision; NumPy's and LibTorch's float32 logarithms may differ in the
# last bit, which the inverse (timestep of a sigma) turns into a few 1e-6 of a timestep.
GRID_TOLERANCE = 1e-5


def network(x, t, learned=False):
    time = t.to(x.dtype)
    out = x * time / (time.abs() + 1)
    return torch.cat([out, x.abs() / 20], dim=1) if learned else out


def accepted(function, **arguments):
    """Those of the arguments that the function takes."""
    names = inspect.signature(function).parameters
    return {k: v for k, v in arguments.items() if k in names}


# StartOptions of ours that are arguments of set_timesteps there; all others go to step().
GRID_ARGUMENTS = ["timesteps", "sigmas", "original_inference_steps", "strength", "mu"]


def reference_loop(scheduler, case):
    """diffusers' pipelines: noise, then scale, call, step. Returns the final sample, the timesteps and the sigmas (or None)."""
    start = dict(case["start"])
    grid = {k: start.pop(k) for k in GRID_ARGUMENTS if k in start}
    steps, begin = start.pop("steps", None), start.pop("begin", 0)
    if "timesteps" not in grid and "sigmas" not in grid:
        grid["num_inference_steps"] = steps
    scheduler.set_timesteps(**grid)
    if begin:
        scheduler.set_begin_index(begin)
    generator = torch.Generator().manual_seed(case["seed"])
    torch.manual_seed(case["seed"])
    x = torch.randn(case["shape"], generator=generator) * getattr(scheduler, "init_noise_sigma", 1.0)
    timesteps = scheduler.timesteps[begin:]
    for t in timesteps:
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        out = network(scaled, t, case.get("learned"))
        x = scheduler.step(out, t, x, **accepted(scheduler.step, generator=generator), **start).prev_sample
    sigmas = getattr(scheduler, "sigmas", None)
    return x, timesteps, sigmas


def draw_cases(cls, space, starts, cases, steps):
    """`cases` random points of the space; each number of steps comes up about as often as every other."""
    rng = random.Random(zlib.crc32(cls.__name__.encode()))
    out = []
    for i in range(cases):
        config = {k: rng.choice(v) for k, v in space.items()}
        start = {k: rng.choice(v) for k, v in starts.items()}
        start = {k: v for k, v in start.items() if v is not None}
        if "timesteps" not in start and "sigmas" not in start:
            start["steps"] = steps[i % len(steps)]
        out.append({"name": str(i), "class": cls.__name__, "config": config, "start": start, "seed": i % 7, "shape": SHAPE})
    return out


def run_reference(cls, case, loop):
    """(sample, timesteps, sigmas), or the exception that diffusers raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return loop(cls(**case["config"]), case)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what diffusers does
            return error


def report(cls, worst, refused):
    """One JSON line a class into $UNNOISE_SWEEP_REPORT: the numbers of the documentation."""
    path = os.environ.get("UNNOISE_SWEEP_REPORT")
    if path:
        with open(path, "a") as file:
            file.write(json.dumps({"class": cls.__name__, "worst": worst, "refused": refused}) + "\n")


def shortened(cases):
    """Keeps the suite short: the first half of a long sweep, and of the ways of hundreds of steps, which take nearly all the time, every fourth."""
    cases = cases[:len(cases) // 2] if len(cases) >= 200 else cases
    long = [case for case in cases if case["start"].get("steps", 0) > 100]
    return [case for case in cases if case not in long or long.index(case) % 4 == 0]


def sweep(ours, cls, space, *, starts={}, cases=48, steps=STEPS, differs=lambda case: None, prepare=None, loop=reference_loop,
          tolerance=TOLERANCE, grid_tolerance=GRID_TOLERANCE, compare_grid=True, of_noise=0.0, at_least=40):
    """
    space     config key -> values; starts: StartOptions key -> values (None = not given)
    differs   case -> why the two differ on purpose (a row of docs/samplers.md), or None. Then ours need only be finite or refuse.
    prepare   changes a drawn case (to keep keys together that belong together), or returns False to leave it out
    tolerance a number, or case -> number with its reason beside it
    of_noise  the error is relative to the final sample, or to this part of 1 + the highest sigma where that is more: what
              rounding leaves of the initial noise
    """
    drawn = draw_cases(cls, space, starts, cases, steps)
    if not os.environ.get("UNNOISE_LONG_SWEEP"):
        kept = shortened(drawn)
        at_least, drawn = math.floor(at_least * len(kept) / len(drawn)) - 1, kept
    drawn = [c for c in drawn if prepare is None or prepare(c) is not False]
    got, errors = ours(drawn)
    compared, refused, worst = 0, 0, 0.0
    for case in drawn:
        name = case["name"]
        theirs = run_reference(cls, case, loop)
        reason = differs(case)
        if isinstance(theirs, Exception):
            assert reason or name in errors, f"diffusers refuses, unnoise does not: {case}\n{theirs!r}"
            refused += 1
            continue
        x, timesteps, sigmas = theirs
        if reason or not x.isfinite().all():
            assert name in errors or got[name + ".sample"].isfinite().all(), (case, reason)
            continue
        assert name not in errors, (case, errors.get(name))
        if compare_grid:
            assert len(timesteps) == len(got[name + ".timesteps"]), (case, timesteps, got[name + ".timesteps"])
            assert relative_error(got[name + ".timesteps"], timesteps) < grid_tolerance, (case, timesteps, got[name + ".timesteps"])
            if sigmas is not None:
                assert relative_error(got[name + ".sigmas"], sigmas) < grid_tolerance, (case, sigmas, got[name + ".sigmas"])
        error = relative_error(got[name + ".sample"], x)
        if of_noise:
            error *= min(1.0, (x.abs().max() / (of_noise * (1 + torch.as_tensor(sigmas).max()))).item())
        worst = max(worst, error)
        limit = tolerance(case) if callable(tolerance) else tolerance
        assert error < limit, (case, error)
        compared += 1
    report(cls, worst, refused)
    assert compared >= at_least, (compared, refused)
    return worst
