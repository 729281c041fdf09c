"""`unnoise data`: what its actions say and write, for sets with planted faults; the tutorial's commands; installing sets."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from conftest import BUILD

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHOTOS = [Image.open(ROOT / "tests/data" / name).convert("RGB") for name in ("cat.jpg", "brick.jpg", "rocket.webp", "gravel.png")]
USAGE, DATA, ENVIRONMENT = 2, 3, 4


def crop(i, size=72):
    """The i-th of many different pieces of photographs."""
    photo = PHOTOS[i % 4].resize((320, 240))
    rng = np.random.default_rng(i)
    side = int(rng.integers(100, 200))
    x, y = int(rng.integers(0, 320 - side)), int(rng.integers(0, 240 - side))
    piece = photo.crop((x, y, x + side, y + side)).resize((size, size))
    return piece.rotate(90 * int(rng.integers(0, 4)))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """60 good pictures in two classes, of unequal number, and one of every fault."""
    root = tmp_path_factory.mktemp("sets") / "my-pictures"
    for i in range(60):
        folder = root / ("many" if i >= 5 else "few")
        folder.mkdir(parents=True, exist_ok=True)
        crop(i).save(folder / f"{i:02}.{'jpg' if i % 4 == 0 else 'png'}")
    shutil.copy(root / "many/10.png", root / "many/copy of 10.png")
    Image.open(root / "many/11.png").resize((96, 96)).save(root / "many/larger 11.jpg", quality=60)
    ImageEnhance.Brightness(Image.open(root / "many/13.png")).enhance(1.05).save(root / "many/brighter 13.png")
    crop(200, 20).save(root / "many/tiny.png")
    PHOTOS[0].crop((0, 0, 400, 100)).save(root / "many/long.png")
    cut_out = crop(201).convert("RGBA")
    cut_out.putalpha(Image.linear_gradient("L").resize((72, 72)))
    cut_out.save(root / "many/transparent.png")
    whole = (root / "many/20.jpg").read_bytes()
    (root / "many/broken.jpg").write_bytes(whole[:len(whole) // 2])
    return root


def test_inspect_counts(faulty, unnoise):
    told = json.loads(unnoise("data", "inspect", faulty, "--num-images", 0, "--json").stdout)
    assert told["pictures"] == 67 and told["broken"] == 1 and told["looked_at"] == 67
    assert told["splits"]["train"]["classes"] == {"few": 5, "many": 62}
    assert told["modes"] == {"RGB": 65, "RGBA": 1} and told["sizes"]["72x72"] == 63
    assert told["bytes"] == pytest.approx(sum(p.stat().st_size for p in faulty.rglob("*.*")), rel=0.05)  # the broken one counts as a mean one
    text = unnoise("data", "inspect", faulty).stdout
    assert "67" in text and "few" in text and "20x20 to" in text


def test_doctor_finds_every_planted_fault_and_nothing_else(faulty, unnoise, tmp_path):
    told = json.loads(unnoise("data", "doctor", faulty, "--json").stdout)
    assert told["broken"] == ["many/broken.jpg"]
    assert told["tiny"] == ["many/tiny.png"] and told["long"] == ["many/long.png"] and told["see_through"] == ["many/transparent.png"]
    assert told["exact_duplicates"] == [{"a": "many/10.png", "b": "many/copy of 10.png"}]
    pairs = {frozenset((p["a"], p["b"])) for p in told["near_duplicates"]}
    assert pairs == {frozenset(("many/11.png", "many/larger 11.jpg")), frozenset(("many/13.png", "many/brighter 13.png"))}
    text = unnoise("data", "doctor", faulty, "--duplicates", tmp_path / "pairs.png").stdout
    for word in ["broken.jpg", "copy of 10.png", "larger 11.jpg", "\"few\" only 5", "transparent", "tiny"]:
        assert word in text, text
    sheet = Image.open(tmp_path / "pairs.png")
    assert sheet.size == (2 + 8 * 66, 2 + 66)  # three pairs of 64 pixels with a gap between


def test_doctor_finds_leaks_between_splits(tmp_path, unnoise):
    for i in range(8):
        path = tmp_path / f"set/{'test' if i < 2 else 'train'}/{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        crop(i).save(path)
    shutil.copy(tmp_path / "set/test/0.png", tmp_path / "set/train/again.png")
    done = unnoise("data", "doctor", tmp_path / "set")
    assert re.search(r"leaks +1 exact", done.stdout) and "test/0.png" in done.stdout
    (tmp_path / "set/train/again.png").unlink()
    assert unnoise("data", "doctor", tmp_path / "set").stdout == "8 pictures, nothing to complain about\n"


def test_preview_has_the_geometry_of_make_grid(faulty, unnoise, tmp_path):
    unnoise("data", "preview", faulty, "--num-images", 8, "--resolution", 32, "--output", tmp_path / "p.png")
    assert Image.open(tmp_path / "p.png").size == (274, 36)
    (tmp_path / "one").mkdir()
    for i in range(8):
        Image.fromarray(np.full((4, 4, 3), 30 * i, np.uint8)).save(tmp_path / f"one/{i}.png")
    unnoise("data", "preview", tmp_path / "one", "--zoom", 2, "--columns", 4, "--output", tmp_path / "z.png")
    sheet = np.asarray(Image.open(tmp_path / "z.png"))
    assert sheet.shape == (22, 42, 3)
    for i in range(8):
        y, x = 2 + 10 * (i // 4), 2 + 10 * (i % 4)
        assert (sheet[y:y + 8, x:x + 8] == 30 * i).all()
    unnoise("data", "preview", faulty, "--by-class", "--num-images", 4, "--output", tmp_path / "c.svg")
    assert ">few</text>" in (tmp_path / "c.svg").read_text()


def test_split_is_stratified_seeded_and_complete(tmp_path, unnoise):
    for i in range(60):
        path = tmp_path / f"set/{'ab'[i % 3 == 0]}/{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        crop(i, 8).save(path)
    common = ["data", "split", tmp_path / "set", "--validation-fraction", "0.1", "--test-fraction", "0.2", "--output"]
    unnoise(*common, tmp_path / "one")
    unnoise(*common, tmp_path / "two")
    unnoise(*common, tmp_path / "other", "--seed", 1)
    listed = lambda name: sorted(str(p.relative_to(tmp_path / name)) for p in (tmp_path / name).rglob("*.png"))
    assert listed("one") == listed("two") != listed("other")
    for split, a, b in [("train", 28, 14), ("validation", 4, 2), ("test", 8, 4)]:
        assert len(list((tmp_path / "one" / split / "a").iterdir())) == a and len(list((tmp_path / "one" / split / "b").iterdir())) == b
    assert sorted(p.read_bytes() for p in (tmp_path / "one").rglob("*.png")) == sorted(p.read_bytes() for p in (tmp_path / "set").rglob("*.png"))
    again = json.loads(unnoise("data", "inspect", tmp_path / "one", "--json").stdout)
    assert {s: c["pictures"] for s, c in again["splits"].items()} == {"train": 42, "validation": 6, "test": 12}
    done = unnoise(*common[:2], tmp_path / "one", "--output", tmp_path / "x", check=False)
    assert done.returncode == USAGE and "split already" in done.stderr


def test_split_keeps_captions(tmp_path, unnoise):
    (tmp_path / "set").mkdir()
    rows = [{"file_name": f"{i}.png", "text": f"number {i}"} for i in range(10)]
    for i in range(10):
        crop(i, 8).save(tmp_path / f"set/{i}.png")
    (tmp_path / "set/metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    unnoise("data", "split", tmp_path / "set", "--output", tmp_path / "out", "--test-fraction", "0.3")
    found = [json.loads(line) for split in ("train", "test") for line in (tmp_path / f"out/{split}/metadata.jsonl").read_text().splitlines()]
    assert sorted((r["file_name"], r["text"]) for r in found) == [(r["file_name"], r["text"]) for r in rows]


@pytest.mark.parametrize("args, code, words", [
    (["data", "inspect"], USAGE, ["which pictures"]),
    (["data", "inspect", "nowhere"], DATA, ["nowhere", "no such folder"]),
    (["data", "inspect", "a", "b"], USAGE, ["one set of pictures"]),
    (["data", "inspct", "a"], USAGE, ["Did you mean \"unnoise data inspect\""]),
    (["data", "build", "SET"], USAGE, ["--output"]),
    (["data", "build", "SET", "--output", "SET"], USAGE, ["there already", "--overwrite"]),
    (["data", "build", "SET", "--output", "out", "--max-shard-size", "0"], USAGE, ["--max-shard-size"]),
    (["data", "split", "SET", "--output", "out", "--test-fraction", "1"], USAGE, ["--test-fraction"]),
    (["data", "split", "SET", "--output", "out", "--test-fraction", "0.5", "--validation-fraction", "0.5"], USAGE, ["nothing to train on"]),
    (["data", "preview", "SET", "--num-images", "0"], USAGE, ["--num-images"]),
    (["data", "doctor", "SET", "--distance", "9"], USAGE, ["--distance"]),
    (["data", "get", "emojis"], USAGE, ["Did you mean \"emoji\""]),
])
def test_wrong_use(args, code, words, faulty, tmp_path, unnoise):
    done = unnoise(*[str(faulty) if a == "SET" else a for a in args], check=False, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_leaves_nothing(faulty, tmp_path, unnoise):
    (tmp_path / "file").write_text("")
    done = unnoise("data", "build", faulty, "--output", tmp_path / "file/out", check=False)
    assert done.returncode == ENVIRONMENT and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_ctrl_c_leaves_nothing(tmp_path):
    big = tmp_path / "set"
    big.mkdir()
    crop(0, 600).save(big / "0.png")
    for i in range(1, 400):
        os.link(big / "0.png", big / f"{i}.png")
    job = subprocess.Popen([BUILD / "unnoise", "data", "build", big, "--output", tmp_path / "out"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 60
    while not list(tmp_path.glob(".unfinished*")) and time.time() < deadline:
        time.sleep(0.05)
    job.send_signal(signal.SIGINT)
    _, error = job.communicate(timeout=60)
    assert job.returncode == 130, error
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_the_tutorial(faulty, tmp_path, unnoise):
    """Every command of docs/make-a-data-set.md, in order, in one folder."""
    shutil.copytree(faulty, tmp_path / "my-pictures")
    text = (ROOT / "docs/make-a-data-set.md").read_text()
    commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    assert len(commands) >= 8 and all(line.startswith("unnoise ") for line in commands)
    for line in commands:
        words = re.findall(r'"[^"]*"|\S+', line)[1:]
        done = unnoise(*[w.strip('"') for w in words], cwd=tmp_path)
        assert "error" not in done.stderr
    for name in ["sheet.png", "classes.svg", "pairs.png", "my-split/validation", "my-set/README.md", "runs/mine/model_index.json"]:
        assert (tmp_path / name).exists(), name
