"""`unnoise sample` and `unnoise info` beside diffusers on the same folders and seeds, both directions."""
import contextlib
import io
import json
import logging
import random
import subprocess
import warnings

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from PIL import Image
from safetensors.torch import load_file

from conftest import BUILD, KERNELS, relative_error

DOWN = ["DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"]
UP = ["UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"]


def random_config(seed):
    """A small network with every option of UNet2DModel drawn at random."""
    r = random.Random(seed)
    if seed % 5 == 4:  # NCSN++: skip blocks, Fourier or positional time
        return dict(sample_size=16, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=[32, 64, 64], norm_num_groups=None, norm_eps=1e-6,
                    down_block_types=["SkipDownBlock2D", "AttnSkipDownBlock2D", "SkipDownBlock2D"], mid_block_scale_factor=2 ** 0.5,
                    up_block_types=["SkipUpBlock2D", "AttnSkipUpBlock2D", "SkipUpBlock2D"], attention_head_dim=r.choice([None, 8]))
    levels = r.choice([2, 3])
    size = r.choice([16, [16, 24]])
    config = dict(
        sample_size=size, in_channels=(channels := r.choice([1, 3])), out_channels=channels, layers_per_block=r.choice([1, 2]),
        block_out_channels=[r.choice([8, 16, 24]) for _ in range(levels)], down_block_types=[r.choice(DOWN) for _ in range(levels)],
        up_block_types=[r.choice(UP) for _ in range(levels)], norm_num_groups=r.choice([4, 8]), norm_eps=r.choice([1e-5, 1e-6]),
        act_fn=r.choice(["silu", "swish", "gelu", "mish", "relu"]), attention_head_dim=r.choice([None, 4, 8]), add_attention=r.choice([True, False]),
        downsample_padding=r.choice([0, 1]), downsample_type=r.choice(["conv", "resnet"]), upsample_type=r.choice(["conv", "resnet"]),
        flip_sin_to_cos=r.choice([True, False]), freq_shift=r.choice([0, 1]), resnet_time_scale_shift=r.choice(["default", "scale_shift"]),
        center_input_sample=r.choice([True, False]), mid_block_scale_factor=r.choice([1, 2 ** 0.5]), attn_norm_num_groups=r.choice([None, 4]),
        time_embedding_type=r.choice(["positional", "positional", "learned"]), dropout=r.choice([0.0, 0.1]))
    if config["attn_norm_num_groups"] is not None and config["resnet_time_scale_shift"] == "default":
        config["mid_block_type"] = r.choice(["UNetMidBlock2D", None])
    if config["time_embedding_type"] == "learned":
        config["num_train_timesteps"] = 1000
    return config


def quietly_loaded(cls, folder):
    """from_pretrained with every warning, Python's or the log's, an error."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("diffusers")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pipeline = cls.from_pretrained(folder)
    finally:
        logger.removeHandler(handler)
    assert stream.getvalue() == ""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def drawn(scheduler, unet, steps, count, generator, **kwargs):
    """The loop of diffusers' pipelines, without the conversion to pixels."""
    size = unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    from diffusers.utils.torch_utils import randn_tensor
    x = randn_tensor((count, unet.config.in_channels, height, width), generator=generator)
    scheduler.set_timesteps(steps)
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(unet(x, t).sample, t, x, generator=generator, **kwargs).prev_sample
    return x


@pytest.mark.parametrize("seed", range(24 if KERNELS == "fast" else 6))  # the operators are LibTorch's: a few networks will do
def test_what_diffusers_saves_unnoise_samples(unnoise, tmp_path, seed):
    torch.manual_seed(seed)
    unet = UNet2DModel(**random_config(seed)).eval()
    folder = tmp_path / "model"
    with contextlib.redirect_stderr(io.StringIO()):
        DDPMPipeline(unet, DDPMScheduler(beta_schedule=random.Random(seed).choice(["linear", "squaredcos_cap_v2"]))).save_pretrained(folder)
    cases = {"ddpm": (DDPMScheduler, 4, {}), "ddim": (DDIMScheduler, 5, {"eta": 0.5})}
    for name, (cls, steps, extra) in cases.items():
        out = tmp_path / f"{name}.safetensors"
        flags = [f for key, value in extra.items() for f in (f"--{key}", value)]
        unnoise("sample", "--model", folder, "--scheduler", name, "--num-images", 2, "--num-inference-steps", steps, "--seed", seed, "--save-tensor", out,
                *flags)
        scheduler = cls.from_config(DDPMScheduler.from_pretrained(folder, subfolder="scheduler").config)
        theirs = drawn(scheduler, unet, steps, 2, torch.Generator().manual_seed(seed), **extra)
        # Float32 in another order of summation; a random network amplifies it over the steps.
        assert relative_error(load_file(out)["samples"], theirs) < 1e-4, name


@pytest.fixture(scope="module")
def garments(tmp_path_factory):
    """A folder of ten small colour pictures, so that networks of 1 and 3 channels can train on it."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(10):
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 9])
def test_what_unnoise_saves_diffusers_samples(unnoise, garments, tmp_path, seed):
    config = random_config(seed) | {"sample_size": 16}
    (tmp_path / "config.json").write_text(json.dumps(config))
    unnoise("train", "--train-data-dir", garments, "--model-config-name-or-path", tmp_path / "config.json", "--output-dir", tmp_path / "run",
            "--max-train-steps", 2, "--train-batch-size", 4, "--save-images-epochs", 0, "--seed", seed)
    pipeline = quietly_loaded(DDPMPipeline, tmp_path / "run")
    theirs = drawn(pipeline.scheduler, pipeline.unet, 4, 2, torch.Generator().manual_seed(3))
    unnoise("sample", "--model", tmp_path / "run", "--num-images", 2, "--num-inference-steps", 4, "--seed", 3, "--save-tensor", tmp_path / "s.safetensors")
    assert relative_error(load_file(tmp_path / "s.safetensors")["samples"], theirs) < 1e-4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    unet = UNet2DModel(sample_size=16, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=[8, 16], norm_num_groups=4,
                       down_block_types=["DownBlock2D", "AttnDownBlock2D"], up_block_types=["AttnUpBlock2D", "UpBlock2D"])
    with contextlib.redirect_stderr(io.StringIO()):
        DDPMPipeline(unet, DDPMScheduler()).save_pretrained(folder)
    return folder


def samples(unnoise, model, path, *args):
    unnoise("sample", "--model", model, "--num-inference-steps", 4, "--save-tensor", path, *args)
    return load_file(path)["samples"]


def test_a_seed_a_picture_equals_a_list_of_generators(unnoise, model, tmp_path):
    ours = samples(unnoise, model, tmp_path / "s.safetensors", "--seeds", "5,6,7")
    pipeline = quietly_loaded(DDPMPipeline, model)
    theirs = drawn(pipeline.scheduler, pipeline.unet, 4, 3, [torch.Generator().manual_seed(s) for s in (5, 6, 7)])
    assert relative_error(ours, theirs) < 1e-4


def test_with_seeds_batches_never_change_a_picture(unnoise, model, tmp_path):
    together = samples(unnoise, model, tmp_path / "a.safetensors", "--seeds", "5,6,7", "--batch-size", 3)
    for batch in (1, 2):
        assert torch.allclose(samples(unnoise, model, tmp_path / "b.safetensors", "--seeds", "5,6,7", "--batch-size", batch), together, atol=1e-5)
    alone = samples(unnoise, model, tmp_path / "c.safetensors", "--seeds", "7")
    assert torch.allclose(alone[0], together[2], atol=1e-5)  # float32: blocks of another batch size may sum in another order


def test_the_pictures_are_diffusers_pixels(unnoise, model, tmp_path):
    unnoise("sample", "--model", model, "--num-images", 2, "--num-inference-steps", 4, "--seed", 1, "--output", tmp_path / "out", "--grid",
            tmp_path / "grid.png")
    pipeline = quietly_loaded(DDPMPipeline, model)
    theirs = pipeline(batch_size=2, num_inference_steps=4, generator=torch.Generator().manual_seed(1)).images
    for i, picture in enumerate(theirs):
        ours = Image.open(tmp_path / f"out/{i:04}.png")
        assert ours.mode == picture.mode == "L"
        assert np.abs(np.asarray(ours, int) - np.asarray(picture, int)).max() <= 1
        text = json.loads(ours.text["parameters"])
        assert text["seed"] == 1 and text["num_inference_steps"] == 4 and text["index"] == i
    assert Image.open(tmp_path / "grid.png").size == (2 * 18 + 2, 20)


def test_animations_end_with_the_picture(unnoise, model, tmp_path):
    unnoise("sample", "--model", model, "--num-inference-steps", 8, "--gif", tmp_path / "a.gif", "--apng", tmp_path / "a.png", "--grid", tmp_path / "g.png")
    last = np.asarray(Image.open(tmp_path / "g.png").convert("L"), int)
    for name in ("a.gif", "a.png"):
        animation = Image.open(tmp_path / name)
        assert animation.n_frames == 8
        animation.seek(7)
        assert np.abs(np.asarray(animation.convert("L"), int) - last).max() <= 1
    assert not (tmp_path / "samples").exists()


def test_an_odd_shape_and_an_unknown_scheduler(unnoise, model, tmp_path):
    assert samples(unnoise, model, tmp_path / "s.safetensors", "--height", 24, "--width", 40).shape == (1, 1, 24, 40)
    done = unnoise("sample", "--model", model, "--scheduler", "ddpn", check=False)
    assert done.returncode == 2 and "ddpm" in done.stderr


@pytest.mark.parametrize("preset, parameters", [("butterflies", 18_536_323), ("mnist", 1_707_009), ("cifar10", 35_746_307), ("script", 113_673_219)])
def test_info_counts_what_diffusers_counts(unnoise, preset, parameters):
    report = json.loads(unnoise("info", "--model", preset, "--json").stdout)
    assert report["parameters"] == parameters
    assert report["multiply_adds"] > 0


def test_info_reads_any_folder(unnoise, model):
    text = unnoise("info", "--model", model).stdout
    assert "DDPMScheduler" in text and "down_blocks" in text and "Conv2d" in text
