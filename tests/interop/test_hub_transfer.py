"""Push and pull: the program and the official client against one server, each reading what the other wrote."""
import io
import json
import os
import pathlib
import subprocess
import zipfile

import huggingface_hub
import pytest

from hub_world import TOKEN, WEIGHTS, files_below, in_both_transfers, pictures, pipeline_of, push_by_python, train_arguments, trained, without_attributes, world  # noqa: F401  (fixtures)

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
    done = world.run("push", "--model", trained, "--repo", "ada/m", "--commit-message", "Tiny", "--commit-description", "two\nlines", "--private")
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
        assert json.loads(theirs.text["parameters"])["model"].startswith("ada/m@")
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


def test_every_command_that_takes_a_name_takes_the_hubs_flags(world, trained, pictures):
    """Nothing of the hub is in the environment: the address, the token and the folder of downloads come by flags."""
    world.api.create_repo("ada/m", private=True)
    push_by_python(world, trained)
    other = world.home / "by-flag"
    hub = ("--hub-endpoint", world.hub.endpoint, "--hub-token-file", world.token_file, "--hub-cache", other)
    bare = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": ""}
    many = world.folder / "many"
    many.mkdir()
    for i in range(3):
        for picture in pictures.iterdir():
            (many / f"{i}{picture.name}").symlink_to(picture)
    training = ["--train-data-dir", pictures, "--train-batch-size", 4, "--max-train-steps", 1, "--save-images-epochs", 0, "--checkpointing-steps", 0]
    for command in (["info", "--model", "ada/m"],
                    ["sample", "--model", "ada/m", "--num-inference-steps", 1],
                    ["schedule", "--model", "ada/m", "--num-inference-steps", 3],
                    ["noise", "--image", next(pictures.iterdir()), "--model", "ada/m"],
                    ["samplers", "--model", "ada/m", "--samplers", "ddim", "--calls", 2, "--reference-steps", 4, "--num-images", 1],
                    ["evaluate", "--model", "ada/m", "--data", many, "--metrics", "swd", "--features", "pixels", "--num-images", 16, "--num-inference-steps", 1],
                    ["train", "--pretrained", "ada/m", "--output-dir", world.folder / "tuned", *training]):
        assert f"cannot reach {bare['HF_ENDPOINT']}" in world.run(*command, code=4, **bare).stderr, command
        world.run(*command, *hub, **bare)
        assert list(other.glob(f"models--ada--m/snapshots/*/{WEIGHTS}")) and not world.cache.exists()
        subprocess.run(["rm", "-r", other], check=True)
    world.run("train", "--pretrained", "ada/m", "--output-dir", world.folder / "again", *training, *hub[:2], *hub[4:], "--hub-token", TOKEN, **bare)
    assert json.loads((world.folder / "tuned/options.json").read_text())["pretrained"].startswith("ada/m@")


def test_only_what_changed_travels(world, trained, tmp_path):
    mine = tmp_path / "mine"
    world.run("push", "--model", trained, "--export", mine)
    world.run("push", "--model", mine, "--repo", "m")  # under the token's name
    sent = len(world.hub.asked("PUT", "upload"))
    assert sent > 0
    done = world.run("push", "--model", mine, "--repo", "ada/m")
    assert "nothing to do" in done.stdout and len(world.hub.asked("PUT", "upload")) == sent
    (mine / "README.md").write_text("---\nlicense: mit\n---\nmine\n")
    done = world.run("push", "--model", mine, "--repo", "ada/m", "--commit-message", "Words")
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
