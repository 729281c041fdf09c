"""What goes wrong between the program and a hub: an error that says what to do, and nothing half-done."""
import hashlib
import json
import signal
import subprocess
import time

import pytest

from hub_server import git_blob_id
from hub_world import OTHER_TOKEN, TOKEN, WEIGHTS, in_both_transfers, pictures, push_by_python, trained, wait_until, world  # noqa: F401  (fixtures)


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
    ("POST", "/preupload/", {"status": 404, "times": 99}, "answered 404"),
    ("POST", "/objects/batch", {"status": 404, "times": 99}, "answered 404"),
    ("PUT", "/upload/", {"status": 404, "times": 99}, "answered 404"),
    ("POST", "/commit/", {"status": 404, "times": 99}, "answered 404"),
    ("POST", "/repos/create", {"status": 429, "times": 99, "headers": {"Retry-After": "0"}}, "answered 429"),
    ("POST", "/preupload/", {"status": 429, "times": 99, "headers": {"Retry-After": "9999"}}, "The hub asks to wait 9999 seconds"),
    ("PUT", "/upload/", {"status": 429, "times": 99, "headers": {"Retry-After": "0"}}, "Too many requests"),
    ("POST", "/commit/", {"status": 429, "times": 99, "headers": {"Retry-After": "0"}}, "Too many requests"),
])
def test_a_push_that_fails_changes_nothing(world, trained, method, path, fault, says):
    world.api.create_repo("ada/m")
    world.hub.fault(method, path, **fault)
    done = world.run("push", "--model", trained, "--repo", "ada/m", code=3 if fault["status"] == 404 else 4)
    assert says in done.stderr and done.stdout == "" and "Traceback" not in done.stderr
    assert len(world.hub.repositories["ada/m"].commits) == 1
    world.hub.faults.clear()
    world.run("push", "--model", trained, "--repo", "ada/m")
    assert len(world.hub.repositories["ada/m"].commits) == 2


# --- answers that are no answers

RUBBISH = [b"", b"<html>Bad gateway</html>", b'{"sha": "ab', b"[" * 5000, b'"\xff\xfe"', b"null", b"3", b'"text"', b"[]", b"{}", b"[[]]", b'{"files": {}, "objects": 3}']
MISTYPED = [None, 3, -1, 1.5, True, "x", "", [], {}, [3]]
PUSH, PULL = "push", "pull"
SPEAKING = [("whole", PUSH, "POST", "/repos/create"), ("whole", PUSH, "POST", "/preupload/"), ("whole", PUSH, "POST", "/objects/batch"),
            ("parts", PUSH, "POST", "/objects/batch"), ("whole", PUSH, "POST", "/commit/"), ("whole", PULL, "GET", "/revision/"), ("whole", PULL, "GET", "/tree/")]
SILENT = [("whole", PUSH, "POST", "/branch/"), ("whole", PUSH, "POST", "/verify/"), ("parts", PUSH, "POST", "/complete/")]  # their status is all they say


def places(json_value, at=()):
    """The way to each value inside."""
    yield at
    for key, value in json_value.items() if isinstance(json_value, dict) else enumerate(json_value) if isinstance(json_value, list) else []:
        yield from places(value, at + (key,))


def changed(json_value, at, to):
    if not at:
        return to
    if not (at[0] in json_value if isinstance(json_value, dict) else at[0] < len(json_value)):
        return json_value
    copy = json_value.copy()
    copy[at[0]] = changed(copy[at[0]], at[1:], to)
    return copy


def ask_for_trouble(world, trained, what):
    """A fresh push (as "m", on a branch) or pull; it may only succeed or say clearly that the hub, or the data, is wrong."""
    done = world.finish(world.start("push", "--model", trained, "--repo", "m", "--revision", "b") if what == PUSH else world.start("pull", "ada/there"))
    assert done.returncode in (0, 3, 4), (done.returncode, done.stderr)
    assert done.returncode == 0 or ("error: " in done.stderr and "internal" not in done.stderr and "json.exception" not in done.stderr), done.stderr
    assert_no_broken_file(world)
    return done


def forget(world):
    world.hub.faults.clear()
    world.hub.repositories.pop("ada/m", None)
    world.hub.storage = {} if "ada/there" not in world.hub.repositories else world.hub.storage
    subprocess.run(["rm", "-rf", world.cache], check=True)


@pytest.mark.parametrize("world,what,method,path", SPEAKING + SILENT, indirect=["world"])
def test_rubbish_for_an_answer_is_no_bug_of_ours(world, trained, what, method, path):
    if what == PULL:
        push_by_python(world, trained, "ada/there")
    failed = 0
    for body in RUBBISH:
        world.hub.fault(method, path, times=99, body=body)
        failed += ask_for_trouble(world, trained, what).returncode != 0
        forget(world)
    assert failed == 0 if path in [silent[-1] for silent in SILENT] else failed >= len(RUBBISH) - 1  # [] is a list of no files


@pytest.mark.parametrize("world,what,method,path", SPEAKING, indirect=["world"])
def test_a_member_of_another_type_is_no_bug_of_ours(world, trained, what, method, path):
    if what == PULL:
        push_by_python(world, trained, "ada/there")
    genuine = []
    world.hub.fault(method, path, change=lambda answer: genuine.append(answer) or answer)
    assert ask_for_trouble(world, trained, what).returncode == 0
    forget(world)
    # Entries of a list are alike: the first and the last.
    ways = [at for at in places(genuine[0]) if not any(isinstance(key, int) and key for key in at)]
    for number, at in enumerate(ways):
        for to in MISTYPED[number % 3::3]:
            world.hub.fault(method, path, times=99, change=lambda answer: changed(answer, at, to))
            ask_for_trouble(world, trained, what)
            forget(world)


def test_the_hubs_word_about_a_large_file_is_said(world, trained):
    def refuse(message):
        return lambda answer: {"objects": [{"oid": one["oid"], "size": one["size"], "error": {"code": 422, "message": message}} for one in answer["objects"]]}

    world.hub.fault("POST", "/objects/batch", change=refuse(f"too large for {TOKEN}"))
    assert "too large for ***" in world.run("push", "--model", trained, "--repo", "ada/m", code=4).stderr
    world.hub.fault("POST", "/objects/batch", change=refuse({"not": "a text"}))
    assert 'has no text "message"' in world.run("push", "--model", trained, "--repo", "ada/m", code=3).stderr


# --- Ctrl-C, no network

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


@in_both_transfers
def test_ctrl_c_in_a_push_changes_nothing_and_the_next_goes_on(world, trained):
    """What arrived whole is not sent again; of a file that goes in parts, all of them are."""
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
    assert world.hub.repositories["ada/m"].head("main").files[WEIGHTS].content == (trained / WEIGHTS).read_bytes()


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
