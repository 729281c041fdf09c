"""Runs the commands of the tutorials, block by block, in one folder a page.

Every ```sh block of a page in PAGES is run as it stands, unless a comment before it says otherwise:

    <!-- test: unnoise train ... --max-train-steps 2 -->      a shorter command instead (one line each, several allowed)
    <!-- not tested: builds the program -->                   nothing

A shorter command must call the same programs in the same order and give every flag that the page gives: what is cut is work,
never an option that a reader will type.
"""
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("UNNOISE_BUILD", ROOT / "build"))
PAGES = ["README.md", "docs/getting-started.md", "docs/from-scratch.md", "docs/ema.md", "docs/objectives.md", "docs/quality.md",
         "share/features/README.md"]

BLOCK = re.compile(r"((?:<!-- (?:test|not tested): (?:(?!-->).)*-->\n)*)```sh\n(.*?)```", re.S)


def commands(text):
    """Lines of shell without comments, those that end in a backslash joined."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [line for line in (re.sub(r"(^|\s)# .*", "", line).strip() for line in lines) if line]


def blocks(page):
    """[(what the page says, what is run)], lists of commands."""
    out = []
    for marks, code in BLOCK.findall((ROOT / page).read_text()):
        if "<!-- not tested:" in marks:
            continue
        instead = "\n".join(re.findall(r"<!-- test: (.*?) ?-->", marks, re.S))
        out.append((commands(code), commands(instead) or commands(code)))
    return out


def program(command):
    """["unnoise", "train"]: the words before the first flag, without a folder or a file."""
    return [word for word in shlex.split(command)[:2] if re.fullmatch(r"[\w-]+", word) and not word.startswith("-")]


def flags(command):
    return {word.split("=")[0] for word in shlex.split(command) if word.startswith("--")}


@pytest.mark.parametrize("page", PAGES)
def test_shorter_commands_are_the_pages_commands(page):
    assert blocks(page)
    for shown, run in blocks(page):
        assert [program(c) for c in shown] == [program(c) for c in run]
        for a, b in zip(shown, run):
            assert flags(a) <= flags(b), (a, b)


@pytest.mark.parametrize("page", PAGES)
def test_commands_run(page, tmp_path):
    environment = os.environ | {"PATH": f"{BUILD}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    pictures = [ROOT / "tests/data" / name for name in ("cat.jpg", "brick.jpg", "rocket.webp", "gravel.png")]
    (tmp_path / "my_pictures").mkdir()
    for picture in pictures:
        shutil.copy(picture, tmp_path / "my_pictures")
    shutil.copy(pictures[0], tmp_path)  # "a picture of yours"
    for shown, run in blocks(page):
        done = subprocess.run(["bash", "-e", "-c", "\n".join(run)], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{run}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text) + re.findall(r"(?:src|href)=\"([^\"#]+)\"", text)
    for link in links:
        assert link.startswith("http") or (ROOT / page).parent.joinpath(link).exists(), link
