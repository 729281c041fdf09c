"""The built program: help, flags and errors that need no model."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("UNNOISE_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
ENVIRONMENT = {"PATH": f"{BUILD}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "COLUMNS": "100"}
COMMANDS = ["train", "sample", "info", "evaluate", "classifier", "schedule", "noise", "bench", "completion", "help"]
# The 45 options of diffusers 0.42.1's train_unconditional.py, with its defaults; None = none, False = a switch.
SCRIPT_OPTIONS = {
    "dataset_name": None, "dataset_config_name": None, "model_config_name_or_path": None, "train_data_dir": None,
    "output_dir": "ddpm-model-64", "overwrite_output_dir": False, "cache_dir": None, "resolution": "64", "center_crop": False,
    "random_flip": False, "train_batch_size": "16", "eval_batch_size": "16", "dataloader_num_workers": "0",
    "num_epochs": "100", "save_images_epochs": "10", "save_model_epochs": "10", "gradient_accumulation_steps": "1",
    "learning_rate": "0.0001", "lr_scheduler": "cosine", "lr_warmup_steps": "500", "adam_beta1": "0.95",
    "adam_beta2": "0.999", "adam_weight_decay": "1e-06", "adam_epsilon": "1e-08", "use_ema": False, "ema_inv_gamma": "1.0",
    "ema_power": "0.75", "ema_max_decay": "0.9999", "push_to_hub": False, "hub_token": None, "hub_model_id": None,
    "hub_private_repo": False, "logger": "tensorboard", "logging_dir": "logs", "local_rank": "-1", "mixed_precision": "no",
    "prediction_type": "epsilon", "ddpm_num_steps": "1000", "ddpm_num_inference_steps": "1000",
    "ddpm_beta_schedule": "linear", "checkpointing_steps": "500", "checkpoints_total_limit": None,
    "resume_from_checkpoint": None, "enable_xformers_memory_efficient_attention": False, "preserve_input_precision": False,
}


def run(*args, extra=None, **kwargs):
    return subprocess.run(["unnoise", *args], capture_output=True, text=True, env=ENVIRONMENT | (extra or {}), **kwargs)


def test_help_teaches_by_example():
    for args in ([], ["--help"], ["-h"], ["help"]):
        done = run(*args)
        assert done.returncode == 0 and done.stderr == ""
        assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
        assert "unnoise train --train-data-dir" in done.stdout and "unnoise sample --model" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command):
    done = run(command, "--help")
    assert done.returncode == 0
    assert done.stdout == run("help", command).stdout
    assert done.stdout.startswith(f"unnoise {command}: ")
    assert max(map(len, done.stdout.splitlines())) <= 100
    examples = done.stdout.split("Examples\n")[1]
    assert 1 <= len(re.findall(r"^    \S", examples, re.M)) <= 4


def test_every_flag_of_every_example_exists():
    known = run("completion", "bash").stdout
    for text in [run().stdout, *(run("help", command).stdout for command in COMMANDS)]:
        for line in re.sub(r" \\\n *", " ", text).splitlines():
            words = line.split()
            if not line.startswith("    ") or words[0] != "unnoise" or len(words) < 3 or words[1] not in COMMANDS:
                continue
            for flag in filter(lambda w: w.startswith("--"), words[2:]):
                assert re.search(rf"[ |\"]{flag}[ |)\"]", known), (line, flag)


def test_train_takes_the_options_of_the_script():
    assert len(SCRIPT_OPTIONS) == 45
    # Join each option with its explanation, which may stand on following lines.
    text = re.sub(r"\n {10,}", " ", run("train", "--help").stdout)
    rows = {m[1]: m[0] for m in re.finditer(r"^  --([a-z0-9-]+).*$", text, re.M)}
    for name, default in SCRIPT_OPTIONS.items():
        row = rows[name.replace("_", "-")]
        if default:  # "(default: 16)", "default: epsilon, or as pretrained", "default: the network's size, else 64"
            assert re.search(rf"default: .*(?<![\w.]){re.escape(default)}(?![\w.])", row), row
        else:
            assert "(default:" not in row
        takes_value = re.match(r"  --[a-z0-9-]+ (INT|NUMBER|TEXT|NAME)", row) is not None
        assert takes_value == (default is not False), row


@pytest.mark.parametrize("flag, words", [
    ("--optimizer", "adamw adam sgd adamw8bit muon"), ("--loss", "l2 l1 huber"), ("--objective", "ddpm edm flow"),
    ("--loss-weighting", "standard min_snr soft_min_snr p2 truncated_snr edm"), ("--timestep-sampling", "uniform logit_normal"),
    ("--lr-scheduler", "linear cosine cosine_with_restarts polynomial constant constant_with_warmup piecewise_constant"),
    ("--prediction-type", "epsilon sample v_prediction"), ("--image-mode", "grey rgb"),
    ("--ddpm-beta-schedule", "linear scaled_linear squaredcos_cap_v2 laplace sigmoid exp"),
])
def test_help_and_completion_know_the_words_of_an_option(flag, words):
    text = re.sub(r"\n {10,}", " ", run("help", "train").stdout)
    row = next(line for line in text.splitlines() if line.startswith(f"  {flag} "))
    assert f"one of {', '.join(words.split())}" in row
    assert f'{flag}) _unnoise_words "{words}"' in run("completion", "bash").stdout
    assert f"({words})" in next(line for line in run("completion", "zsh").stdout.splitlines() if f"'{flag}=[" in line)


def test_version():
    assert re.fullmatch(r"unnoise \d+\.\d+\.\d+\n", run("--version").stdout)


@pytest.mark.parametrize("args,works", [
    (["--help"], False), (["--version"], False), (["help", "train"], False), (["sample", "--help"], False),
    (["completion", "bash"], False), (["completion", "zsh"], False), (["train", "--resolution", "big"], False),
    (["frobnicate"], False), (["samplers"], True),
])
def test_libtorch_is_loaded_for_work_alone(args, works):
    loaded = run(*args, extra={"LD_DEBUG": "files"}).stderr
    if "libc.so" not in loaded:
        pytest.skip("this system's loader does not say what it loads")
    assert ("libtorch" in loaded) == ("unnoise_jobs" in loaded) == works
    assert "libarrow" not in loaded and "libarchive" not in loaded  # for Parquet and archives alone: adr/0013


def test_a_missing_module_is_explained(tmp_path):
    alone = tmp_path / "unnoise"
    shutil.copy(BUILD / "unnoise", alone)
    done = subprocess.run([alone, "samplers"], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 4 and "unnoise_jobs" in done.stderr.splitlines()[0] and "hint: It belongs beside the program" in done.stderr
    assert subprocess.run([alone, "--version"], capture_output=True, env=ENVIRONMENT).returncode == 0


@pytest.mark.parametrize("args,error,hint", [
    (["trian"], 'unknown command "trian"', 'Did you mean "unnoise train"?'),
    (["frobnicate"], 'unknown command "frobnicate"', '"unnoise help" lists the commands.'),
    (["help", "smaple"], 'unknown command "smaple"', 'Did you mean "unnoise sample"?'),
    (["train", "--train_batchsize", "3"], 'unknown flag "--train_batchsize"', "Did you mean --train-batch-size?"),
    (["train", "--resolution", "big"], '--resolution: expected a whole number, found "big"', "--resolution INT"),
    (["train", "--mixed_precision", "bf61"], '--mixed-precision: "bf61" is not one of no, fp16, bf16', 'Did you mean "bf16"?'),
    (["train", "--optimizer", "moun"], '--optimizer: "moun" is not one of adamw, adam, sgd, adamw8bit, muon', 'Did you mean "muon"?'),
    (["train", "--objective", "flaw"], '--objective: "flaw" is not one of ddpm, edm, flow', 'Did you mean "flow"?'),
    (["train", "--learning-rate"], "--learning-rate: a value is missing", "--learning-rate NUMBER"),
    (["sample", "pictures"], 'unexpected word "pictures"', "Options start with two dashes."),
    (["sample", "--num-image", "3"], 'unknown flag "--num-image"', "Did you mean --num-images?"),
    (["--model", "x"], 'expected a command before "--model"', "unnoise COMMAND [options]"),
    (["completion", "fish"], "completion: expected bash or zsh", "unnoise completion bash"),
])
def test_wrong_usage_is_explained(args, error, hint):
    done = run(*args)
    assert done.returncode == 2 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == f"error: {error}"
    assert lines[1].startswith(f"hint: {hint}")


def test_an_options_file_is_checked(tmp_path):
    path = tmp_path / "options.json"
    path.write_text(json.dumps({"num_epoch": 3}))
    done = run("train", "--options", str(path))
    assert done.returncode == 2
    assert f'"{path}": unknown key "num_epoch"' in done.stderr and 'Did you mean "num_epochs"?' in done.stderr
    path.write_text("{")
    assert run("train", "--options", str(path)).returncode == 3
    missing = run("train", "--options", str(tmp_path / "none.json"))
    assert missing.returncode == 3 and "none.json" in missing.stderr


def test_bash_completion_is_a_complete_script(tmp_path):
    done = subprocess.run(["bash", "-c", 'eval "$(unnoise completion bash)" && complete -p unnoise'], capture_output=True,
                          text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "complete -F _unnoise unnoise\n", "")


def test_no_model_is_an_error_that_names_the_folder(tmp_path):
    for command in ("sample", "info"):
        done = run(command, "--model", str(tmp_path / "nowhere"), cwd=tmp_path)
        assert done.returncode in (2, 3), done.stderr
        assert "nowhere" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "sample", "data", "recipe", "doctor", "evaluate", "classifier", "ema", "samplers", "schedule", "noise", "card",
                                     "push", "pull", "bench"])
def test_the_option_reference_is_what_the_program_says(command):
    page = pathlib.Path(__file__).resolve().parents[2] / f"docs/{command}-options.md"
    assert page.read_text() == run("help", command, "--markdown").stdout, f"run: unnoise help {command} --markdown > docs/{command}-options.md"


def test_the_page_of_samplers_is_what_the_program_says():
    page = pathlib.Path(__file__).resolve().parents[2] / "docs/samplers.md"
    assert run("samplers", "--markdown").stdout in page.read_text(), "put what unnoise samplers --markdown prints into docs/samplers.md"


def test_samplers_are_listed():
    done = run("samplers")
    assert done.returncode == 0 and max(map(len, done.stdout.splitlines())) <= 160
    rows = json.loads(run("samplers", "--json").stdout)
    assert {"ddpm", "dpm_multistep", "flow_euler", "dopri5"} <= {row["name"] for row in rows}
    for args, message in ((["--calls", "5"], ""), (["--fit-schedule", "5"], "--model"), (["--model", "nowhere"], "nowhere")):
        done = run("samplers", *args)
        assert (done.returncode == 0) == (message == "") and message in done.stderr


PICTURE = pathlib.Path(__file__).resolve().parents[1] / "data/cat.jpg"


def test_schedules_are_listed_and_drawn(tmp_path):
    plot = tmp_path / "plots/schedules.svg"
    done = run("schedule", "linear", "squaredcos_cap_v2", "--svg", str(plot))
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.endswith(f"\n\n{plot}\n") and "\n       999 " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120
    assert plot.read_text().startswith("<svg ") and plot.read_text().endswith("</svg>\n")
    table, = json.loads(run("schedule", "--json", "linear", "--curves=betas,log_snr").stdout)["schedules"]
    assert len(table["betas"]) == len(table["log_snr"]) == 1000 and "sigmas" not in table
    steps, = json.loads(run("schedule", "DPM++ 2M Karras", "--num-inference-steps", "7", "--json").stdout)["schedules"]
    assert steps["model_calls"] == 7 and steps["sigmas"] == sorted(steps["sigmas"], reverse=True)
    hidden = json.loads(run("schedule", "ddim", "--rescale-betas-zero-snr", "--json").stdout, parse_constant=pytest.fail)
    assert hidden["schedules"][0]["sigmas"][-1] is None


def test_a_picture_drowns_in_noise(tmp_path):
    strip = tmp_path / "strip.png"
    done = run("noise", "--image", str(PICTURE), "sigmoid", "--timesteps", "0,500,999", "--resolution", "32", "--output", str(strip))
    assert done.returncode == 0 and done.stderr == "" and "row 1: sigmoid" in done.stdout
    assert strip.read_bytes().startswith(b"\x89PNG")
    rows = json.loads(run("noise", "--image", str(PICTURE), "--output", str(strip), "--json").stdout)["rows"]
    assert [row["name"] for row in rows] == ["linear"] and len(rows[0]["timesteps"]) == 10


@pytest.mark.parametrize("args,code,message", [
    (["schedule"], 2, "nothing was named"),
    (["schedule", "liner"], 2, 'Did you mean "linear"?'),
    (["schedule", "linear", "--curves", "sigma"], 2, '"sigma" is not one of'),
    (["schedule", "--model", "nowhere"], 3, "nowhere"),
    (["schedule", "linear", "--svg", "."], 2, "is a folder"),
    (["noise"], 2, "--image: nothing was given"),
    (["noise", "--image", "nowhere.png"], 3, "nowhere.png"),
    (["noise", "--image", str(PICTURE), "--timesteps", "1000"], 2, "expected 0 to 999, found 1000"),
    (["noise", "--image", str(PICTURE), "--model", "nowhere"], 3, "nowhere"),
    (["noise", "--image", __file__], 3, "test_program.py"),
])
def test_mistakes_about_schedules_leave_nothing_behind(tmp_path, args, code, message):
    done = run(*args, cwd=tmp_path)
    assert done.returncode == code and message in done.stderr and done.stdout == ""
    assert list(tmp_path.iterdir()) == []
