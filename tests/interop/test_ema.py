"""Averages of the weights as a user keeps, resumes and rebuilds them: `unnoise train --ema-...` and `unnoise ema`."""
import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from conftest import BUILD

TINY = {
    "_class_name": "UNet2DModel", "sample_size": 16, "in_channels": 1, "out_channels": 1, "layers_per_block": 1, "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "norm_num_groups": 4,
}
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
STEPS = 96  # 12 epochs of 8: a steep beginning and a slow end


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """31 pictures, so that the last batch of an epoch is short and time does not go in equal steps."""
    folder = tmp_path_factory.mktemp("ema")
    (folder / "pictures").mkdir()
    generator = np.random.default_rng(0)
    for i in range(31):
        x, y = generator.integers(2, 10, 2)
        picture = np.zeros((16, 16), np.uint8)
        picture[y:y + 5, x:x + 4] = 255 - 4 * i
        Image.fromarray(picture).save(folder / "pictures" / f"{i:02}.png")
    (folder / "config.json").write_text(json.dumps(TINY))
    return folder


def arguments(folder, out, *extra):
    return [str(a) for a in ("train", "--train-data-dir", folder / "pictures", "--model-config-name-or-path", folder / "config.json", "--output-dir", out,
                             "--train-batch-size", 4, "--max-train-steps", STEPS, "--lr-warmup-steps", 5, "--learning-rate", "3e-3",
                             "--save-images-epochs", 0, "--save-model-epochs", 0, "--checkpointing-steps", 0, "--seed", 3, "--threads", 1, *extra)]


def train(folder, out, *extra):
    done = subprocess.run([BUILD / "unnoise", *arguments(folder, out, *extra)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def run_folder(folder):
    """Keeps 0.05 and 0.1, 32 snapshots of each."""
    out = folder / "kept"
    said = train(folder, out, "--ema-sigma-rel", "0.05,0.1", "--ema-snapshot-dtype", "float32", "--checkpointing-steps", 40)
    assert "sigma_rel 0.05, 0.1; a snapshot of each every 3 steps" in said  # with the size, before the first step
    return out


def weights_error(ours, theirs):
    """Norm of the difference over the norm, of all weights together."""
    assert ours.keys() == theirs.keys()
    difference = sum(((ours[k].double() - theirs[k].double()) ** 2).sum() for k in ours)
    return (difference / sum((theirs[k].double() ** 2).sum() for k in theirs)).sqrt().item()


def test_snapshots_hold_what_they_say(run_folder):
    files = sorted((run_folder / "ema").glob("*.safetensors"))
    assert len(files) == 2 * 32 and (run_folder / "ema/model.json").exists()
    with safe_open(run_folder / "ema/step-000096-sigma-0.05.safetensors", "pt") as last:
        # 12 epochs of 7 batches of 4 and one of 3.
        assert last.metadata() == {"format": "pt", "step": "96", "images": str(12 * 31), "sigma_rel": "0.05"}
        # The model of a run without --use-ema is its first power-function average.
        model = load_file(run_folder / WEIGHTS)
        assert all(torch.equal(last.get_tensor(key), model[key]) for key in model)


@pytest.mark.parametrize("sigma_rel", ["0.06", "0.08", "0.12"])
def test_a_rebuilt_average_is_what_a_run_that_kept_it_has(unnoise, folder, run_folder, tmp_path, sigma_rel):
    """The same seed trains the same weights, whatever averages are kept."""
    train(folder, tmp_path / "direct", "--ema-sigma-rel", sigma_rel, "--ema-snapshot-dtype", "float32")
    unnoise("ema", "--run", run_folder, "--sigma-rel", sigma_rel, "--output", tmp_path / "rebuilt")
    rebuilt, direct = load_file(tmp_path / "rebuilt" / WEIGHTS), load_file(tmp_path / "direct" / WEIGHTS)
    assert weights_error(rebuilt, direct) < 1e-5  # 32 snapshots of float32; the promise is 1e-3
    # The run's own averages are farther away: the test would see a wrong one.
    for kept in ("0.05", "0.1"):
        assert weights_error(load_file(run_folder / f"ema/step-000096-sigma-{kept}.safetensors"), direct) > 1e-4


def test_float16_snapshots_keep_the_bound(unnoise, folder, run_folder, tmp_path):
    train(folder, tmp_path / "half", "--ema-sigma-rel", "0.05,0.1")
    assert load_file(tmp_path / "half/ema/step-000096-sigma-0.1.safetensors")["conv_in.weight"].dtype == torch.float16
    for run in (tmp_path / "half", run_folder):
        unnoise("ema", "--run", run, "--sigma-rel", 0.08, "--output", tmp_path / f"of-{run.name}")
    assert weights_error(load_file(tmp_path / "of-half" / WEIGHTS), load_file(tmp_path / "of-kept" / WEIGHTS)) < 1e-3


def test_an_exponential_average_is_rebuilt_too(unnoise, folder, run_folder, tmp_path):
    train(folder, tmp_path / "direct", "--ema-halflife", "0.03", "--ema-rampup", 0)
    unnoise("ema", "--run", run_folder, "--halflife", "0.03", "--output", tmp_path / "rebuilt")
    # Power functions fit an exponential to about 1 %; and the direct one holds 2^-12 of the initial weights.
    assert weights_error(load_file(tmp_path / "rebuilt" / WEIGHTS), load_file(tmp_path / "direct" / WEIGHTS)) < 1e-3


def test_several_half_lives_are_each_what_they_would_be_alone(unnoise, folder, tmp_path):
    from diffusers import DDPMPipeline
    train(folder, tmp_path / "both", "--ema-halflife", "0.03,0.1", "--ema-rampup", 0, "--checkpointing-steps", 96)
    for halflife in ("0.03", "0.1"):
        train(folder, tmp_path / halflife, "--ema-halflife", halflife, "--ema-rampup", 0)
    first, second = tmp_path / "both", tmp_path / "both/ema/halflife-0.1"
    for ours, alone in ((first, tmp_path / "0.03"), (second, tmp_path / "0.1")):
        assert (ours / WEIGHTS).read_bytes() == (alone / WEIGHTS).read_bytes()
    assert (first / WEIGHTS).read_bytes() != (second / WEIGHTS).read_bytes()
    assert (tmp_path / "both/checkpoint-96/unet_ema_halflife_0.1/config.json").is_file()
    DDPMPipeline.from_pretrained(second)
    unnoise("sample", "--model", second, "--num-images", 1, "--num-inference-steps", 2, "--output", tmp_path / "drawn")


def test_an_earlier_step(unnoise, folder, run_folder, tmp_path):
    unnoise("ema", "--run", run_folder, "--step", 48, "--sigma-rel", 0.1, "--output", tmp_path / "early")
    stored = load_file(run_folder / "ema/step-000048-sigma-0.1.safetensors")
    assert weights_error(load_file(tmp_path / "early" / WEIGHTS), stored) < 1e-6


def test_diffusers_loads_the_rebuilt_folder(unnoise, run_folder, tmp_path):
    from diffusers import DDPMPipeline
    unnoise("ema", "--run", run_folder, "--sigma-rel", 0.08, "--output", tmp_path / "rebuilt")
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "rebuilt")
    ours = load_file(tmp_path / "rebuilt" / WEIGHTS)
    assert all(torch.equal(value, ours[key]) for key, value in pipeline.unet.state_dict().items())


@pytest.mark.parametrize("extra", [("--ema-sigma-rel", "0.05,0.1"), ("--use-ema", "--ema-sigma-rel", "0.1"), ("--ema-halflife", "0.1"),
                                   ("--ema-halflife", "0.03,0.1,0.29", "--ema-sigma-rel", "0.1")],
                         ids=["power functions", "warm-up and a power function", "half-life", "half-lives and a power function"])
def test_resuming_equals_never_having_stopped(folder, tmp_path, extra):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    extra = (*extra, "--checkpointing-steps", 40)
    train(folder, whole, *extra)
    train(folder, cut, *extra)
    shutil.rmtree(cut / "checkpoint-80")
    for name in ("model_index.json", "unet"):
        path = cut / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    train(folder, cut, *extra, "--resume-from-checkpoint", "latest")
    names = sorted(str(p.relative_to(whole)) for p in whole.rglob("*.safetensors"))
    assert names == sorted(str(p.relative_to(cut)) for p in cut.rglob("*.safetensors"))
    assert all((whole / name).read_bytes() == (cut / name).read_bytes() for name in names)
    assert any("unet_ema" in name for name in names)


def test_a_checkpoint_earlier_than_some_snapshots_removes_those(folder, run_folder, tmp_path):
    shutil.copytree(run_folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoint-80")
    done = subprocess.run([BUILD / "unnoise", *arguments(folder, tmp_path / "run", "--ema-sigma-rel", "0.05,0.1", "--ema-snapshot-steps", 50,
                                                         "--max-train-steps", 41, "--resume-from-checkpoint", "latest")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    steps = {int(p.name.split("-")[1]) for p in (tmp_path / "run/ema").glob("step-*")}
    assert max(steps) == 41 and 39 in steps and 42 not in steps


def test_sweep_measures_and_draws(unnoise, folder, run_folder, tmp_path):
    done = unnoise("ema", "--run", run_folder, "--sweep", "--data", folder / "pictures", "--num-images", 31, "--report", tmp_path / "report",
                   "--output", tmp_path / "best", "--json")
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "report/ema-sweep.json").read_text())
    rows = {row["sigma_rel"]: row for row in found["rows"]}
    assert len(rows) > 8 and rows[0.05]["stored"] and rows[0.1]["stored"] and not rows[found["best_sigma_rel"]]["above_best"]
    assert found["best_sigma_rel"] == min(rows, key=lambda s: rows[s]["loss"])
    assert len({row["loss"] for row in found["rows"]}) == len(rows)  # another width is another network
    assert "<svg" in (tmp_path / "report/ema-sweep.svg").read_text()
    # The best is in the folder, and measuring it again gives the same number.
    sigma_rel = found["best_sigma_rel"]
    again = unnoise("ema", "--run", run_folder, "--sweep", "--sweep-values", sigma_rel, "--data", folder / "pictures", "--num-images", 31,
                    "--report", tmp_path / "again", "--json")
    assert json.loads(again.stdout)["rows"][0]["loss"] == rows[sigma_rel]["loss"]
    unnoise("ema", "--run", run_folder, "--sigma-rel", sigma_rel, "--output", tmp_path / "one")
    assert (tmp_path / "one" / WEIGHTS).read_bytes() == (tmp_path / "best" / WEIGHTS).read_bytes()


def test_sweep_takes_the_test_part_of_the_runs_own_folder(unnoise, folder, run_folder, tmp_path):
    """As if the run had been trained on a folder with parts."""
    for part in ("train", "test"):
        shutil.copytree(folder / "pictures", tmp_path / "parts" / part)
    for i in range(10):  # so that the parts differ
        (tmp_path / "parts/test" / f"{i:02}.png").unlink()
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    options = json.loads((run / "options.json").read_text())
    (run / "options.json").write_text(json.dumps(options | {"train_data_dir": str(tmp_path / "parts")}))
    sweep = ["ema", "--run", run, "--sweep", "--sweep-values", 0.05, "--num-images", 0, "--report", tmp_path / "report", "--json"]
    own, told = (json.loads(unnoise(*sweep, *extra).stdout) for extra in ([], ["--data", tmp_path / "parts/test"]))
    assert own["num_images"] == 21 and own["rows"] == told["rows"]


def test_sweep_by_frechet_distance(unnoise, run_folder, folder, tmp_path):
    done = unnoise("ema", "--run", run_folder, "--sweep", "--sweep-values", "0.04,0.1", "--data", folder / "pictures", "--num-images", 31,
                   "--fd-images", 48, "--num-inference-steps", 4, "--report", tmp_path, "--output", tmp_path / "best", "--json")
    found = json.loads(done.stdout)
    rows = {row["sigma_rel"]: row["fd_fmnist"] for row in found["rows"]}
    assert found["fd_images"] == 48 and rows[0.04]["value"] != rows[0.1]["value"]
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows.values())
    assert found["best_sigma_rel"] == min(rows, key=lambda s: rows[s]["value"])
    assert "FD-fmnist" in (tmp_path / "ema-sweep-fd.svg").read_text()
    # What `evaluate` measures of the same folder, seed and steps.
    alone = unnoise("evaluate", "--model", tmp_path / "best", "--data", folder / "pictures", "--metrics", "fd", "--num-images", 48,
                    "--num-inference-steps", 4, "--batch-size", 48, "--json")
    # The same pictures; only the reference is read in another order, which a sum in float64 hardly notices.
    assert abs(json.loads(alone.stdout)["metrics"]["fd_fmnist"]["value"] / min(row["value"] for row in rows.values()) - 1) < 1e-3, alone.stdout


def test_the_sweep_loss_is_the_denoising_loss(unnoise, folder, run_folder, tmp_path):
    """Against diffusers: the model of the run, the same pictures, any noise. The mean over 31 x 16 draws."""
    from diffusers import DDPMPipeline
    found = json.loads(unnoise("ema", "--run", run_folder, "--sweep", "--sweep-values", 0.05, "--data", folder / "pictures", "--num-images", 31,
                               "--report", tmp_path, "--json").stdout)["rows"][0]
    pipeline = DDPMPipeline.from_pretrained(run_folder)
    x0 = torch.stack([torch.tensor(np.array(Image.open(p)), dtype=torch.float32)[None] / 127.5 - 1 for p in sorted((folder / "pictures").iterdir())])
    generator = torch.Generator().manual_seed(0)
    x0 = x0.repeat(16, 1, 1, 1)
    t = ((torch.arange(len(x0)) + 0.5) / len(x0) * 1000).long()[torch.randperm(len(x0), generator=generator)]
    noise = torch.randn(x0.shape, generator=generator)
    with torch.no_grad():
        losses = ((pipeline.unet(pipeline.scheduler.add_noise(x0, noise, t), t).sample - noise) ** 2).mean(dim=(1, 2, 3))
    assert found["loss"] == pytest.approx(losses.mean().item(), abs=5 * found["loss_standard_error"])


def test_what_is_there(unnoise, run_folder, tmp_path):
    said = unnoise("ema", "--run", run_folder).stdout
    assert "64 snapshots of averages with sigma_rel 0.05, 0.1, steps 3 to 96" in said
    listed = json.loads(unnoise("ema", "--run", run_folder, "--json").stdout)["snapshots"]
    assert len(listed) == 64 and listed[0]["images"] == 12 and listed[-1]["images"] == 372


@pytest.mark.parametrize("args,code,error", [
    ((), 2, "--run: which run folder?"),
    (("--run", "RUN", "--sigma-rel", 0.08), 2, "--output"),
    (("--run", "RUN", "--sigma-rel", 0.3, "--output", "x"), 2, "sigma_rel: expected above 0 and at most 0.288675, found 0.3"),
    (("--run", "RUN", "--sigma-rel", 0.08, "--halflife", 1, "--output", "x"), 2, "give one of them"),
    (("--run", "RUN", "--output", "x"), 2, "which average?"),
    (("--run", "RUN", "--step", 47, "--sigma-rel", 0.08, "--output", "x"), 2, "--step 47: no snapshot was stored then"),
    (("--run", "RUN", "--sweep"), 2, "--data: which pictures?"),
    (("--run", "RUN", "--sweep", "--sigma-rel", 0.1), 2, "--sweep"),
    (("--run", "EMPTY"), 3, "holds no snapshots of averages"),
    (("--run", "BROKEN"), 3, "step-000096-sigma-0.1.safetensors"),
    (("--run", "FOREIGN"), 3, "is not a snapshot of an average: its metadata have no step"),
])
def test_wrong_use_is_explained(unnoise, run_folder, tmp_path, args, code, error):
    (tmp_path / "EMPTY").mkdir()
    for name in ("BROKEN", "FOREIGN"):
        shutil.copytree(run_folder / "ema", tmp_path / name / "ema")
    cut = tmp_path / "BROKEN/ema/step-000096-sigma-0.1.safetensors"
    cut.write_bytes(cut.read_bytes()[:-100])
    save_file({"x": torch.zeros(1)}, tmp_path / "FOREIGN/ema/model.safetensors")
    places = {"RUN": run_folder, **{name: tmp_path / name for name in ("EMPTY", "BROKEN", "FOREIGN")}}
    done = unnoise("ema", *(places.get(a, a) for a in args), check=False, cwd=tmp_path)
    assert done.returncode == code and error in done.stderr, done.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("args,error", [
    (("--ema-sigma-rel", "0.3"), "--ema-sigma-rel: expected above 0 and at most 0.2887, found 0.3"),
    (("--ema-sigma-rel", "0.1,0.1"), "--ema-sigma-rel: 0.1 is there twice"),
    (("--ema-sigma-rel", "0.1", "--ema-snapshot-steps", 0), "--ema-snapshot-steps: expected at least 1"),
    (("--ema-snapshot-steps", 10), "there is nothing to store without --ema-sigma-rel"),
    (("--ema-halflife", 0), "--ema-halflife: expected above 0"),
    (("--ema-halflife", "1,-1"), "--ema-halflife: expected above 0"),
    (("--ema-halflife", "1,1"), "--ema-halflife: 1 is there twice"),
    (("--ema-halflife", 1, "--ema-rampup", -1), "--ema-rampup: expected at least 0"),
])
def test_wrong_averages_are_refused(folder, tmp_path, args, error):
    done = subprocess.run([BUILD / "unnoise", *arguments(folder, tmp_path / "out", *args)], capture_output=True, text=True)
    assert done.returncode == 2 and error in done.stderr and not (tmp_path / "out").exists()


def test_other_averages_on_resuming_are_refused(folder, run_folder, tmp_path):
    shutil.copytree(run_folder, tmp_path / "run")
    for extra, error in ((("--ema-sigma-rel", "0.07,0.1"), "of another kind"), (("--ema-sigma-rel", "0.05,0.2"), "--ema-sigma-rel 0.2"),
                         (("--ema-halflife", 1), "of another kind")):
        done = subprocess.run([BUILD / "unnoise", *arguments(folder, tmp_path / "run", *extra, "--resume-from-checkpoint", "latest")],
                              capture_output=True, text=True)
        assert done.returncode == 2 and error in done.stderr, done.stderr
