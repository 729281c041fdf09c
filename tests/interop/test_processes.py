"""Several processes that train one model: as good as one, resumable bit for bit, started in four ways, and what is said when one is missing."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from conftest import BUILD
from diffusers import UNet2DModel
from safetensors.torch import load_file, save_file
from test_training_run import TINY, arguments, assert_same_run, config, data, steps  # noqa: F401 (fixtures)

BY_HAND = {"MASTER_ADDR": "localhost"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def environment(**variables):
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") and not k.startswith("SLURM")}
    return {**clean, **variables}


def start(args, rank, port, world_size=2, **more):
    """One process with its place set by hand."""
    place = environment(RANK=str(rank), WORLD_SIZE=str(world_size), MASTER_PORT=port, **BY_HAND, **more)
    return subprocess.Popen([BUILD / "unnoise", *args], env=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def run_both(args):
    port = free_port()
    both = [start(args, rank, port) for rank in (0, 1)]
    errors = [process.communicate(timeout=300)[1] for process in both]
    return [process.returncode for process in both], errors


def wait_for_steps(out, count, processes, seconds=120):
    deadline = time.time() + seconds
    log = out / "log.jsonl"
    while not log.exists() or log.read_text().count('"loss"') < count:
        assert time.time() < deadline and all(p.poll() is None for p in processes), [p.communicate()[1] for p in processes if p.poll() is not None]
        time.sleep(0.01)


# --- the same training -----------------------------------------------------------------------------------------------

STEPS, ROWS = 6, 6
SGD = {"type": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.0}  # Adam makes full steps of gradients that are rounding alone
NETWORK = {**TINY, "dropout": 0.0}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Weights, pictures, noise and timesteps, so that nothing is left to chance."""
    folder = tmp_path_factory.mktemp("given")
    torch.manual_seed(0)
    config = {k: v for k, v in NETWORK.items() if not k.startswith("_")}
    save_file(UNet2DModel(**config).state_dict(), folder / "weights.safetensors")
    draws = {}
    for step in range(STEPS):
        draws |= {f"{step}.x0": torch.rand(ROWS, 1, 16, 16) * 2 - 1, f"{step}.eps": torch.randn(ROWS, 1, 16, 16),
                  f"{step}.t": torch.randint(1000, (ROWS,))}
    save_file(draws, folder / "draws.safetensors")
    return {"config": config, "weights": str(folder / "weights.safetensors"), "draws": str(folder / "draws.safetensors"), "steps": STEPS,
            "max_grad_norm": 0.5}


def train_with(world_size, given, folder):
    """(report, tensors) of each rank of training_driver, and of torchrun's users."""
    port, processes = free_port(), []
    for rank in range(world_size):
        request = {**given, "task": "train", "optimizer": SGD, "lr": {"type": "constant"}, "ema": {},
                   "rank": rank, "world_size": world_size, "master_port": int(port), "output": str(folder / f"{world_size}-{rank}.safetensors")}
        path = folder / f"{world_size}-{rank}.json"
        path.write_text(json.dumps(request))
        processes.append(subprocess.Popen([BUILD / "training_driver", path], env=environment(OMP_NUM_THREADS="1"), stdout=subprocess.PIPE, text=True))
    reports = [json.loads(process.communicate(timeout=300)[0]) for process in processes]
    return [(report, load_file(folder / f"{world_size}-{rank}.safetensors")) for rank, report in enumerate(reports)]


@pytest.mark.parametrize("world_size", [2, 3, 4])  # with 4 the shares are of 1, 2, 1 and 2 pictures
def test_processes_on_shares_train_what_one_trains_on_the_whole_batch(given, tmp_path, world_size):
    (alone, expected), = train_with(1, given, tmp_path)
    together = train_with(world_size, given, tmp_path)
    assert min(alone["norms"]) > given["max_grad_norm"]  # the clip sees the norm of the whole gradient
    for report, tensors in together:
        assert report["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        assert report["norms"] == pytest.approx(alone["norms"], rel=1e-5)
        assert report["losses"] == together[0][0]["losses"]
        for name, tensor in tensors.items():
            assert torch.equal(tensor, together[0][1][name]), name  # the ranks never drift apart
            assert (tensor - expected[name]).abs().max() < 1e-5, name


def test_two_processes_train_what_two_of_accelerate_train(given, tmp_path):
    request = {**given, "sgd": SGD, "output": str(tmp_path / "theirs.safetensors")}
    (tmp_path / "request.json").write_text(json.dumps(request))
    script = os.path.join(os.path.dirname(__file__), "accelerate_train.py")
    subprocess.run([sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port(), script, tmp_path / "request.json"],
                   check=True, env=environment(), capture_output=True, timeout=600)
    theirs = load_file(tmp_path / "theirs.safetensors")
    report, ours = train_with(2, given, tmp_path)[0]
    assert report["losses"] == pytest.approx(theirs.pop("losses").tolist(), rel=1e-5)
    for name, tensor in theirs.items():
        assert (ours["weights." + name] - tensor).abs().max() < 1e-5, name


# --- the program -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(data, config, tmp_path_factory):  # noqa: F811
    """2 processes with 2 pictures each: the steps of one process with 4."""
    out = tmp_path_factory.mktemp("runs") / "two"
    done = subprocess.run([BUILD / "unnoise", *arguments(data, config, out, "--train_batch_size", 2, "--num-processes", 2)], env=environment(),
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the model is in") == 1  # rank 0 speaks for all
    assert "2 processes x 2 x 2 pictures" in done.stderr
    return out


def test_num_processes_counts_epochs_and_steps_as_the_larger_batch_does(two, data, config, unnoise, tmp_path):  # noqa: F811
    unnoise(*arguments(data, config, tmp_path / "one"))
    ours, one = steps(two), steps(tmp_path / "one")
    assert [(r["step"], r["epoch"], r["lr"], r["ema_decay"]) for r in ours] == [(r["step"], r["epoch"], r["lr"], r["ema_decay"]) for r in one]
    # Rank 0 draws what the one process drew for its first pictures alone: other noise, the same kind of losses.
    assert [r["loss"] for r in ours] != [r["loss"] for r in one]
    assert sum(r["loss"] for r in ours) == pytest.approx(sum(r["loss"] for r in one), rel=0.1)
    assert sorted(p.name for p in two.iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())
    assert json.loads((two / "options.json").read_text())["num_processes"] == 2


def test_each_process_draws_its_own_noise_as_accelerate_seeds_it(two):
    """set_seed(seed, device_specific=True) adds the rank to the seed; after as many draws as both made their states still differ."""
    states = load_file(two / "checkpoint-12/trainer_state.safetensors")
    names = ["random.noise", "random.dropout", "random.noise.1", "random.dropout.1"]
    assert sorted(n for n in states if n.startswith("random.")) == sorted(names)
    assert len({states[name].numpy().tobytes() for name in names}) == 4
    seeds = [int.from_bytes(states[name].flatten()[:8].numpy().tobytes(), "little") for name in ("random.noise", "random.noise.1")]
    assert seeds == [7, 8]  # a generator's state begins with its seed


@pytest.mark.parametrize("launcher", ["by hand", "torchrun", "slurm", "options.json", "a launcher of one"])
def test_every_way_to_start_gives_the_same_run(two, data, config, tmp_path, launcher):  # noqa: F811
    args = arguments(data, config, tmp_path / "run", "--train_batch_size", 2)
    if launcher == "by hand":
        codes, errors = run_both(args)
        assert codes == [0, 0], errors
    elif launcher == "slurm":
        port = free_port()
        both = [subprocess.Popen([BUILD / "unnoise", *args], env=environment(SLURM_PROCID=str(rank), SLURM_NTASKS="2", SLURM_LOCALID=str(rank),
                                                                             MASTER_ADDR="127.0.0.1", MASTER_PORT=port)) for rank in (0, 1)]
        assert [process.wait(300) for process in both] == [0, 0]
    elif launcher == "torchrun":
        subprocess.run([sys.executable, "-m", "torch.distributed.run", "--no-python", "--nproc-per-node", "2", "--master-port", free_port(),
                        BUILD / "unnoise", *args], check=True, env=environment(), capture_output=True, timeout=300)
    elif launcher == "a launcher of one":  # its variables are not handed on to the processes
        alone = environment(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", LOCAL_WORLD_SIZE="1", MASTER_ADDR="nowhere.invalid", MASTER_PORT="1",
                            TORCHELASTIC_USE_AGENT_STORE="True", TORCHELASTIC_RESTART_COUNT="3")
        subprocess.run([BUILD / "unnoise", *args, "--num-processes", "2"], check=True, env=alone, capture_output=True, timeout=300)
    else:
        subprocess.run([BUILD / "unnoise", "train", "--options", two / "options.json", "--output-dir", tmp_path / "run"], check=True, env=environment(),
                       capture_output=True, timeout=300)
    assert_same_run(tmp_path / "run", two)


def resume(out, data, config, *extra):  # noqa: F811
    args = arguments(data, config, out, "--train_batch_size", 2, "--num-processes", 2, "--resume-from-checkpoint", "latest", *extra)
    return subprocess.run([BUILD / "unnoise", *args], env=environment(), capture_output=True, text=True, timeout=300)


def test_resuming_equals_never_having_stopped(two, data, config, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    shutil.copytree(two, out)
    for step in (6, 8, 10, 12):
        shutil.rmtree(out / f"checkpoint-{step}")
    shutil.rmtree(out / "unet")
    assert resume(out, data, config).returncode == 0
    assert_same_run(out, two)


def test_resuming_with_another_number_of_processes_is_refused(two, data, config, unnoise, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    shutil.copytree(two, out)
    refused = unnoise(*arguments(data, config, out, "--train_batch_size", 2, "--resume-from-checkpoint", "latest"), check=False)
    assert refused.returncode == 2
    assert "num_processes = 2, this run has 1" in refused.stderr


def test_ctrl_c_stops_all_after_the_step(two, data, config, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    args = arguments(data, config, out, "--train_batch_size", 2, "--num-processes", 2)
    process = subprocess.Popen([BUILD / "unnoise", *args], env=environment(), stderr=subprocess.PIPE, text=True)
    wait_for_steps(out, 2, [process])
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=120)[1]
    assert process.returncode in (0, 130), error
    if process.returncode == 130:
        assert error.count("press Ctrl-C again") == 1 and error.count("stopped after step") == 1
        assert resume(out, data, config).returncode == 0
    assert_same_run(out, two)


@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_is_killed_the_other_says_so_and_the_last_checkpoint_goes_on(two, data, config, tmp_path, killed):  # noqa: F811
    out, port = tmp_path / "run", free_port()
    args = arguments(data, config, out, "--train_batch_size", 2)
    both = [start([*args, "--checkpointing-steps", "1"], rank, port) for rank in (0, 1)]
    wait_for_steps(out, 3, both)
    both[killed].kill()
    error = both[1 - killed].communicate(timeout=60)[1]
    assert both[1 - killed].returncode == 4, error
    assert f"process {killed} of 2 has ended in the middle of the training" in error
    assert "--resume-from-checkpoint latest" in error
    assert resume(out, data, config).returncode == 0
    assert_same_run(out, two)


def test_when_one_of_num_processes_is_killed_the_program_ends_them_all(data, config, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    args = arguments(data, config, out, "--num-processes", 3, "--num-epochs", 1000)
    process = subprocess.Popen([BUILD / "unnoise", *args], env=environment(), stderr=subprocess.PIPE, text=True)
    wait_for_steps(out, 2, [process])
    children = list(map(int, open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()))
    assert len(children) == 3
    os.kill(children[2], signal.SIGKILL)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 4, error
    assert "process 2 of 3 was ended by signal 9" in error
    assert not any(os.path.exists(f"/proc/{child}") for child in children)


def test_who_hangs_is_named(data, config, tmp_path):  # noqa: F811
    out, port = tmp_path / "run", free_port()
    args = [*arguments(data, config, out, "--num-epochs", 1000), "--process-timeout", "15"]
    three = [start(args, rank, port, 3) for rank in range(3)]
    wait_for_steps(out, 2, three)
    three[1].send_signal(signal.SIGSTOP)
    try:
        errors = [three[rank].communicate(timeout=180)[1] for rank in (0, 2)]
    finally:
        three[1].kill()
    assert [three[rank].returncode for rank in (0, 2)] == [4, 4]
    assert all("process 1 of 3 has not answered for 15 s" in error for error in errors), errors


def test_who_does_not_come_is_named(data, config, tmp_path):  # noqa: F811
    process = start([*arguments(data, config, tmp_path / "run"), "--process-timeout", "2"], 0, free_port(), 3)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 4
    assert "there is still no process of rank 1, 2" in error
    assert not (tmp_path / "run").exists()


def test_a_mistake_is_explained_once(config, tmp_path):  # noqa: F811
    codes, errors = run_both(arguments(tmp_path / "nothing", config, tmp_path / "run"))
    assert codes[0] == 3 or codes[0] == 2
    assert "nothing" in errors[0] and "hint" in errors[0]
    assert codes[1] == 4 and "process 0 of 2 stopped: " in errors[1]


def test_what_only_one_sees_is_said_by_it_and_repeated_by_the_other(data, config, tmp_path):  # noqa: F811
    """A machine whose folder lacks pictures would train on others' positions."""
    less = tmp_path / "less"
    shutil.copytree(data, less)
    next(less.glob("*.png")).unlink()
    port = free_port()
    both = [start(arguments(folder, config, tmp_path / "run"), rank, port) for rank, folder in enumerate((data, less))]
    errors = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [3, 3], errors
    assert "the processes do not start alike" in errors[0] and "21 pictures" in errors[1]


@pytest.mark.parametrize("variables, said", [
    ({"RANK": "2", "WORLD_SIZE": "2"}, 'RANK is "2": expected a whole number from 0 to 1'),
    ({"RANK": "one", "WORLD_SIZE": "2"}, 'RANK is "one"'),
    ({"RANK": "0", "WORLD_SIZE": "0"}, 'WORLD_SIZE is "0"'),
    ({"RANK": "0", "WORLD_SIZE": "2x"}, 'WORLD_SIZE is "2x"'),
    ({"RANK": "0"}, "WORLD_SIZE is not set"),
    ({"WORLD_SIZE": "2"}, "RANK is not set"),
    ({"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_ADDR is not set"),
    ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}, 'MASTER_PORT is "0"'),
    ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "LOCAL_RANK": "-1"}, 'LOCAL_RANK is "-1"'),
    ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, "MASTER_ADDR is not set"),
])
def test_a_wrong_environment_is_a_usage_error_that_names_the_variable(unnoise, data, config, tmp_path, variables, said):  # noqa: F811
    done = unnoise(*arguments(data, config, tmp_path / "run"), check=False, env=environment(**variables))
    assert done.returncode == 2
    assert said in done.stderr and "hint:" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("extra, variables, said", [
    (["--local-rank", 1], {}, "--local-rank 1: the variables RANK and WORLD_SIZE are not set"),
    (["--num-processes", 3], {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}, "--num-processes 3: the training was started with 2"),
    (["--num-processes", 0], {}, "--num-processes"),
    (["--process-timeout", 0], {}, "--process-timeout"),
])
def test_wrong_flags_are_named(unnoise, data, config, tmp_path, extra, variables, said):  # noqa: F811
    done = unnoise(*arguments(data, config, tmp_path / "run", *extra), check=False, env=environment(**variables))
    assert done.returncode == 2
    assert said in done.stderr


def test_one_process_needs_nothing_from_the_environment(unnoise, data, config, tmp_path):  # noqa: F811
    unnoise(*arguments(data, config, tmp_path / "run", "--max-train-steps", 1), env=environment(RANK="0", WORLD_SIZE="1"))
