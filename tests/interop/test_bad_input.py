"""What a user gets wrong: each case is answered with what was found and what to do, the right exit code, and nothing written or lost."""
import json
import pathlib
import shutil
import struct
import subprocess

import numpy as np
import pytest
from PIL import Image

from conftest import BUILD
from test_training_run import TINY, arguments, config, data, uninterrupted  # noqa: F401 (fixtures)

USAGE, DATA, ENVIRONMENT = 2, 3, 4


@pytest.fixture
def refused(unnoise, tmp_path):
    """refused(code, words, *args): the program exits with `code`, its message holds every word, and `out` was not made."""

    def check(code, words, *args, out=None):
        done = unnoise(*args, check=False)
        message = done.stderr + done.stdout
        assert done.returncode == code, message
        assert "error:" in done.stderr, message
        for word in words:
            assert word in done.stderr, f"{word!r} not in: {message}"
        if out is not None:
            assert not out.exists(), f"{out} was left behind"
        return done.stderr

    return check


def test_no_such_folder(refused, config, tmp_path):
    refused(DATA, ["no_pictures_here"], *arguments(tmp_path / "no_pictures_here", config, tmp_path / "out"), out=tmp_path / "out")


def test_empty_folder(refused, config, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(DATA, ["empty", ".png"], *arguments(tmp_path / "empty", config, tmp_path / "out"), out=tmp_path / "out")


def test_all_files_broken(refused, config, tmp_path):
    (tmp_path / "broken").mkdir()
    for i in range(3):
        (tmp_path / f"broken/{i}.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    refused(DATA, ["broken"], *arguments(tmp_path / "broken", config, tmp_path / "out"), out=tmp_path / "out")


def test_a_broken_picture_is_named_and_skipped_or_stops_a_strict_run(unnoise, refused, data, config, tmp_path):
    shutil.copytree(data, tmp_path / "mixed")
    (tmp_path / "mixed/zz.png").write_bytes(b"not a picture")
    (tmp_path / "mixed/notes.txt").write_text("hello")
    done = unnoise(*arguments(tmp_path / "mixed", config, tmp_path / "out", "--max-train-steps", 1))
    assert "zz.png" in done.stderr and "notes.txt" in done.stderr
    refused(DATA, ["notes.txt"], *arguments(tmp_path / "mixed", config, tmp_path / "strict", "--strict"), out=tmp_path / "strict")


def test_no_data_given(refused, tmp_path):
    refused(USAGE, ["--train-data-dir"], "train", "--output-dir", tmp_path / "out", out=tmp_path / "out")


def test_unknown_flag_suggests_the_nearest(refused, tmp_path):
    refused(USAGE, ["--train-bach-size", "--train-batch-size"], "train", "--train-bach-size", 4)


def test_unknown_subcommand_suggests_the_nearest(refused):
    refused(USAGE, ["tran", "train"], "tran")


def test_resolution_not_divisible(refused, data, config, tmp_path):
    refused(USAGE, ["--resolution 15", "14", "16"], *arguments(data, config, tmp_path / "out", "--resolution", 15), out=tmp_path / "out")


def test_norm_groups_that_do_not_divide(refused, data, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(TINY | {"norm_num_groups": 3}))
    refused(USAGE, ["norm_num_groups", "3"], *arguments(data, tmp_path / "config.json", tmp_path / "out"), out=tmp_path / "out")


def test_more_inference_steps_than_training_steps(refused, data, config, uninterrupted, tmp_path):
    refused(USAGE, ["--ddpm-num-inference-steps", "1000"], *arguments(data, config, tmp_path / "out", "--ddpm-num-inference-steps", 1001),
            out=tmp_path / "out")
    refused(USAGE, ["1001", "1000"], "sample", "--model", uninterrupted, "--num-inference-steps", 1001, "--output", tmp_path / "s")


def test_fp16_on_a_cpu(refused, data, config, tmp_path):
    refused(USAGE, ["fp16", "bf16"], *arguments(data, config, tmp_path / "out", "--mixed-precision", "fp16", "--device", "cpu"), out=tmp_path / "out")


def test_hub_options_without_a_push(refused, data, config, tmp_path):
    refused(USAGE, ["Add --push-to-hub"], *arguments(data, config, tmp_path / "out", "--hub-model-id", "a/b"), out=tmp_path / "out")


def test_two_runs_in_one_folder(refused, unnoise, data, config, uninterrupted, tmp_path):
    before = sorted((p, p.stat().st_mtime_ns) for p in uninterrupted.rglob("*"))
    refused(USAGE, ["already holds a run", "--overwrite-output-dir"], *arguments(data, config, uninterrupted))
    assert sorted((p, p.stat().st_mtime_ns) for p in uninterrupted.rglob("*")) == before

    first = subprocess.Popen([BUILD / "unnoise", *arguments(data, config, tmp_path / "busy", "--num-epochs", 1000)], stderr=subprocess.DEVNULL)
    try:
        while not (tmp_path / "busy/log.jsonl").exists():
            assert first.poll() is None
        refused(ENVIRONMENT, ["another process"], *arguments(data, config, tmp_path / "busy", "--overwrite-output-dir"))
    finally:
        first.kill()
        first.wait()


def test_resume_from_another_network(refused, data, uninterrupted, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(uninterrupted, out)
    (tmp_path / "config.json").write_text(json.dumps(TINY | {"block_out_channels": [8, 24]}))
    refused(DATA, ["do not fit the network", "another shape"], *arguments(data, tmp_path / "config.json", out, "--resume-from-checkpoint", "latest"))
    assert (out / "log.jsonl").read_text() == (uninterrupted / "log.jsonl").read_text()


def test_resume_from_a_checkpoint_that_is_not_there(refused, data, config, uninterrupted, tmp_path):
    refused(USAGE, ["checkpoint-99", "12"], *arguments(data, config, uninterrupted, "--resume-from-checkpoint", "checkpoint-99"))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(unnoise, data, config, tmp_path):
    out = tmp_path / "out"
    done = unnoise(*arguments(data, config, out, "--learning-rate", "1e30", "--lr-warmup-steps", 0, "--max-grad-norm", 0, "--checkpointing-steps", 1),
                   check=False)
    assert done.returncode == DATA, done.stderr
    assert "not finite" in done.stderr and "checkpoint-" in done.stderr and "--learning-rate" in done.stderr


def test_unwritable_output(refused, data, config, tmp_path):
    (tmp_path / "file").write_text("a file, not a folder")
    refused(ENVIRONMENT, ["file"], *arguments(data, config, tmp_path / "file/out"))


def test_disk_full_leaves_no_half_written_file(unnoise, data, config, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True).returncode != 0:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        done = unnoise(*arguments(data, config, disk / "out"), check=False)
        assert done.returncode == ENVIRONMENT, done.stderr
        assert "disk is full" in done.stderr.lower()
        assert not [p for p in (disk / "out").rglob("*") if ".tmp" in p.name or ".unfinished" in p.name]
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def broken_model(uninterrupted, tmp_path, name, change):
    folder = tmp_path / name
    shutil.copytree(uninterrupted, folder, ignore=shutil.ignore_patterns("checkpoint-*", "logs"))
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    path.write_bytes(change(path.read_bytes()))
    return folder


@pytest.mark.parametrize("name, change, words", [
    ("truncated", lambda b: b[:len(b) // 2], ["diffusion_pytorch_model.safetensors"]),
    ("huge_header", lambda b: struct.pack("<Q", 9_000_000_000) + b[8:], ["diffusion_pytorch_model.safetensors", "header"]),
    ("empty", lambda b: b"", ["diffusion_pytorch_model.safetensors"]),
    ("lfs", lambda b: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", ["LFS"]),
])
def test_damaged_weights(refused, uninterrupted, tmp_path, name, change, words):
    folder = broken_model(uninterrupted, tmp_path, name, change)
    refused(DATA, words, "sample", "--model", folder, "--output", tmp_path / "s", out=tmp_path / "s")


def test_overlapping_offsets(refused, uninterrupted, tmp_path):
    def overlap(b):
        size = struct.unpack("<Q", b[:8])[0]
        header = json.loads(b[8:8 + size])
        names = [n for n in header if n != "__metadata__"]
        header[names[1]]["data_offsets"] = header[names[0]]["data_offsets"]
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + b[8 + size:]

    refused(DATA, ["diffusion_pytorch_model.safetensors"], "sample", "--model", broken_model(uninterrupted, tmp_path, "overlap", overlap), "--output",
            tmp_path / "s", out=tmp_path / "s")


def test_sampling_without_a_model(refused, tmp_path):
    refused(DATA, ["nowhere"], "sample", "--model", tmp_path / "nowhere", "--output", tmp_path / "s", out=tmp_path / "s")
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong/notes.txt").write_text("hello")
    refused(DATA, ["wrong", "notes.txt"], "sample", "--model", tmp_path / "wrong", "--output", tmp_path / "s", out=tmp_path / "s")
