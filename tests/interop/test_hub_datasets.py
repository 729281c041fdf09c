"""Data sets on a hub: what `unnoise data build` packs, pushed, pulled and trained on by name; against the official clients."""
import json
import os
import pathlib
import subprocess
import sys

import huggingface_hub
import pytest
from PIL import Image

from hub_world import OTHER_TOKEN, TINY, TOKEN, files_below, pictures, without_attributes, world  # noqa: F401  (fixtures)


@pytest.fixture(scope="module")
def packed(pictures, tmp_path_factory):
    """Two shards for training and one for testing, with a card."""
    from hub_world import BUILD
    out = tmp_path_factory.mktemp("packed") / "my-set"
    subprocess.run([BUILD / "unnoise", "data", "build", pictures, "--test-fraction", "0.25", "--license", "cc0-1.0", "--max-shard-size", "0.004", "--output", out],
                   check=True, capture_output=True)
    assert len(list(out.glob("data/*.parquet"))) >= 3
    return out


def push(world, packed, *more, **kwargs):
    return world.run("push", "--repo-type", "dataset", "--data", packed, "--repo", "ada/set", *more, **kwargs)


def set_of_python(world, **options):
    return pathlib.Path(world.python_download("ada/set", repo_type="dataset", **options))


def test_python_reads_what_we_push(world, packed, tmp_path):
    done = push(world, packed, "--private", "--commit-message", "Tiny", "--commit-description", "two\nlines")
    assert done.stdout.strip().endswith(f"{world.hub.endpoint}/datasets/ada/set")
    repository = world.hub.repositories["datasets/ada/set"]
    assert repository.is_private and (repository.head("main").message, repository.head("main").description) == ("Tiny", "two\nlines")
    got = set_of_python(world, local_dir=tmp_path / "got")
    assert without_attributes(files_below(got)) == files_below(packed)
    with pytest.raises(huggingface_hub.errors.RepositoryNotFoundError):
        set_of_python(world, token=OTHER_TOKEN, cache_dir=tmp_path / "nobody")
    assert "nothing to do" in push(world, packed).stdout and push(world, packed, "--revision", "next").stdout.strip().endswith("/tree/next")
    assert repository.branches.keys() == {"main", "next"}
    # Models are kept apart.
    assert "Repository not found" in world.run("pull", "ada/set", code=3).stderr


LOAD = """
import json, sys, datasets
datasets.disable_progress_bars()
found = datasets.load_dataset(sys.argv[1])
print(json.dumps({name: [list(row["image"].convert("RGB").tobytes()) for row in part] for name, part in found.items()}))
"""


def loaded_by_datasets(world, name):
    """By the real library, in a process and home of its own, which knows the hub by HF_ENDPOINT alone."""
    done = subprocess.run([sys.executable, "-c", LOAD, str(name)], capture_output=True, text=True, cwd=world.folder,
                          env=world.environment | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"})
    assert done.returncode == 0, done.stderr
    return {name: [bytes(pixels) for pixels in rows] for name, rows in json.loads(done.stdout).items()}


def test_the_datasets_library_loads_it_by_name_and_from_what_we_pull(world, packed, pictures, tmp_path):
    push(world, packed, "--private")
    folder = world.run("pull", "ada/set", "--repo-type", "dataset").stdout.strip()
    assert "/datasets--ada--set/snapshots/" in folder
    found = loaded_by_datasets(world, folder)
    assert {name: len(rows) for name, rows in found.items()} == {"train": 6, "test": 2}
    assert sorted(found["train"] + found["test"]) == sorted(Image.open(p).convert("RGB").tobytes() for p in pictures.iterdir())
    assert loaded_by_datasets(world, "ada/set") == found


def test_we_read_what_python_pushes_and_each_finds_what_the_other_has_fetched(world, packed, tmp_path):
    world.api.create_repo("ada/set", repo_type="dataset")
    world.api.upload_folder(folder_path=packed, repo_id="ada/set", repo_type="dataset")
    folder = world.run("pull", "ada/set", "--repo-type", "dataset").stdout.strip()
    assert without_attributes(files_below(pathlib.Path(folder))) == files_below(packed)
    before = len(world.hub.requests)
    assert str(set_of_python(world, local_files_only=True)) == folder
    assert len(world.hub.requests) == before
    theirs = set_of_python(world, cache_dir=world.home / "other")
    asked = len(world.hub.asked("GET", "/resolve/"))
    assert world.run("pull", "ada/set", "--repo-type", "dataset", "--hub-cache", world.home / "other").stdout.strip() == str(theirs)
    world.run("data", "inspect", "ada/set", HF_HUB_CACHE=str(world.home / "other"), HF_HUB_OFFLINE="1")
    assert len(world.hub.asked("GET", "/resolve/")) == asked


def test_its_name_works_wherever_pictures_are_named(world, packed, tmp_path):
    push(world, packed)
    config = tmp_path / "tiny.json"
    config.write_text(json.dumps(TINY))
    told = json.loads(world.run("data", "inspect", "ada/set", "--json").stdout)
    assert told["splits"]["train"]["pictures"] == 6 and told["splits"]["test"]["pictures"] == 2
    world.run("data", "preview", "ada/set", "--output", tmp_path / "sheet.png")
    world.run("data", "split", "ada/set@main", "--output", tmp_path / "folders", code=2)  # it has parts already
    out = tmp_path / "model"
    train = ["--model-config-name-or-path", config, "--train-batch-size", 4, "--save-images-epochs", 0, "--checkpointing-steps", 0]
    world.run("train", "--dataset-name", "ada/set", *train, "--max-train-steps", 2, "--output-dir", out)
    commit = world.hub.repositories["datasets/ada/set"].branches["main"]
    assert json.loads((out / "options.json").read_text())["dataset_name"] == f"ada/set@{commit}"
    card = huggingface_hub.ModelCard.load(out / "README.md")
    assert card.data.datasets == ["ada/set"] and f"--dataset-name ada/set@{commit}" in card.text and "| data | ada/set |" in card.text
    assert "The pictures that it learnt from: cc0-1.0" in card.text and str(world.home) not in card.content
    # Once more from what the run wrote down, after the set has changed: by its commit, so with the same pictures.
    world.hub.repositories["datasets/ada/set"].add("main", type(world.hub.repositories["datasets/ada/set"].head("main"))({}))
    world.run("train", "--options", out / "options.json", "--output-dir", tmp_path / "again")
    losses = [[json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines() if "lr" in line] for run in (out, tmp_path / "again")]
    assert losses[0] == losses[1] and len(losses[0]) == 2
    found = json.loads(world.run("evaluate", "--bits-per-dim", "--model", out, "--data", f"ada/set@{commit}", "--num-images", 1, "--rtol", 0.1, "--atol", 0.1, "--json").stdout)
    assert found["data"] == f"ada/set@{commit}" and found["split"] == "test"


def test_without_a_network_the_error_says_how_to_get_it(world, packed):
    push(world, packed)
    done = world.run("train", "--dataset-name", "ada/set", code=4, HF_HUB_OFFLINE="1")
    assert "ada/set is not on this machine" in done.stderr and "unnoise pull ada/set --repo-type dataset" in done.stderr
    world.run("pull", "ada/set", "--repo-type", "dataset")
    world.run("data", "inspect", "ada/set", HF_HUB_OFFLINE="1")
    done = world.run("data", "inspect", "ada/none", code=3)
    assert "Repository not found" in done.stderr and 'a folder "ada/none" is not here either' in done.stderr


@pytest.mark.parametrize("arguments,code,says", [
    (["--repo-type", "dataset", "--model", "m"], 2, "a data set is named by --data"),
    (["--repo-type", "dataset"], 2, "--data: which data set?"),
    (["--data", "my-set"], 2, "Add --repo-type dataset"),
    (["--repo-type", "space", "--data", "x"], 2, "space"),
    (["--repo-type", "dataset", "--data", "my-set", "--commit-message", ""], 2, "a commit needs one"),
    (["--repo-type", "dataset", "--data", "my-set", "--include", "run"], 2, "--include are of a model's"),
    (["--repo-type", "dataset", "--data", "loose"], 3, "found no data/*.parquet"),
    (["--repo-type", "dataset", "--data", "bare"], 3, "found no README.md"),
    (["--repo-type", "dataset", "--data", "nowhere"], 3, "unnoise data build nowhere"),
])
def test_what_cannot_be_pushed_is_said(world, packed, pictures, arguments, code, says):
    (world.folder / "my-set").symlink_to(packed)
    (world.folder / "loose").symlink_to(pictures)
    (world.folder / "bare").mkdir()
    (world.folder / "bare/data").symlink_to(packed / "data")
    done = world.run("push", "--repo", "ada/set", *arguments, code=code)
    assert says in done.stderr and done.stdout == "" and not world.hub.requests


def test_an_export_is_what_a_push_uploads(world, packed, tmp_path):
    push_files = world.run("push", "--repo-type", "dataset", "--data", packed, "--export", tmp_path / "copy").stdout
    assert files_below(tmp_path / "copy") == files_below(packed) and "README.md" in push_files and not world.hub.requests
