"""A hub, a home folder and the program in it: what the suites about sharing have in common. Fixtures: pictures, trained, world."""
import json
import os
import pathlib
import subprocess
import time

import huggingface_hub
import pytest
from huggingface_hub import HfApi, snapshot_download

from hub_server import Hub

BUILD = pathlib.Path(os.environ.get("UNNOISE_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
huggingface_hub.constants.HF_HUB_DISABLE_XET = True  # the protocol that every server speaks, and this program
huggingface_hub.utils.disable_progress_bars()

TOKEN, OTHER_TOKEN = "hf_SecretOfAda0123456789", "hf_SecretOfBob0123456789"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
TINY = {"sample_size": 16, "in_channels": 3, "out_channels": 3, "layers_per_block": 1, "block_out_channels": [32, 64],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "norm_num_groups": 8}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    from PIL import Image
    folder = tmp_path_factory.mktemp("data") / "my pictures"
    folder.mkdir()
    for i in range(8):
        Image.effect_noise((20, 20), 10 + 9 * i).convert("RGB").save(folder / f"{i}.png")
    return folder


def train_arguments(pictures, out, *extra):
    config = out.parent / "tiny.json"
    config.write_text(json.dumps(TINY))
    return ["train", "--train-data-dir", pictures, "--model-config-name-or-path", config, "--output-dir", out, "--train-batch-size", 4,
            "--num-epochs", 2, "--eval-batch-size", 4, "--eval-scheduler", "ddim", "--ddpm-num-inference-steps", 2, "--lr-warmup-steps", 1,
            "--checkpointing-steps", 2, "--learning-rate", "3e-4", "--use-ema", "--random-flip", *extra]


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "tiny model"
    subprocess.run([BUILD / "unnoise", *map(str, train_arguments(pictures, out, "--license", "cc0-1.0"))], check=True, capture_output=True)
    return out


class World:
    """A server, a home folder, and the program in it. Nobody's environment leaks in."""

    def __init__(self, folder, hub):
        self.folder, self.hub = folder, hub
        self.home = folder / "home"
        self.home.mkdir()
        self.cache = self.home / "hub"
        self.outputs = []
        self.token_file = folder / "my-token"
        self.token_file.write_text(TOKEN + "\n")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "XDG_")) and "proxy" not in key.lower()}
        self.environment = kept | {"HOME": str(self.home), "HF_HOME": str(self.home), "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "LC_ALL": "C.UTF-8"}
        self.api = HfApi(hub.endpoint, token=TOKEN)

    def start(self, *args, **environment):
        return subprocess.Popen([str(BUILD / "unnoise"), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self.environment | environment, cwd=self.folder)

    def finish(self, process):
        out, err = process.communicate(timeout=120)
        self.outputs += [out, err]
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def run(self, *args, code=0, **environment):
        done = self.finish(self.start(*args, **environment))
        assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
        return done

    def python_download(self, name="ada/m", **options):
        options = {"cache_dir": self.cache, "token": TOKEN, "endpoint": self.hub.endpoint} | options
        return snapshot_download(name, **options)

    def assert_no_secret_is_anywhere(self):
        for text in self.outputs:
            assert TOKEN not in text and OTHER_TOKEN not in text
        for path in self.folder.rglob("*"):
            if path.is_file() and path != self.token_file:
                assert TOKEN.encode() not in path.read_bytes(), path
        assert not [r for r in self.hub.requests if r.host == "storage" and "Authorization" in r.headers]


@pytest.fixture(params=["whole"])
def world(request, tmp_path):
    with Hub(part_size={"whole": None, "parts": 100_000}[request.param], page=3) as hub:
        hub.users |= {TOKEN: "ada", OTHER_TOKEN: "bob"}
        world = World(tmp_path, hub)
        yield world
        world.assert_no_secret_is_anywhere()


in_both_transfers = pytest.mark.parametrize("world", ["whole", "parts"], indirect=True)


def files_below(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and ".cache" not in p.parts}


def pipeline_of(run):
    """What is to be shared of a run folder."""
    return {name: content for name, content in files_below(run).items()
            if name.split("/")[0] in ("unet", "scheduler", "model_index.json", "README.md", "loss.svg") or name == "samples/epoch-0002.png"}


def without_attributes(files):
    return {name: content for name, content in files.items() if name != ".gitattributes"}


def push_by_python(world, folder, name="ada/m", **options):
    world.api.create_repo(name, exist_ok=True)
    return world.api.upload_folder(folder_path=folder, repo_id=name, ignore_patterns=["checkpoint-*", "logs/*"], **options)


def wait_until(condition):
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it did not happen in 10 s")
