"""Microseconds of one scheduler step at 1x3x32x32, ours beside diffusers', in one run on one thread.

    UNNOISE_BUILD=build .venv/bin/python bench/scheduler_overhead.py [--markdown] [CLASS ...]

The network's output is there already; what is timed is scale_model_input and step. Best of 30 runs of 20 steps each.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

import diffusers
import torch

BUILD = pathlib.Path(os.environ.get("UNNOISE_BUILD", pathlib.Path(__file__).resolve().parents[1] / "build"))
STEPS = 20
CASES = {
    "DDPMScheduler": {}, "DDIMScheduler": {}, "PNDMScheduler": {"skip_prk_steps": True}, "LMSDiscreteScheduler": {},
    "EulerDiscreteScheduler": {}, "EulerAncestralDiscreteScheduler": {}, "HeunDiscreteScheduler": {}, "KDPM2DiscreteScheduler": {},
    "KDPM2AncestralDiscreteScheduler": {}, "DPMSolverMultistepScheduler": {}, "DPMSolverSinglestepScheduler": {},
    "DPMSolverSDEScheduler": {}, "UniPCMultistepScheduler": {}, "DEISMultistepScheduler": {}, "SASolverScheduler": {},
    "EDMEulerScheduler": {}, "EDMDPMSolverMultistepScheduler": {}, "LCMScheduler": {}, "TCDScheduler": {},
    "FlowMatchEulerDiscreteScheduler": {}, "FlowMatchHeunDiscreteScheduler": {},
}


def theirs(name, config):
    scheduler = getattr(diffusers, name)(**config)
    best = float("inf")
    output = torch.randn(1, 3, 32, 32)
    for _ in range(30):
        scheduler.set_timesteps(STEPS)
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(1, 3, 32, 32) * scheduler.init_noise_sigma if hasattr(scheduler, "init_noise_sigma") else torch.randn(1, 3, 32, 32)
        takes = "generator" in scheduler.step.__code__.co_varnames[: scheduler.step.__code__.co_argcount]
        begin = time.perf_counter()
        for t in scheduler.timesteps:
            if hasattr(scheduler, "scale_model_input"):
                scheduler.scale_model_input(x, t)
            x = scheduler.step(output, t, x, **({"generator": generator} if takes else {})).prev_sample
        best = min(best, (time.perf_counter() - begin) / len(scheduler.timesteps) * 1e6)
    return best


def ours():
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"timing": [{"name": n, "class": n, "config": c, "steps": STEPS} for n, c in CASES.items()]}, file)
        file.flush()
        done = subprocess.run([BUILD / "scheduler_driver", file.name], capture_output=True, text=True, check=True,
                              env={**os.environ, "OMP_NUM_THREADS": "1"})
    return json.loads(done.stdout)["microseconds"]


def main():
    wanted = [a for a in sys.argv[1:] if not a.startswith("--")]
    for name in [n for n in CASES if wanted and n not in wanted]:
        del CASES[name]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    mine = ours()
    markdown = "--markdown" in sys.argv
    if markdown:
        print("| class | unnoise, µs a step | diffusers, µs a step | ratio |\n| --- | --- | --- | --- |")
    for name, config in CASES.items():
        other = theirs(name, config)
        row = (name, f"{mine[name]:.1f}", f"{other:.0f}", f"{mine[name] / other:.3f}")
        print("| " + " | ".join(row) + " |" if markdown else "{:<34} {:>8} {:>8} {:>8}".format(*row), flush=True)


main()
