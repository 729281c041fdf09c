"""Recipes as a user runs them: the same again, swept, killed and gone on with, compared; the doctor; and the tutorial."""
import base64
import gzip
import html.parser
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from conftest import BUILD

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = {
    "description": "for a test",
    "network": {"in_channels": 1, "out_channels": 1, "layers_per_block": 1, "block_out_channels": [16, 16], "norm_num_groups": 4,
                "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]},
    "train": {"resolution": 8, "train_batch_size": 16, "max_train_steps": 24, "learning_rate": 2e-3, "lr_warmup_steps": 2, "use_ema": True,
              "save_images_epochs": 0, "save_model_epochs": 0, "threads": 1},
    "sample": {"num_images": 4, "scheduler": "ddim", "num_inference_steps": 4},
    "budget_minutes": 0.1,
}


def run(*args, cwd, code=0, **kwargs):
    done = subprocess.run([BUILD / "unnoise", *map(str, args)], capture_output=True, text=True, cwd=cwd, **kwargs)
    assert done.returncode == code, (args, done.stdout, done.stderr)
    return done


def losses(folder):
    return [(r["step"], r["loss"], r["lr"], r["grad_norm"]) for r in map(json.loads, (folder / "log.jsonl").read_text().splitlines()) if "loss" in r]


def pictures(folder, first, count):
    """Garments of Fashion-MNIST, made small: 8x8 pixels, one PNG each."""
    raw = gzip.open("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz").read()
    folder.mkdir(parents=True)
    for i, picture in enumerate(np.frombuffer(raw[16 + first * 784:16 + (first + count) * 784], np.uint8).reshape(-1, 28, 28)):
        Image.fromarray(picture).resize((8, 8), Image.Resampling.BILINEAR).save(folder / f"{i:04}.png")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A data set with a test split, in the place of the digits that recipes name."""
    folder = tmp_path_factory.mktemp("data")
    pictures(folder / "digits/train", 0, 120)
    pictures(folder / "digits/test", 120, 40)
    return folder


@pytest.fixture
def here(digits, tmp_path):
    """A folder to work in: digits/ and tiny.json."""
    (tmp_path / "digits").symlink_to(digits / "digits")
    (tmp_path / "tiny.json").write_text(json.dumps(TINY | {"data": {"source": "digits"}}))
    return tmp_path


def test_a_recipe_runs_and_the_same_again_gives_the_same_losses_exactly(here):
    done = run("recipe", "run", "tiny.json", "--output-dir", "a", cwd=here)
    for name in ("model_index.json", "recipe.json", "result.json", "grid.png", "log.jsonl", "options.json"):
        assert (here / "a" / name).is_file(), name
    assert "held-out" in done.stdout and "40 unseen pictures" in done.stdout
    recipe = json.loads((here / "a/recipe.json").read_text())
    assert recipe["data"]["count"] == 120 and re.fullmatch("pixels-[0-9a-f]{16}", recipe["data"]["hash"])
    assert set(recipe["made_with"]) == {"unnoise", "diffusers", "libtorch", "compiler", "processor", "instructions"}
    options = json.loads((here / "a/options.json").read_text())
    assert all(value == (options | {"device": "cpu"})[key] for key, value in recipe["train"].items()) and recipe["train"]["seed"] == 0
    where = {"recipe", "dataset_name", "train_data_dir", "model_config_name_or_path", "output_dir", "overwrite_output_dir", "resume_from_checkpoint",
             "logging_dir", "cache_dir", "num_processes", "process_timeout", "local_rank", "push_to_hub", "hub_token", "hub_token_file", "hub_endpoint", "hub_cache", "hub_model_id",
             "hub_private_repo"}
    assert set(options) - set(recipe["train"]) == where
    run("recipe", "run", "a", "--output-dir", "b", cwd=here)  # a run's folder is a recipe
    assert losses(here / "a") == losses(here / "b") and len(losses(here / "a")) == 24
    assert (here / "a/loss.csv").read_bytes() == (here / "b/loss.csv").read_bytes()
    again = json.loads((here / "b/recipe.json").read_text())
    assert again == recipe  # nothing of it was left to a default
    assert Image.open(here / "a/grid.png").tobytes() == Image.open(here / "b/grid.png").tobytes()  # their texts name the folder
    result = json.loads((here / "a/result.json").read_text())
    assert result["held_out"] == json.loads((here / "b/result.json").read_text())["held_out"]
    assert result["peak_memory_bytes"] > 1e7 and result["seconds"] > 0 and len(result["held_out"]["bins"]) == 10
    refusal = run("recipe", "run", "tiny.json", "--output-dir", "a", cwd=here, code=2).stderr
    assert 'error: "a" already holds a run' in refusal and "Go on with it: --resume." in refusal


def test_train_starts_from_a_recipe_and_flags_win(here):
    run("train", "--max-train-steps", 5, "--recipe", "tiny.json", "--output-dir", "t", cwd=here)
    options = json.loads((here / "t/options.json").read_text())
    assert (options["max_train_steps"], options["learning_rate"], options["recipe"]) == (5, 2e-3, "tiny")
    run("train", "--options", "t/options.json", "--output-dir", "u", "--max-train-steps", 3, cwd=here)  # needs no recipe any more
    assert losses(here / "u")[0] == losses(here / "t")[0]


def test_the_recipe_of_a_run_repeats_it(here):
    run("train", "--recipe", "tiny.json", "--output-dir", "t", "--max-train-steps", 6, "--learning-rate", "1e-3", cwd=here)
    run("recipe", "from-run", "t", "--output", "mine.json", cwd=here)
    assert json.loads((here / "mine.json").read_text())["train"]["learning_rate"] == 1e-3
    run("recipe", "run", "mine.json", "--output-dir", "v", cwd=here)
    assert losses(here / "t") == losses(here / "v")


def test_what_the_machine_decided_is_in_the_recipe(here):
    recipe = json.loads((here / "tiny.json").read_text())
    del recipe["train"]["threads"]
    (here / "tiny.json").write_text(json.dumps(recipe))
    run("recipe", "run", "tiny.json", "--output-dir", "r", cwd=here)
    train = json.loads((here / "r/recipe.json").read_text())["train"]
    assert train["device"] == "cpu" and train["threads"] == json.loads((here / "r/run.json").read_text())["threads"] >= 1
    run("train", "--recipe", "tiny.json", "--output-dir", "t", "--max-train-steps", 2, cwd=here)
    found = json.loads(run("recipe", "from-run", "t", cwd=here).stdout)
    assert found["train"]["threads"] >= 1 and found["made_with"]["processor"] is not None and found["train"]["adam_epsilon"] == 1e-8


def test_other_pictures_are_noticed(here):
    recipe = json.loads((here / "tiny.json").read_text())
    recipe["data"] |= {"count": 120, "hash": "pixels-0123456789abcdef"}
    (here / "other.json").write_text(json.dumps(recipe))
    done = run("recipe", "run", "other.json", "--output-dir", "x", cwd=here, code=3)
    assert "does not hold the pictures" in done.stderr and "--any-data" in done.stderr and not (here / "x").exists()
    assert run("train", "--recipe", "other.json", "--output-dir", "x", cwd=here, code=3).stderr.count("pixels-") == 2
    run("recipe", "run", "other.json", "--output-dir", "x", "--any-data", cwd=here)


@pytest.mark.parametrize("change,code,message", [
    ({"trian": {}}, 2, 'unknown key "trian"'),
    ({"train": {"learning_rate": "fast"}}, 2, "train: learning_rate: expected a number"),
    ({"network": {"block_out_channel": [8]}}, 2, 'Did you mean "block_out_channels"?'),
    ({"data": {"source": "nowhere"}}, 3, "nowhere"),
    ({"budget_minutes": -1}, 2, "above 0"),
])
def test_mistakes_in_a_recipe_are_explained_and_leave_nothing_behind(here, change, code, message):
    (here / "bad.json").write_text(json.dumps(json.loads((here / "tiny.json").read_text()) | change))
    done = run("recipe", "run", "bad.json", "--output-dir", "x", cwd=here, code=code)
    assert message in done.stderr and not (here / "x").exists()
    if code == 2:
        assert "bad.json" in done.stderr


def test_the_budget_decides_the_steps_and_may_be_too_small(here):
    done = run("recipe", "run", "tiny.json", "--budget-minutes", "1e-7", "--output-dir", "x", cwd=here, code=2)
    assert "too small for one step" in done.stderr and "Give at least" in done.stderr
    assert not (here / "x/log.jsonl").exists()
    run("recipe", "run", "tiny.json", "--budget-minutes", "0.02", "--output-dir", "y", cwd=here)
    steps = json.loads((here / "y/recipe.json").read_text())["train"]["max_train_steps"]
    assert steps == len(losses(here / "y"))


class Page(html.parser.HTMLParser):
    """Checks that tags close in order, and collects what would be fetched."""
    EMPTY = {"meta", "img", "br", "link"}

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href") and not value.startswith("data:")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_sweep_of_two_by_two_gives_a_ranked_table_and_one_page(here):
    done = run("recipe", "sweep", "tiny.json", "--vary", "lr=1e-4,4e-3", "--vary", "batch=8,16", "--halving", 0, "--output-dir", "s",
               "--held-out-images", 40, cwd=here)
    header, *ranks = [re.split(" {2,}", line.strip()) for line in done.stdout.splitlines()[:5]]
    assert all(column in header for column in ("rank", "learning_rate", "train_batch_size", "held_out", "loss", "time", "memory"))
    assert [row[0] for row in ranks] == ["1", "2", "3", "4"]
    scores = [float(row[header.index("held_out")]) for row in ranks]
    assert scores == sorted(scores) and ranks[0][header.index("learning_rate")] == "0.004"
    page = Page()
    text = (here / "s/report.html").read_text()
    page.feed(text)
    assert page.open == [] and page.fetched == [] and "script" not in page.tags
    assert page.tags.count("img") == 4 + 2  # a grid a run, two plots
    assert text.count("unnoise recipe run ") == 4
    again = run("recipe", "sweep", "tiny.json", "--vary", "lr=1e-4,4e-3", "--vary=batch=8,16", "--halving", 0, "--output-dir", "s",
                "--held-out-images", 40, cwd=here)
    assert again.stdout == done.stdout  # nothing left to do
    changed = run("recipe", "sweep", "tiny.json", "--vary", "lr=1e-4", "--output-dir", "s", cwd=here, code=2)
    assert "holds another sweep" in changed.stderr
    for rank_by in ("held_out", "cpu_seconds"):
        compared = json.loads(run("recipe", "compare", "s", "--json", "--rank-by", rank_by, cwd=here).stdout)
        assert [r["value"] for r in compared["runs"]] == sorted(r["value"] for r in compared["runs"])
        assert all(r["value"] > 0 for r in compared["runs"])
    assert "cpu time" in header and "-" not in [row[header.index("cpu time")] for row in ranks]
    # The page holds the recipes themselves: each repeats its run wherever the page is read.
    links = re.findall(r'download="([^"]+)" href="data:application/json;base64,([^"]+)"', text)
    assert sorted(name for name, _ in links) == [f"0{i}-recipe.json" for i in range(1, 5)] and str(here) not in text
    name, coded = links[0]
    (here / name).write_bytes(base64.b64decode(coded))
    run("recipe", "run", name, "--output-dir", "from-page", cwd=here)
    assert losses(here / "from-page") == losses(here / "s/runs" / name[:2])


def test_losses_that_measure_different_things_come_with_a_warning(here):
    args = ("recipe", "sweep", "tiny.json", "--halving", 0, "--rank-by", "loss", "--held-out-images", 0)
    done = run(*args, "--vary", "objective=ddpm,edm", "--output-dir", "o", cwd=here)
    assert "--rank-by loss: with different objective" in done.stderr and "(objective differ)" in done.stdout
    done = run(*args, "--vary", "noise_offset=0,0.1", "--output-dir", "n", cwd=here)
    assert "--rank-by loss: with different noise_offset" in done.stderr
    done = run(*args, "--vary", "seed=0,1", "--output-dir", "e", cwd=here)
    assert "--rank-by loss" not in done.stderr and "differ" not in done.stdout


SWEEP = ("recipe", "sweep", "tiny.json", "--vary", "lr=1e-4,1e-3,4e-3,1e-2", "--held-out-images", 32)


def test_halving_stops_the_hopeless_and_a_killed_sweep_goes_on_to_the_same_end(here):
    recipe = json.loads((here / "tiny.json").read_text())
    recipe["train"] |= {"max_train_steps": 80, "checkpointing_steps": 5}
    (here / "tiny.json").write_text(json.dumps(recipe))
    run(*SWEEP, "--output-dir", "whole", cwd=here)
    whole = json.loads((here / "whole/sweep.json").read_text())
    assert sorted(r["status"] for r in whole["runs"]) == ["done", "stopped", "stopped", "stopped"]
    assert sorted(r["step"] for r in whole["runs"]) == [20, 20, 40, 80]
    logged = lambda: sum(path.read_text().count('"loss"') for path in here.glob("killed/runs/*/log.jsonl"))
    for steps in (7, 33, 90):  # of the 160 of the whole sweep: in the first run, in the second, after the first rung
        process = subprocess.Popen([BUILD / "unnoise", *map(str, SWEEP), "--output-dir", "killed"], cwd=here, stderr=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL)
        deadline = time.time() + 120
        while logged() < steps and time.time() < deadline:
            assert process.poll() is None, "the sweep ended by itself"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL and steps <= logged() < 160
    run(*SWEEP, "--output-dir", "killed", cwd=here)
    killed = json.loads((here / "killed/sweep.json").read_text())
    for a, b in zip(whole["runs"], killed["runs"]):
        assert (a["choice"], a["status"], a["step"], a["scores"], a["held_out"]) == (b["choice"], b["status"], b["step"], b["scores"], b["held_out"])
        assert losses(here / "whole/runs" / a["folder"]) == losses(here / "killed/runs" / a["folder"])
    best = next(r for r in whole["runs"] if r["status"] == "done")
    run("recipe", "run", f"whole/runs/{best['folder']}", "--output-dir", "alone", cwd=here)  # stopping at rungs changed nothing
    assert losses(here / "alone") == losses(here / "whole/runs" / best["folder"])


def test_the_budget_of_a_sweep_ends_it_and_more_goes_on(here):
    args = ("recipe", "sweep", "tiny.json", "--vary", "seed=0,1", "--output-dir", "s", "--held-out-images", 16)
    done = run(*args, "--budget-minutes", "1e-6", cwd=here, code=2)
    assert "ended before the first comparison" in done.stderr
    assert run(*args, "--budget-minutes", 5, cwd=here).stdout.splitlines()[1].startswith("1 ")


def test_a_run_that_explodes_fails_and_the_queue_goes_on(here):
    done = run("recipe", "sweep", "tiny.json", "--vary", "lr=1e-3,1e30", "--output-dir", "s", "--held-out-images", 16, cwd=here)
    assert "failed" in done.stdout and "not finite" in done.stderr
    assert json.loads((here / "s/sweep.json").read_text())["runs"][0]["status"] == "done"
    wrong = run("recipe", "sweep", "tiny.json", "--vary", "channels=[16,16],[16,15]", "--output-dir", "w", cwd=here, code=2)
    assert "block_out_channels=[16,15]" in wrong.stderr and not (here / "w").exists()


def test_the_book_is_found_by_name(here):
    names = [row["name"] for row in json.loads(run("recipe", "list", "--json", cwd=here).stdout)]
    assert names == sorted(path.stem for path in (ROOT / "recipes").glob("*.json"))
    for name in names:
        shown = json.loads(run("recipe", "show", name, cwd=here).stdout)
        assert shown["name"] == name and shown["description"]
    done = run("recipe", "run", "digits8", cwd=here, code=2)
    assert 'Did you mean "digits-8"?' in done.stderr


def test_the_doctor_says_what_is_wrong(here):
    args = ("doctor", "--recipe", "tiny.json", "--lr-steps", 60, "--overfit-steps", 150)
    done = run(*args, "--learning-rate", "3e-3", cwd=here)
    assert [line[:2] for line in done.stdout.splitlines() if line[:2] in ("ok", "!!")] == ["ok"] * 5, done.stdout
    report = json.loads((here / "doctor/report.json").read_text())
    assert 1e-4 < report["lr"]["numbers"]["suggested"] < 0.1
    assert {p.name for p in (here / "doctor").glob("*.svg")} == {"learning_rate.svg", "overfit.svg", "short_run.svg", "timesteps.svg"}
    high = json.loads(run(*args, "--learning-rate", "30", "--checks", "lr,run", "--json", cwd=here).stdout)
    assert not high["lr"]["healthy"] and "use " in high["lr"]["advice"] and not high["run"]["healthy"]
    low = json.loads(run(*args, "--learning-rate", "1e-7", "--checks", "lr,overfit", "--json", cwd=here).stdout)
    assert not low["lr"]["healthy"] and "slowly" in low["lr"]["advice"] and not low["overfit"]["healthy"]


def test_the_tutorial_works_as_it_stands(tmp_path):
    """docs/choosing-a-recipe.md, command by command, on the digits that the book's recipe was made with."""
    got = subprocess.run([BUILD / "unnoise", "data", "get", "digits", "--to", tmp_path], capture_output=True, text=True)
    if got.returncode == 4:
        pytest.skip("no package registry here: " + got.stderr[-200:])
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs/choosing-a-recipe.md").read_text(), re.M | re.S)
    assert len(blocks) == 6
    path = {"PATH": f"{BUILD}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    for block in blocks:
        done = subprocess.run(["bash", "-ec", block], cwd=tmp_path, env=path, capture_output=True, text=True)
        assert done.returncode == 0, (block, done.stdout, done.stderr)
    assert losses(tmp_path / "runs/digits") == losses(tmp_path / "runs/again")
    assert losses(tmp_path / "runs/mine") == losses(tmp_path / "runs/yours")
    assert (tmp_path / "sweeps/digits/report.html").is_file() and (tmp_path / "comparison.html").is_file()
