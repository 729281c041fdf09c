"""Shared by the interop suites: the real diffusers on one side, the built programs on the other."""
import json
import os
import pathlib
import subprocess

import pytest
import torch

torch.set_num_threads(2)
BUILD = pathlib.Path(os.environ.get("UNNOISE_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))


# The suites run with the kernels and, as a second entry of ctest, with LibTorch's operators.
KERNELS = os.environ.get("UNNOISE_KERNELS", "fast")


def run(program, *args, check=True, **kwargs):
    """Runs a built program; on failure the test shows what it printed."""
    if KERNELS != "fast" and program in ("unet_driver", "training_driver"):
        args = (*args, KERNELS)
    if KERNELS != "fast" and program == "unnoise" and args[:1] in (("train",), ("sample",)) and "--kernels" not in args:
        args = (*args, "--kernels", KERNELS)
    done = subprocess.run([str(BUILD / program), *map(str, args)], capture_output=True, text=True, **kwargs)
    if check and done.returncode != 0:
        pytest.fail(f"{program} {' '.join(map(str, args))} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


@pytest.fixture
def unnoise():
    """unnoise("sample", "--model", path, ...) -> CompletedProcess"""
    return lambda *args, **kwargs: run("unnoise", *args, **kwargs)


@pytest.fixture
def driver(tmp_path):
    """driver("scheduler_driver", request) runs a test program on a JSON request file and returns the completed process."""

    def call(name, request, **kwargs):
        path = tmp_path / "request.json"
        path.write_text(json.dumps(request))
        return run(name, path, **kwargs)

    return call


@pytest.fixture
def ours(driver, tmp_path):
    """For scheduler_sweep.sweep: runs all loops in the program; ({"NAME.sample": tensor, ...}, {NAME: error})."""
    from safetensors.torch import load_file

    def call(cases):
        out = tmp_path / "sweep.safetensors"
        done = driver("scheduler_driver", {"out": str(out), "sweep": cases})
        return load_file(out), json.loads(done.stdout)["errors"]

    return call


def relative_error(ours, theirs):
    """Largest absolute difference over the reference's largest magnitude."""
    return ((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max().clamp_min(1e-12)).item()
