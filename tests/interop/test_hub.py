"""Push, pull and cards: the program and the official client against one server, each reading what the other wrote."""
import hashlib
import io
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import time
import zipfile

import huggingface_hub
import pytest
import yaml
from huggingface_hub import HfApi, ModelCard, snapshot_download

from hub_server import Hub, git_blob_id

BUILD = pathlib.Path(os.environ.get("UNNOISE_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
huggingface_hub.constants.HF_HUB_DISABLE_XET = True  # the protocol that every server speaks, and this program
huggingface_hub.utils.disable_progress_bars()

TOKEN, OTHER_TOKEN = "hf_SecretOfAda0123456789", "hf_SecretOfBob0123456789"
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


# --- the judge

@in_both_transfers
def test_the_server_satisfies_the_official_client(world, tmp_path):
    source = tmp_path / "source"
    (source / "unet").mkdir(parents=True)
    (source / "unet/w.safetensors").write_bytes(os.urandom(300_001))
    (source / "README.md").write_text("---\nlicense: mit\n---\nhello\n")
    (source / "empty").write_bytes(b"")
    assert world.api.create_repo("ada/m", private=True).repo_id == "ada/m"
    assert world.api.create_repo("m", exist_ok=True).repo_id == "ada/m"
    commit = world.api.upload_folder(folder_path=source, repo_id="ada/m", commit_message="first", commit_description="words")
    assert world.hub.repositories["ada/m"].head("main").message == "first"
    world.api.create_branch("ada/m", branch="dev")
    for revision in ("main", "dev", commit.oid):
        got = without_attributes(files_below(pathlib.Path(world.python_download(revision=revision, local_dir=tmp_path / revision))))
        assert got == files_below(source)
    assert world.api.upload_folder(folder_path=source, repo_id="ada/m").oid == commit.oid  # nothing new, no commit
    with pytest.raises(huggingface_hub.errors.RepositoryNotFoundError):
        world.python_download(token=False, cache_dir=tmp_path / "nobody")


# --- there and back

@in_both_transfers
def test_python_reads_what_we_push(world, trained, tmp_path):
    done = world.run("push", "--model", trained, "--repo", "ada/m", "--message", "Tiny", "--description", "two\nlines", "--private")
    assert f"{world.hub.endpoint}/ada/m" in done.stdout
    repository = world.hub.repositories["ada/m"]
    assert repository.is_private and repository.head("main").message == "Tiny" and repository.head("main").description == "two\nlines"
    got = without_attributes(files_below(pathlib.Path(world.python_download(local_dir=tmp_path / "got"))))
    assert got == pipeline_of(trained)
    # Ours to the last byte, so a card under the repository's name.
    assert b'from_pretrained("ada/m")' in got["README.md"] and b"unnoise sample --model ada/m" in got["README.md"]
    from diffusers import DDPMPipeline
    assert DDPMPipeline.from_pretrained(tmp_path / "got").unet.config.sample_size == 16


def test_we_read_what_python_pushes(world, trained, tmp_path):
    push_by_python(world, trained)
    folder = world.run("pull", "ada/m").stdout.strip()
    assert without_attributes(files_below(pathlib.Path(folder))) == {n: c for n, c in files_below(trained).items()
                                                                      if not n.startswith(("checkpoint-", "logs/"))}
    draw = ("--num-images", 2, "--num-inference-steps", 3, "--scheduler", "ddim", "--output")
    world.run("sample", "--model", trained, *draw, tmp_path / "a")
    world.run("sample", "--model", "ada/m", *draw, tmp_path / "b")
    from PIL import Image
    for name in ("0000.png", "0001.png"):
        ours, theirs = Image.open(tmp_path / "a" / name), Image.open(tmp_path / "b" / name)
        assert ours.tobytes() == theirs.tobytes()
        assert json.loads(theirs.text["unnoise"])["model"].startswith("ada/m@") if "unnoise" in theirs.text else True
    world.run("info", "--model", "ada/m")
    # A copy of one's own; nothing is ever written over.
    world.run("pull", "ada/m", "--output", tmp_path / "mine")
    assert not any(p.is_symlink() for p in (tmp_path / "mine").rglob("*"))
    done = world.run("pull", "ada/m", "--output", tmp_path / "mine", code=2)
    assert "is there already" in done.stderr


def test_each_finds_what_the_other_has_fetched(world, trained):
    push_by_python(world, trained)
    folder = world.run("pull", "ada/m").stdout.strip()
    before = len(world.hub.requests)
    assert world.python_download(local_files_only=True) == folder
    from diffusers import DDPMPipeline
    DDPMPipeline.from_pretrained("ada/m", cache_dir=world.cache, local_files_only=True)
    assert len(world.hub.requests) == before
    # The other way round, in a cache that only Python has written.
    other = world.home / "other"
    theirs = world.python_download(cache_dir=other)
    asked = len(world.hub.asked("GET", "resolve"))
    assert world.run("pull", "ada/m", "--hub-cache", other).stdout.strip() == theirs
    assert len(world.hub.asked("GET", "resolve")) == asked
    world.run("sample", "--model", "ada/m", "--num-inference-steps", 2, HF_HUB_CACHE=str(other), HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    assert len(world.hub.asked("GET", "resolve")) == asked


def test_only_what_changed_travels(world, trained, tmp_path):
    mine = tmp_path / "mine"
    world.run("push", "--model", trained, "--export", mine)
    world.run("push", "--model", mine, "--repo", "m")  # under the token's name
    sent = len(world.hub.asked("PUT", "upload"))
    assert sent > 0
    done = world.run("push", "--model", mine, "--repo", "ada/m")
    assert "nothing to do" in done.stdout and len(world.hub.asked("PUT", "upload")) == sent
    (mine / "README.md").write_text("---\nlicense: mit\n---\nmine\n")
    done = world.run("push", "--model", mine, "--repo", "ada/m", "--message", "Words")
    assert done.stdout.startswith("1 files in commit") and len(world.hub.asked("PUT", "upload")) == sent
    assert world.hub.repositories["ada/m"].head("main").files["README.md"].content == b"---\nlicense: mit\n---\nmine\n"
    # A branch of its own leaves main as it is.
    (mine / "README.md").write_text("---\nlicense: mit\n---\nanother\n")
    world.run("push", "--model", mine, "--repo", "ada/m", "--revision", "next")
    world.run("push", "--model", mine, "--repo", "ada/m", "--revision", "next")
    repository = world.hub.repositories["ada/m"]
    assert repository.head("next").files["README.md"].content.endswith(b"another\n") and repository.head("main").message == "Words"
    world.run("pull", "ada/m@next", "--output", tmp_path / "next")
    world.run("pull", "ada/m", "--revision", repository.branches["main"], "--output", tmp_path / "main")
    assert (tmp_path / "next/README.md").read_text().endswith("another\n") and (tmp_path / "main/README.md").read_text().endswith("mine\n")


def test_the_run_and_its_checkpoints_only_when_asked_for(world, trained):
    shown = world.run("push", "--model", trained, "--dry-run").stdout
    assert "unet/diffusion_pytorch_model.safetensors" in shown and "log.jsonl" not in shown and "checkpoint" not in shown
    assert not world.hub.requests
    shown = world.run("push", "--model", trained, "--dry-run", "--include", "run,checkpoints").stdout
    assert "log.jsonl" in shown and "checkpoint-4/unet_ema/config.json" in shown and "logs/train_unconditional/" in shown
    done = world.run("push", "--model", trained, "--dry-run", "--include", "everything", code=2)
    assert 'is not one of run, checkpoints' in done.stderr


# --- without an account

def test_an_export_is_what_a_push_uploads(world, trained, tmp_path):
    for out in ("one.zip", "two.zip", "folder"):
        world.run("push", "--model", trained, "--export", tmp_path / out)
        os.utime(trained / "README.md")
    assert not world.hub.requests
    assert files_below(tmp_path / "folder") == pipeline_of(trained)
    first = (tmp_path / "one.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.testzip() is None
        assert {n.removeprefix("one/"): archive.read(n) for n in archive.namelist()} == pipeline_of(trained)
        assert all(i.external_attr >> 16 == 0o100644 and i.date_time[0] == 1980 for i in archive.infolist())
        archive.extractall(tmp_path / "unpacked")
    world.run("push", "--model", trained, "--export", tmp_path / "one.zip")
    assert (tmp_path / "one.zip").read_bytes() == first  # the same files, the same bytes
    world.run("sample", "--model", tmp_path / "unpacked/one", "--num-inference-steps", 2)
    assert "is there already" in world.run("push", "--model", trained, "--export", tmp_path / "folder", code=2).stderr


# --- what goes wrong: an error that says what to do, and nothing half-done

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def of_the_weights(path, trained):
    """The storage's address of the one large file."""
    return path + hashlib.sha256((trained / WEIGHTS).read_bytes()).hexdigest() if path == "/content/" else path


def assert_no_broken_file(world):
    """What has its final name in the cache is whole."""
    for blob in world.cache.glob("models--*/blobs/*"):
        if ".incomplete" in blob.name:
            continue
        content = blob.read_bytes()
        assert blob.name in (hashlib.sha256(content).hexdigest(), git_blob_id(content))
    for link in world.cache.glob("models--*/snapshots/*/**/*"):
        assert link.is_dir() or link.exists(), link


@pytest.mark.parametrize("who,code,says", [
    ({"HF_TOKEN": "hf_wrong"}, 4, "answered 401 (Invalid credentials"),
    ({"HF_TOKEN": ""}, 4, "No token was given"),
    ({"HF_TOKEN": OTHER_TOKEN}, 4, "answered 403"),
    ({"HF_TOKEN": "hf_a b"}, 2, "this is no token"),
    ({"HF_ENDPOINT": "http://127.0.0.1:9"}, 4, "cannot reach http://127.0.0.1:9"),
    ({"HF_ENDPOINT": "ftp://hub"}, 2, "the hub's address"),
    ({"HF_HUB_OFFLINE": "1"}, 4, "working offline"),
])
def test_who_may_not_push_is_told_why(world, trained, who, code, says):
    world.api.create_repo("ada/m")
    commits = len(world.hub.repositories["ada/m"].commits)
    done = world.run("push", "--model", trained, "--repo", "ada/m", code=code, **who)
    assert says in done.stderr and "hint: " in done.stderr and done.stdout == ""
    assert len(world.hub.repositories["ada/m"].commits) == commits and not world.hub.storage


@pytest.mark.parametrize("name,who,code,says", [
    ("ada/none", {}, 3, "Repository not found"),
    ("ada/none", {"HF_TOKEN": ""}, 3, "If the repository is private, give a token"),
    ("ada/hidden", {"HF_TOKEN": OTHER_TOKEN}, 3, "404"),
    ("ada/hidden@gone", {}, 3, "Invalid rev id: gone"),
    ("ada", {}, 2, "is no name of a repository"),
    ("ada/../x", {}, 2, "is no name of a repository"),
])
def test_what_cannot_be_pulled_is_said(world, name, who, code, says):
    world.api.create_repo("ada/hidden", private=True)
    done = world.run("pull", name, code=code, **who)
    assert says in done.stderr and done.stdout == "" and not list(world.cache.glob("models--*/blobs/*"))


@pytest.mark.parametrize("method,path,fault,waits", [
    ("GET", "/revision/", {"status": 500, "times": 2}, 1.4),
    ("GET", "/tree/", {"status": 503}, 0.4),
    ("GET", "/resolve/", {"status": 429, "headers": {"Retry-After": "2"}}, 2),
    ("GET", "/revision/", {"status": 429, "headers": {"RateLimit": '"api";r=0;t=2'}}, 2),
    ("GET", "/content/", {"status": 502}, 0.4),
    ("GET", "/content/", {"cut_after": 100_000, "times": 3}, 0),
    ("GET", "/content/", {"cut_after": 0}, 0),
    ("GET", "/resolve/", {"cut_after": 20}, 0),
])
def test_trouble_that_passes_does_not_stop_a_pull(world, trained, method, path, fault, waits):
    push_by_python(world, trained)
    world.hub.fault(method, of_the_weights(path, trained), **fault)
    begun = time.monotonic()
    folder = world.run("pull", "ada/m").stdout.strip()
    assert time.monotonic() - begun >= waits
    assert all(fault.times == 0 for fault in world.hub.faults)
    assert (world.cache / folder / WEIGHTS).read_bytes() == (trained / WEIGHTS).read_bytes()
    if fault.get("cut_after", 0) == 100_000:  # each time from where it was
        ranges = [r.headers.get("Range") for r in world.hub.asked("GET", "/content/") if r.headers.get("Range")]
        assert ranges[:2] == ["bytes=100000-", "bytes=200000-"]


@pytest.mark.parametrize("path,fault,code,says", [
    ("/revision/", {"status": 500, "times": 99}, 4, "answered 500"),
    ("/resolve/", {"status": 429, "headers": {"Retry-After": "9999"}}, 4, "The hub asks to wait 9999 seconds"),
    ("/content/", {"status": 403, "times": 99}, 4, "answered 403"),
    ("/content/", {"said_length": 10_000_000, "times": 99}, 3, "its list says"),
    ("/content/", {"said_length": 1000, "times": 99}, 3, "1000 bytes came"),
    ("/content/", {"cut_after": 0, "times": 99}, 4, "the connection to"),
    ("/content/", {"content": "wrong", "times": 99}, 3, "SHA-256"),
    ("/resolve/", {"content": "wrong small", "times": 99}, 3, "git SHA-1"),
])
def test_trouble_that_stays_leaves_nothing_broken(world, trained, path, fault, code, says):
    push_by_python(world, trained)
    files = world.hub.repositories["ada/m"].head("main").files
    if fault.get("content") == "wrong":
        fault = fault | {"content": bytes(len(files[WEIGHTS].content))}
    elif fault.get("content") == "wrong small":
        path, fault = "/model_index.json", fault | {"content": bytes(len(files["model_index.json"].content))}
    world.hub.fault("GET", of_the_weights(path, trained), **fault)
    done = world.run("pull", "ada/m", code=code)
    assert says in done.stderr and "hint: " in done.stderr and done.stdout == "", done.stderr
    assert_no_broken_file(world)
    if "SHA" in says:
        assert not list(world.cache.glob("**/*.incomplete"))
    world.hub.faults.clear()
    assert world.run("pull", "ada/m").returncode == 0  # and the way is free
    assert_no_broken_file(world)


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "a//b", "a\\..\\evil", "con\ntrol"])
def test_a_path_that_leaves_its_folder_is_refused(world, path):
    from hub_server import Commit, Entry
    world.api.create_repo("ada/m")
    world.hub.repositories["ada/m"].add("main", Commit({path: Entry(b"evil"), "model_index.json": Entry(b"{}")}))
    done = world.run("pull", "ada/m", code=3)
    assert "outside of the repository" in done.stderr
    assert not list(world.folder.rglob("*evil*")) and not list(world.cache.glob("models--*/snapshots/*"))


@pytest.mark.parametrize("method,path,fault", [
    ("POST", "/preupload/", {"status": 429, "headers": {"Retry-After": "1"}}),
    ("POST", "/objects/batch", {"status": 500, "times": 2}),
    ("PUT", "/upload/", {"status": 500}),
    ("PUT", "/upload/", {"cut_after": 0}),
    ("POST", "/api/verify/", {"status": 503}),
    ("POST", "/commit/", {"status": 500}),
    ("POST", "/commit/", {"status": 504, "after": True}),  # it was made, its answer got lost: not made twice
])
def test_trouble_that_passes_does_not_stop_a_push(world, trained, method, path, fault):
    world.hub.fault(method, path, **fault)
    world.run("push", "--model", trained, "--repo", "ada/m")
    assert all(fault.times == 0 for fault in world.hub.faults)
    repository = world.hub.repositories["ada/m"]
    assert len(repository.commits) == 2 and repository.head("main").files[WEIGHTS].content == (trained / WEIGHTS).read_bytes()


@pytest.mark.parametrize("method,path,fault,says", [
    ("POST", "/commit/", {"status": 409, "message": "A commit has happened since"}, "Somebody else changed the repository"),
    ("POST", "/commit/", {"status": 400, "message": f"bad token {TOKEN} here"}, "bad token *** here"),
    ("POST", "/commit/", {"status": 500, "times": 99}, "answered 500"),
    ("PUT", "/upload/", {"status": 403, "times": 99}, "answered 403"),
    ("PUT", "/upload/", {"status": 500, "times": 99}, "answered 500"),
])
def test_a_push_that_fails_changes_nothing(world, trained, method, path, fault, says):
    world.api.create_repo("ada/m")
    world.hub.fault(method, path, **fault)
    done = world.run("push", "--model", trained, "--repo", "ada/m", code=4)
    assert says in done.stderr and done.stdout == ""
    assert len(world.hub.repositories["ada/m"].commits) == 1
    world.hub.faults.clear()
    world.run("push", "--model", trained, "--repo", "ada/m")
    assert len(world.hub.repositories["ada/m"].commits) == 2


def wait_until(condition):
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it did not happen in 10 s")


def test_ctrl_c_in_a_pull_keeps_what_arrived(world, trained):
    push_by_python(world, trained)
    world.hub.fault("GET", "/content/", times=99, delay=0.1)
    process = world.start("pull", "ada/m")
    wait_until(lambda: any(p.stat().st_size > 100_000 for p in world.cache.glob("**/*.incomplete")))
    process.send_signal(signal.SIGINT)
    done = world.finish(process)
    assert done.returncode == 130 and done.stdout == ""
    assert_no_broken_file(world)
    partial, = world.cache.glob("**/*.incomplete")
    size = partial.stat().st_size
    world.hub.faults.clear()
    folder = world.run("pull", "ada/m").stdout.strip()
    assert world.hub.asked("GET", "/content/")[-1].headers.get("Range") == f"bytes={size}-" or \
        f"bytes={size}-" in [r.headers.get("Range") for r in world.hub.asked("GET", "/content/")]
    assert (world.cache / folder / WEIGHTS).read_bytes() == (trained / WEIGHTS).read_bytes()
    assert not list(world.cache.glob("**/*.incomplete"))


def test_ctrl_c_in_a_push_changes_nothing_and_the_next_goes_on(world, trained):
    world.api.create_repo("ada/m")
    picture = hashlib.sha256((trained / "samples/epoch-0002.png").read_bytes()).hexdigest()
    weights = hashlib.sha256((trained / WEIGHTS).read_bytes()).hexdigest()
    world.hub.fault("PUT", weights, wait=20)  # the picture goes first
    process = world.start("push", "--model", trained, "--repo", "ada/m")
    wait_until(lambda: world.hub.asked("PUT", weights))
    process.send_signal(signal.SIGINT)
    done = world.finish(process)
    assert done.returncode == 130 and len(world.hub.repositories["ada/m"].commits) == 1 and picture in world.hub.storage
    world.run("push", "--model", trained, "--repo", "ada/m")
    assert len(world.hub.asked("PUT", picture)) == 1 and len(world.hub.repositories["ada/m"].commits) == 2


def test_without_a_network_the_error_names_what_is_missing(world, trained):
    push_by_python(world, trained)
    offline = {"HF_HUB_OFFLINE": "1"}
    done = world.run("sample", "--model", "ada/m", code=4, **offline)
    assert "ada/m is not on this machine" in done.stderr and "unnoise pull ada/m" in done.stderr
    world.run("pull", "ada/m")
    world.run("sample", "--model", "ada/m", "--num-inference-steps", 2, **offline)
    done = world.run("sample", "--model", "ada/m", "--num-inference-steps", 2, HF_ENDPOINT="http://127.0.0.1:9")
    assert "cannot reach" in done.stderr and "that was fetched before" in done.stderr
    link, = world.cache.glob(f"**/snapshots/*/{WEIGHTS}")
    link.unlink()
    done = world.run("sample", "--model", "ada/m", code=4, **offline)
    assert f"missing: {WEIGHTS}" in done.stderr
    done = world.run("sample", "--model", "ada/other", code=3)
    assert "a folder \"ada/other\" is not here either" in done.stderr


def test_the_token_comes_from_where_the_client_keeps_it(world, trained):
    (world.home / "token").write_text(TOKEN)
    world.run("push", "--model", trained, "--repo", "ada/m", HF_TOKEN="")
    (world.home / "token").unlink()
    world.run("pull", "ada/m", "--hub-token-file", world.token_file, HF_TOKEN="")
    assert "holds no token" in world.run("pull", "ada/m", "--hub-token-file", "/dev/null", code=3).stderr


# --- training that pushes

def test_training_pushes_each_model_it_saves(world, pictures, tmp_path):
    out = tmp_path / "runs/mine"
    out.parent.mkdir()
    arguments = train_arguments(pictures, out, "--push-to-hub", "--hub-private-repo", "--save-model-epochs", 1, "--hub-token", TOKEN)
    world.run(*arguments, HF_TOKEN="")
    repository = world.hub.repositories["ada/mine"]
    assert repository.is_private
    messages = [c.message for c in repository.commits.values()]
    assert messages == ["initial commit", "Epoch 0", "Epoch 1"]
    assert json.loads((out / "options.json").read_text())["hub_token"] is None
    got = without_attributes(files_below(pathlib.Path(world.python_download("ada/mine", local_dir=tmp_path / "got"))))
    got.pop("samples/epoch-0001.png")  # of the first model's card
    assert got == pipeline_of(out)


def test_a_failed_push_never_loses_the_model(world, pictures, tmp_path):
    out = tmp_path / "runs/mine"
    out.parent.mkdir()
    done = world.run(*train_arguments(pictures, out, "--push-to-hub"), code=4, HF_TOKEN="hf_wrong")
    assert "answered 401" in done.stderr and not out.exists()  # known before an hour has passed
    world.hub.fault("POST", "/commit/", times=99, status=403, message="quota exceeded")
    done = world.run(*train_arguments(pictures, out, "--push-to-hub", "--save-model-epochs", 1, "--hub-model-id", "ada/x"), code=4)
    assert "quota exceeded" in done.stderr and "training goes on" in done.stderr and "The model itself is whole" in done.stderr
    assert f"unnoise push --model {out} --repo ada/x" in done.stderr
    world.run("sample", "--model", out, "--num-inference-steps", 2)
    done = world.run(*train_arguments(pictures, tmp_path / "runs/no", "--hub-model-id", "ada/x"), code=2)
    assert "Add --push-to-hub" in done.stderr


# --- cards

def test_the_card_is_one_that_the_hub_understands(world, trained, monkeypatch):
    card = ModelCard.load(trained / "README.md")
    assert card.data.license == "cc0-1.0" and card.data.library_name == "diffusers" and card.data.pipeline_tag == "unconditional-image-generation"
    assert {"unnoise", "diffusers", "unconditional-image-generation"} <= set(card.data.tags)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", world.hub.endpoint)
    card.validate()
    assert yaml.safe_load(yaml.safe_dump(card.data.to_dict())) == card.data.to_dict()
    for part in ("my pictures", "| pictures | 8 |", "| hash of the pixels | `pixels-", "![samples](samples/epoch-0002.png)", "![loss](loss.svg)", "4 (2 epochs)", "loss at the end",
                 "DiffusionPipeline", "parameters"):
        assert part in card.text, part
    assert str(trained.parent) not in card.text and "/tmp" not in card.text  # nobody's folders


def test_the_command_in_the_card_repeats_the_run(world, trained, pictures, tmp_path):
    command = re.search(r"## Recipe.*?```sh\n(.*?)\n```", (trained / "README.md").read_text(), re.S)[1]
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:2] == ["unnoise", "train"]
    (tmp_path / "my pictures").symlink_to(pictures)
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    world.run(*words[1:], "--output-dir", tmp_path / "again")
    losses = [[r for r in map(json.loads, (run / "log.jsonl").read_text().splitlines()) if "loss" in r] for run in (trained, tmp_path / "again")]
    assert losses[0] == losses[1] and len(losses[0]) == 4


def test_a_card_that_a_person_changed_stays(world, trained, tmp_path):
    mine = tmp_path / "mine"
    subprocess.run(["cp", "-r", trained, mine], check=True)
    quality = tmp_path / "quality.json"
    quality.write_text(json.dumps({"bits_per_dim": 3.25, "num_images": 4, "seconds": 2, "model": "x"}))
    done = world.run("card", "--model", mine, "--name", "ada/m", "--evaluation", quality)
    assert done.stdout.strip() == str(mine / "README.md")
    card = ModelCard.load(mine / "README.md")
    assert card.data.license == "cc0-1.0" and card.data.eval_results[0].metric_type == "bits_per_dim" and card.data.eval_results[0].metric_value == 3.25
    assert 'from_pretrained("ada/m")' in card.text
    world.run("card", "--model", mine, "--license", "mit")
    assert ModelCard.load(mine / "README.md").data.license == "mit"
    changed = (mine / "README.md").read_text().replace("It knows its training pictures", "It knows my pictures")
    (mine / "README.md").write_text(changed)
    done = world.run("card", "--model", mine, code=2)
    assert "--force" in done.stderr and (mine / "README.md").read_text() == changed
    assert world.run("card", "--model", mine, "--print").stdout.startswith("---\nlicense: mit\n")
    world.run("push", "--model", mine, "--repo", "ada/m")  # nor does a push touch it
    assert world.hub.repositories["ada/m"].head("main").files["README.md"].content.decode() == changed
    world.run("card", "--model", mine, "--force")
    assert "It knows its training pictures" in (mine / "README.md").read_text()


def test_a_model_from_elsewhere_gets_a_card_too(world, tmp_path):
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
    DDPMPipeline(UNet2DModel(**TINY), DDPMScheduler()).save_pretrained(tmp_path / "theirs")
    world.run("card", "--model", tmp_path / "theirs", "--license", "mit")
    text = ModelCard.load(tmp_path / "theirs/README.md").text
    assert "UNet2DModel" in text and "16×16" in text and "Recipe" not in text


# --- the tutorial

def test_the_commands_of_the_tutorial_work(world, trained, tmp_path):
    """docs/share-it.md, in its order, with the tiny model in the place of yours."""
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs/share-it.md").read_text()
    subprocess.run(["cp", "-r", trained, tmp_path / "my-model"], check=True)
    world.hub.users[TOKEN] = "me"
    world.environment["PATH"] = f"{BUILD}:{os.environ['PATH']}"
    commands = re.findall(r"```sh\n(.*?)```", page, re.S)
    assert len(commands) >= 5
    for command in commands:
        done = subprocess.run(["bash", "-euc", command], capture_output=True, text=True, env=world.environment, cwd=tmp_path)
        world.outputs += [done.stdout, done.stderr]
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert "me/my-model" in world.hub.repositories
