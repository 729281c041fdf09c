"""Every objective of the trainer: what the folder says it needs, diffusers samples with or refuses; stopping changes nothing."""
import json
import pathlib
import shutil
import subprocess
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from conftest import BUILD, relative_error

TINY = {
    "_class_name": "UNet2DModel", "sample_size": 16, "in_channels": 3, "out_channels": 3, "layers_per_block": 1, "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "norm_num_groups": 4,
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(10):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{i}.png")
    (folder.parent / "config.json").write_text(json.dumps(TINY))
    return folder


def arguments(pictures, out, *extra):
    return [str(a) for a in ("train", "--train-data-dir", pictures, "--model-config-name-or-path", pictures.parent / "config.json", "--output-dir", out,
                             "--train-batch-size", 4, "--max-train-steps", 4, "--save-images-epochs", 0, "--lr-warmup-steps", 1, "--learning-rate", "1e-3",
                             "--threads", 1, *extra)]


FOLDERS = {
    "edm": (["--objective", "edm"], "ConsistencyModelPipeline", "EDMEulerScheduler"),
    "edm_sigma_data": (["--objective", "edm", "--sigma-data", 0.7], "ConsistencyModelPipeline", "EDMEulerScheduler"),
    "flow": (["--objective", "flow"], "DDPMPipeline", "FlowMatchEulerDiscreteScheduler"),
    "v": (["--prediction-type", "v_prediction", "--loss-weighting", "edm"], "DDPMPipeline", "DDPMScheduler"),
    "learned_variance": (["--learned-variance"], "DDPMPipeline", "DDPMScheduler"),
    "betas": (["--ddpm-beta-start", 0.001, "--ddpm-beta-end", 0.004, "--ddpm-beta-schedule", "scaled_linear"], "DDPMPipeline", "DDPMScheduler"),
    "zero_snr": (["--ddpm-rescale-betas-zero-snr", "true", "--prediction-type", "v_prediction"], "DDPMPipeline", "DDPMScheduler"),
    "trained_betas": (["--ddpm-num-steps", 12, "--ddpm-trained-betas", ",".join(f"0.{i:02}" for i in range(1, 13)),
                       "--ddpm-num-inference-steps", 12], "DDPMPipeline", "DDPMScheduler"),
    "augmented": (["--augment", 0.5, "--objective", "flow"], "DDPMPipeline", "FlowMatchEulerDiscreteScheduler"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_diffusers_samples_the_folder_as_it_was_trained(unnoise, pictures, tmp_path, name):
    """The folder's own pipeline class, whatever it is, draws our pictures: nothing has to be known besides the folder."""
    from diffusers import DiffusionPipeline
    flags, pipeline_class, scheduler_class = FOLDERS[name]
    out = tmp_path / "run"
    unnoise(*arguments(pictures, out, *flags))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = DiffusionPipeline.from_pretrained(out)
    assert type(pipeline).__name__ == pipeline_class and type(pipeline.scheduler).__name__ == scheduler_class
    assert pipeline.unet.config.in_channels == 3
    if name == "edm_sigma_data":
        assert pipeline.scheduler.config.sigma_data == 0.7
    if name == "betas":
        assert (pipeline.scheduler.betas[0].item(), pipeline.scheduler.betas[-1].item()) == pytest.approx((0.001, 0.004))
    if name == "zero_snr":
        assert pipeline.scheduler.alphas_cumprod[-1] == 0
    if name == "trained_betas":
        assert pipeline.scheduler.config.trained_betas == [i / 100 for i in range(1, 13)]
    pipeline.set_progress_bar_config(disable=True)
    theirs = torch.from_numpy(pipeline(batch_size=2, num_inference_steps=10, generator=torch.Generator().manual_seed(5), output_type="np").images)
    unnoise("sample", "--model", out, "--num-images", 2, "--num-inference-steps", 10, "--seed", 5, "--save-tensor", tmp_path / "s.safetensors")
    ours = (load_file(tmp_path / "s.safetensors")["samples"] / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    assert relative_error(ours, theirs) < 1e-4  # 10 steps of float32 in two orders of summation
    assert f'DiffusionPipeline.from_pretrained("run")' in (out / "README.md").read_text()


def test_the_betas_decide_the_noise_of_training(unnoise, pictures, tmp_path):
    for name, flags in (("plain", []), ("quiet", ["--ddpm-beta-end", 0.004])):
        unnoise(*arguments(pictures, tmp_path / name, *flags))
    first = {name: json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[0])["loss"] for name in ("plain", "quiet")}
    assert first["plain"] != first["quiet"]
    # A model that starts from the folder goes on with its betas.
    unnoise("train", "--train-data-dir", pictures, "--pretrained", tmp_path / "quiet", "--output-dir", tmp_path / "on", "--max-train-steps", 1,
            "--train-batch-size", 4, "--save-images-epochs", 0)
    assert json.loads((tmp_path / "on/scheduler/scheduler_config.json").read_text())["beta_end"] == 0.004


@pytest.mark.parametrize("flags, error", [
    (["--ddpm-rescale-betas-zero-snr", "true"], "Add --prediction-type v_prediction"),
    (["--objective", "flow", "--ddpm-beta-end", 0.01], "--ddpm-beta-end does not go with --objective flow"),
    (["--objective", "edm", "--ddpm-trained-betas", "0.1"], "--ddpm-trained-betas does not go with --objective edm"),
    (["--ddpm-trained-betas", "0.1,0.2"], "trained_betas: expected num_train_timesteps = 1000 values, found 2"),
    (["--ddpm-beta-start", 0], "beta"),
])
def test_betas_that_make_no_schedule_are_refused(pictures, tmp_path, flags, error):
    done = subprocess.run([BUILD / "unnoise", *arguments(pictures, tmp_path / "run", *flags)], capture_output=True, text=True)
    assert done.returncode == 2 and error in done.stderr and not (tmp_path / "run").exists(), done.stderr


def test_diffusers_refuses_what_it_would_sample_wrongly(unnoise, pictures, tmp_path):
    """A self-conditioned network sees its own last answer, which no pipeline of diffusers shows it."""
    from diffusers import DDPMPipeline, DiffusionPipeline
    out = tmp_path / "run"
    unnoise(*arguments(pictures, out, "--self-conditioning"))
    assert json.loads((out / "unet/config.json").read_text())["in_channels"] == 6
    for cls in (DiffusionPipeline, DDPMPipeline):
        with pytest.raises(Exception, match="unnoise"):
            cls.from_pretrained(out)
    unnoise("sample", "--model", out, "--num-images", 2, "--num-inference-steps", 5, "--save-tensor", tmp_path / "s.safetensors")
    assert load_file(tmp_path / "s.safetensors")["samples"].shape == (2, 3, 16, 16)


def test_self_conditioned_sampling_is_the_papers_loop(unnoise, pictures, tmp_path):
    """Chen et al. 2023, algorithm 2, written out with diffusers' scheduler and network."""
    from diffusers import DDIMScheduler, UNet2DModel
    out = tmp_path / "run"
    unnoise(*arguments(pictures, out, "--self-conditioning"))
    unet = UNet2DModel.from_pretrained(out, subfolder="unet").eval()
    scheduler = DDIMScheduler.from_pretrained(out, subfolder="scheduler")
    scheduler.set_timesteps(5)
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    seen = torch.zeros_like(x)
    with torch.no_grad():
        for t in scheduler.timesteps:
            step = scheduler.step(unet(torch.cat([x, seen], 1), t).sample, t, x)
            x, seen = step.prev_sample, step.pred_original_sample
    unnoise("sample", "--model", out, "--num-images", 2, "--num-inference-steps", 5, "--scheduler", "ddim", "--seed", 1, "--save-tensor",
            tmp_path / "s.safetensors")
    assert relative_error(load_file(tmp_path / "s.safetensors")["samples"], x) < 1e-4


EVERYTHING = ["--prediction-type", "v_prediction", "--loss-weighting", "soft_min_snr", "--uncertainty-weighting", "--timestep-sampling", "logit_normal",
              "--low-discrepancy", "--noise-offset", 0.1, "--input-perturbation", 0.1, "--immiscible-noise", "--augment", 0.3, "--self-conditioning",
              "--learned-variance", "--use-ema"]


def test_a_resumed_run_with_everything_equals_an_uninterrupted_one(unnoise, pictures, tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    unnoise(*arguments(pictures, whole, *EVERYTHING, "--checkpointing-steps", 2))
    shutil.copytree(whole, resumed)
    shutil.rmtree(resumed / "checkpoint-4")
    shutil.rmtree(resumed / "unet")
    unnoise(*arguments(pictures, resumed, *EVERYTHING, "--checkpointing-steps", 2, "--resume-from-checkpoint", "checkpoint-2"))
    for name in ("unet/diffusion_pytorch_model.safetensors", "checkpoint-4/trainer_state.safetensors"):
        a, b = load_file(whole / name), load_file(resumed / name)
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), name
    assert any(key.startswith("uncertainty.") for key in load_file(whole / "checkpoint-4/trainer_state.safetensors"))
    loss = [json.loads(line)["loss"] for line in (whole / "log.jsonl").read_text().splitlines() if '"loss"' in line]
    assert len(loss) == 4 and np.isfinite(loss).all()


@pytest.mark.parametrize("flags", [["--objective", "edm"], ["--objective", "flow"], ["--self-conditioning"]])
def test_going_on_from_a_pretrained_folder_keeps_its_objective(unnoise, pictures, tmp_path, flags):
    unnoise(*arguments(pictures, tmp_path / "first", *flags))
    again = [a for a in arguments(pictures, tmp_path / "second")]
    position = again.index("--model-config-name-or-path")
    again[position:position + 2] = ["--pretrained", str(tmp_path / "first")]
    unnoise(*again)
    for file in ("model_index.json", "scheduler/scheduler_config.json"):
        assert (tmp_path / "second" / file).read_text() == (tmp_path / "first" / file).read_text()


@pytest.mark.parametrize("flags, text", [
    (["--objective", "edm", "--prediction-type", "epsilon"], "--prediction-type does not go with --objective edm"),
    (["--objective", "flow", "--ddpm-beta-schedule", "linear"], "--ddpm-beta-schedule does not go with --objective flow"),
    (["--objective", "flow", "--learned-variance"], "--learned-variance does not go with --objective flow"),
    (["--objective", "emd"], "edm"),
    (["--sigma-data", 1], "--sigma-data does not go with --objective ddpm"),
    (["--loss-weighting", "p2", "--snr-gamma", 5], "--snr-gamma does not go with --loss-weighting p2"),
    (["--loss-weighting", "minsnr"], "min_snr"),
    (["--objective", "edm", "--timestep-sampling", "uniform"], "logit_normal"),
    (["--logit-std", 0, "--timestep-sampling", "logit_normal"], "logit_std"),
    (["--augment", 2], "--augment: expected 0 to 1, found 2"),
    (["--noise-offset", -1], "noise_offset: expected at least 0, found -1"),
    (["--p2-k", 0, "--loss-weighting", "p2"], "p2_k"),
    (["--snr-gamma", 0], "snr_gamma"),
])
def test_options_that_cannot_be_are_refused_before_anything_is_written(unnoise, pictures, tmp_path, flags, text):
    out = tmp_path / "run"
    done = unnoise(*arguments(pictures, out, *flags), check=False)
    assert done.returncode == 2 and text in done.stderr, done.stderr
    assert not out.exists()
