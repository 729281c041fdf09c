"""unnoise evaluate, unnoise classifier and --evaluate-every as a user runs them, on real garments."""
import gzip
import io
import json
import pathlib
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors import safe_open

from conftest import BUILD, run
from test_training_run import arguments, assert_same_run, config, data  # noqa: F401  (fixtures)

GARMENTS = pathlib.Path("/usr/share/datasets/fashion-mnist")


def idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())
    return path


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """600 training garments, 300 unseen ones and 200 more unseen ones that play the drawn pictures, as IDX files."""
    def read(name, offset):
        return np.frombuffer(gzip.open(GARMENTS / name).read(), np.uint8, offset=offset)

    train = read("train-images-idx3-ubyte.gz", 16)[:600 * 784].reshape(-1, 28, 28)
    labels = read("train-labels-idx1-ubyte.gz", 8)[:600]
    test = read("t10k-images-idx3-ubyte.gz", 16)[:500 * 784].reshape(-1, 28, 28)
    folder = tmp_path_factory.mktemp("sets")
    for name in ("training", "unseen", "fresh", "copied"):
        (folder / name).mkdir()
    idx(folder / "training/train-images-idx3-ubyte", train)
    idx(folder / "training/train-labels-idx1-ubyte", labels)
    idx(folder / "training/t10k-images-idx3-ubyte", test[:300])
    idx(folder / "training/t10k-labels-idx1-ubyte", read("t10k-labels-idx1-ubyte.gz", 8)[:300])
    noise = np.random.default_rng(0).integers(-4, 5, (200, 28, 28))
    return {"training": folder / "training", "unseen": idx(folder / "unseen/x-images-idx3-ubyte", test[:300]),
            "fresh": idx(folder / "fresh/x-images-idx3-ubyte", test[300:500]),
            "same": idx(folder / "copied/same-images-idx3-ubyte", train),
            "copied": idx(folder / "copied/x-images-idx3-ubyte", np.clip(train[:200].astype(int) + noise, 0, 255))}


def evaluate(*args, **kwargs):
    return run("unnoise", "evaluate", "--threads", 1, *args, **kwargs)


def measured(*args):
    return json.loads(evaluate("--json", *args).stdout)


def test_fresh_pictures_are_good_and_no_copies(sets):
    found = measured("--samples", sets["fresh"], "--data", sets["training"], "--held-out", sets["unseen"])
    assert found["num_images"] == 200 and found["num_reference"] == 600 and found["features"] == "fmnist"
    assert found["copying"]["copies"] is False and found["copying"]["calibrated_by"] == "unseen pictures"
    assert found["copying"]["pixels"]["flagged"] < 0.06  # 1 % expected; 200 pictures, 300 that calibrate
    metrics = {name: value["value"] for name, value in found["metrics"].items()}
    assert metrics["precision"] > 0.6 and metrics["recall"] > 0.6 and metrics["coverage"] > 0.7
    assert abs(metrics["kd_fmnist"]) < 3 * (found["metrics"]["kd_fmnist"]["high"] - metrics["kd_fmnist"])
    assert any("FD∞ needs at least 384" in note for note in found["notes"])
    for value in found["metrics"].values():
        assert value["low"] <= value["value"] <= value["high"]


def test_memorised_pictures_are_flagged(sets):
    one_file = sets["training"] / "train-images-idx3-ubyte"  # has no test part, as the folder has
    for data, by, *extra in ((one_file, "unseen pictures", "--held-out", sets["unseen"]), (sets["training"], "unseen pictures"),
                             (one_file, "training pictures")):
        found = measured("--samples", sets["copied"], "--data", data, "--metrics", "nn", *extra)
        assert found["copying"]["copies"] is True and by in found["copying"]["calibrated_by"]
        assert found["copying"]["pixels"]["flagged"] > 0.9
    text = evaluate("--samples", sets["copied"], "--data", sets["training"], "--metrics", "nn").stdout
    assert "COPIES" in text and "200 pictures beside 600 real ones" in text


def test_a_set_beside_itself_gives_zero(sets):
    found = measured("--samples", sets["same"], "--data", sets["training"], "--metrics", "fd,kd,pr,dc,swd,mmd")["metrics"]
    assert abs(found["fd_fmnist"]["value"]) < 1e-4  # of a total variance of about 10, float32 features
    assert abs(found["kd_fmnist"]["value"]) < 1e-9
    assert found["precision"]["value"] == found["recall"]["value"] == found["coverage"]["value"] == 1
    assert found["density"]["value"] > 1
    assert abs(found["mmd"]["value"]) < 1e-9 and found["swd"]["value"] < 1e-6  # the same pictures in another order: rounding


def test_drawn_by_the_model_or_read_from_a_folder_is_the_same(sets, config, tmp_path):
    run("unnoise", "train", "--train-data-dir", sets["training"], "--model-config-name-or-path", config, "--output-dir", tmp_path / "m", "--resolution", 16,
        "--max-train-steps", 2, "--save-images-epochs", 0, "--checkpointing-steps", 0)
    options = ["--data", sets["training"], "--metrics", "fd,pr,nn"]
    drawn = measured("--model", tmp_path / "m", "--num-images", 24, "--num-inference-steps", 3, "--seed", 5, *options)
    assert drawn["how"] == "DDIMScheduler, 3 steps, seed 5"
    run("unnoise", "sample", "--model", tmp_path / "m", "--num-images", 24, "--batch-size", 16, "--scheduler", "ddim", "--num-inference-steps", 3, "--seed", 5,
        "--threads", 1, "--output", tmp_path / "drawn")
    read = measured("--samples", tmp_path / "drawn", "--seed", 5, *options)
    assert read["metrics"] == drawn["metrics"] and read["copying"] == drawn["copying"]


def test_neighbours_are_shown(sets, tmp_path):
    options = ["--samples", sets["copied"], "--data", sets["training"], "--metrics", "nn"]
    done = evaluate(*options, "--neighbours", tmp_path / "n.png")
    assert done.stdout.splitlines()[-1] == str(tmp_path / "n.png")
    sheet = np.asarray(Image.open(tmp_path / "n.png"))
    assert sheet.shape == (8 * 30 + 2, 19 * 30 + 2)
    drawn, nearest = sheet[2:30, 2:30].astype(int), sheet[2:30, 32:60].astype(int)
    assert 0 < abs(drawn - nearest).max() <= 4  # the copy beside its original
    evaluate(*options, "--neighbours", tmp_path / "n.svg")
    assert "by features (fmnist)" in (tmp_path / "n.svg").read_text()


def test_mirrored_copies_are_seen_when_it_is_said(sets, tmp_path):
    with open(sets["copied"], "rb") as file:
        pictures = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 28, 28)
    mirrored = idx(tmp_path / "mirrored-images-idx3-ubyte", pictures[:, :, ::-1])
    options = ["--samples", mirrored, "--data", sets["training"], "--metrics", "nn"]
    without, told = (measured(*options, *extra)["copying"]["pixels"]["flagged"] for extra in ([], ["--random-flip"]))
    assert without < 0.5 and told > 0.9


def test_features_are_kept(sets, tmp_path):
    options = ["--samples", sets["fresh"], "--data", sets["training"], "--metrics", "fd", "--cache-dir", tmp_path / "kept"]
    first = measured(*options)
    [file] = (tmp_path / "kept").iterdir()
    assert file.name.startswith("fmnist-")
    assert measured(*options)["metrics"] == first["metrics"]
    file.write_bytes(b"damaged")
    again = evaluate("--json", *options)
    assert json.loads(again.stdout)["metrics"] == first["metrics"] and "extracting the features again" in again.stderr


def test_a_classifier_of_ones_own(sets, tmp_path):
    out = tmp_path / "own.safetensors"
    made = json.loads(run("unnoise", "classifier", "--data", sets["training"], "--num-epochs", 12, "--batch-size", 32, "--widths", "8,16,24", "--json",
                          "--output", out, "--threads", 1).stdout)
    assert made["test_accuracy"] > 0.55 and made["test_pictures"] == 300 and made["features"] == 24  # 600 pictures to learn from; chance is 0.1
    found = measured("--samples", sets["fresh"], "--data", sets["training"], "--features", out, "--metrics", "fd")
    assert found["features"] == "own" and found["num_features"] == 24 and "fd_infinity_own" in found["metrics"]


def test_the_built_in_network_is_made_by_the_command_beside_it(sets, tmp_path):
    """share/features/README.md runs in tests/docs; its options, all defaults but the data, are those that the file was made with."""
    def about(file):
        with safe_open(file, "pt") as opened:
            return json.loads(opened.metadata()["unnoise.about"])

    shipped = about(pathlib.Path(__file__).resolve().parents[2] / "share/features/fmnist.safetensors")
    run("unnoise", "classifier", "--data", sets["training"], "--num-epochs", 1, "--widths", "8,8", "--output", tmp_path / "c.safetensors", "--threads", 1)
    now = about(tmp_path / "c.safetensors")
    assert now.keys() == shipped.keys()
    assert now["options"] | {"data": "fashion-mnist", "num_epochs": 3, "widths": [16, 32, 64, 96]} == shipped["options"]
    assert shipped["test_accuracy"] == 0.9116 and shipped["test_pictures"] == 10_000
    defaults = run("unnoise", "help", "classifier", "--markdown").stdout
    assert "| `--num-epochs INT` | 3 |" in defaults and "16,32,64,96" in defaults


def test_colours_and_sizes_are_adapted_and_said(tmp_path):
    rng = np.random.default_rng(1)
    for name in ("drawn", "real"):
        (tmp_path / name).mkdir()
        for i in range(20):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / name / f"{i}.png")
    found = measured("--samples", tmp_path / "drawn", "--data", tmp_path / "real", "--metrics", "fd,nn")
    assert "for the feature network: colours turned to grey, 32 pixels resized to 28" in found["notes"]
    assert any("fewer than the 96 features" in note for note in found["notes"])
    pixels = measured("--samples", tmp_path / "drawn", "--data", tmp_path / "real", "--features", "pixels", "--metrics", "kd")
    assert pixels["num_features"] == 3 * 16 * 16


@pytest.mark.parametrize("args, code, words", [
    ([], 2, "--data: which pictures?"),
    (["--data", "TRAIN"], 2, "Give --model or --samples"),
    (["--data", "TRAIN", "--samples", "FRESH", "--model", "x"], 2, "Give --model or --samples"),
    (["--data", "TRAIN", "--samples", "FRESH", "--features", "inception"], 2, "no such feature network"),
    (["--data", "TRAIN", "--samples", "FRESH", "--features", "nothing.safetensors"], 3, "nothing.safetensors"),
    (["--data", "TRAIN", "--samples", "FRESH", "--num-images", "4"], 2, "expected at least 16, found 4"),
    (["--data", "TRAIN", "--samples", "FRESH", "--num-reference", "9"], 2, "only 9 pictures to compare with"),
    (["--data", "TRAIN", "--samples", "FRESH", "--metrics", "fd", "--neighbours", "n.png"], 2, "--metrics nn"),
    (["--data", "TRAIN", "--samples", "FRESH", "--metrics", "fid"], 2, "fid"),
    (["--data", "TRAIN", "--samples", "nowhere"], 3, "nowhere"),
    (["--data", "TRAIN", "--samples", "FRESH", "--held-out", "SAME"], 2, "unseen"),
    (["--data", "TRAIN", "--bits-per-dim"], 2, "--model"),
])
def test_mistakes_are_explained(sets, args, code, words):
    names = {"TRAIN": sets["training"], "FRESH": sets["fresh"], "SAME": sets["same"]}
    done = evaluate(*[names.get(a, a) for a in args], check=False)
    assert done.returncode == code and words in done.stderr and done.stdout == ""


def test_a_damaged_feature_network_is_refused(sets, tmp_path):
    run("unnoise", "classifier", "--data", sets["training"], "--num-epochs", 1, "--widths", "8,8", "--output", tmp_path / "c.safetensors", "--threads", 1)
    good = (tmp_path / "c.safetensors").read_bytes()
    (tmp_path / "bad.safetensors").write_bytes(good.replace(b'"widths', b'"width_'.replace(b"\\", b""), 1).replace(b'\\"widths', b'\\"width_', 1))
    for name, size in (("bad.safetensors", None), ("short.safetensors", len(good) - 10)):
        if size:
            (tmp_path / name).write_bytes(good[:size])
        done = evaluate("--data", sets["training"], "--samples", sets["fresh"], "--features", tmp_path / name, check=False)
        assert done.returncode == 3 and name in done.stderr


def test_ctrl_c_leaves_nothing_half_done(config, sets, tmp_path):
    run("unnoise", "train", "--train-data-dir", sets["training"], "--model-config-name-or-path", config, "--output-dir", tmp_path / "m", "--resolution", 16,
        "--max-train-steps", 1, "--save-images-epochs", 0, "--checkpointing-steps", 0)
    job = subprocess.Popen([str(BUILD / "unnoise"), "evaluate", "--model", str(tmp_path / "m"), "--data", str(sets["training"]), "--num-images", "100000",
                            "--neighbours", str(tmp_path / "n.png")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    time.sleep(4)
    job.send_signal(signal.SIGINT)
    out, _ = job.communicate(timeout=60)
    assert job.returncode == 130 and out == "" and not (tmp_path / "n.png").exists()


EVALUATED = ["--evaluate-every", 3, "--evaluate-num-images", 16, "--evaluate-num-inference-steps", 2]
SAME_IN_BOTH = ("features", "num_features", "num_images", "num_reference", "compared", "metrics", "swd_real", "copying", "notes", "how", "seed")


def qualities(out):
    """The log's measurements, one a line."""
    return [record for record in map(json.loads, (out / "log.jsonl").read_text().splitlines()) if "metrics" in record]


def numbers(record):
    """{"fd_fmnist": (value, low, high), ...}, with the shares of copies."""
    copied = {f"copied_{space}": found for space, found in record["copying"].items() if isinstance(found, dict)}
    return ({name: (m["value"], m["low"], m["high"]) for name, m in record["metrics"].items()}
            | {name: (found["flagged"], found["low"], found["high"]) for name, found in copied.items()})


def test_measuring_while_training_changes_nothing_else(data, config, tmp_path):  # noqa: F811
    constant = ["--lr-scheduler", "constant"]  # so that fewer steps are the first ones of more
    run("unnoise", *arguments(data, config, tmp_path / "plain", *constant))
    run("unnoise", *arguments(data, config, tmp_path / "measured", *constant, *EVALUATED))
    assert_same_run(tmp_path / "measured", tmp_path / "plain")
    records = qualities(tmp_path / "measured")
    assert [record["step"] for record in records] == [3, 6, 9, 12]
    assert all(record["num_images"] == 16 for record in records)

    # Stopped right after a step at which it is due, before or after the measurement, and resumed: the same lines.
    for measured_before in (True, False):
        stopped = tmp_path / f"stopped-{measured_before}"
        run("unnoise", *arguments(data, config, stopped, *constant, *EVALUATED, "--max-train-steps", 6))
        log = stopped / "log.jsonl"
        if not measured_before:
            log.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if '"metrics"' not in line or json.loads(line)["step"] != 6))
            assert [record["step"] for record in qualities(stopped)] == [3]
        again = [a for a in arguments(data, config, stopped, *constant, *EVALUATED) if a != "--overwrite-output-dir"]
        run("unnoise", *again, "--resume-from-checkpoint", "latest")
        assert qualities(stopped) == records
        assert_same_run(stopped, tmp_path / "plain")


@pytest.fixture(scope="module")
def measured_run(sets, config, tmp_path_factory):  # noqa: F811
    out = tmp_path_factory.mktemp("runs") / "measured"
    run("unnoise", "train", "--train-data-dir", sets["training"], "--model-config-name-or-path", config, "--output-dir", out, "--resolution", 16, "--use-ema",
        "--random-flip", "--max-train-steps", 4, "--save-images-epochs", 0, "--checkpointing-steps", 0, "--threads", 1, "--evaluate-every", 2,
        "--evaluate-num-images", 24, "--evaluate-num-inference-steps", 3, "--evaluate-num-reference", 500)
    return out


def test_the_log_tensorboard_and_the_report_say_what_evaluate_says(sets, measured_run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = measured("--model", measured_run, "--data", sets["training"], "--random-flip", "--num-reference", 500, "--num-images", 24, "--num-inference-steps", 3)
    assert {name.removesuffix("_fmnist") for name in found["metrics"]} == {"fd", "kd", "precision", "recall", "density", "coverage", "swd", "mmd"}
    assert found["copying"]["calibrated_by"] == "unseen pictures" and "copies were looked for among 500 of 600 training pictures" in found["notes"]

    records = qualities(measured_run)
    assert [record["step"] for record in records] == [2, 4]
    assert {key: records[-1].get(key) for key in SAME_IN_BOTH} == {key: found.get(key) for key in SAME_IN_BOTH}

    events = EventAccumulator(str(measured_run / "logs/train_unconditional"))
    events.Reload()
    for record in records:
        def shown(tag):
            [value] = [e.value for e in events.Scalars(f"quality/{tag}") if e.step == record["step"]]
            return value

        for name, values in numbers(record).items():
            for tag, value in zip((name, f"{name}_low", f"{name}_high"), values):
                assert shown(tag) == pytest.approx(value, rel=1e-6, abs=1e-30), tag
        assert shown("num_images") == 24 and shown("copies") == record["copying"]["copies"]

    page = tmp_path / "report.html"
    text = run("unnoise", "recipe", "compare", measured_run, "--output", page).stdout
    html = page.read_text()
    header, row = ([cell.strip() for cell in re.split(r"  +", line)] for line in text.splitlines()[:2])
    cells = dict(zip(header, row))
    html_header, html_cells = re.findall(r"<th[^>]*>(.*?)</th>", html), re.findall(r"<td[^>]*>(.*?)</td>", html)
    for name, (value, low, high) in numbers(found).items():
        assert cells[name] == f"{value:.4g} ({low:.4g} to {high:.4g})", name
        assert html_cells[html_header.index(name)] == cells[name]
    for name, expected in (("pictures", "24"), ("copies", "COPIES" if found["copying"]["copies"] else "no sign")):
        assert cells[name] == html_cells[html_header.index(name)] == expected
    [compared] = json.loads(run("unnoise", "recipe", "compare", measured_run, "--json").stdout)["runs"]
    assert {name: (m["value"], m["low"], m["high"]) for name, m in compared["quality"].items()} == numbers(found)

    card = run("unnoise", "card", "--model", measured_run, "--print").stdout
    value, low, high = numbers(found)["precision"]
    assert f"| precision | {value:.4g} | {low:.4g} to {high:.4g} |" in card
    assert re.search(r"\b24\b[^\n]*pictures", card), "of how many"


# --- pictures that the model has not seen

def test_a_configuration_of_a_set_with_several(sets, tmp_path):
    def png(picture):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "png")
        return {"bytes": file.getvalue(), "path": "a.png"}

    garments = np.frombuffer(gzip.open(GARMENTS / "t10k-images-idx3-ubyte.gz").read(), np.uint8, offset=16).reshape(-1, 28, 28)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for name, start, count in (("first", 0, 300), ("second", 1000, 40)):
        (tmp_path / "hub" / name).mkdir(parents=True)
        for split, offset in (("train", 0), ("test", 400)):
            pictures = [png(picture) for picture in garments[start + offset:start + offset + count]]
            pq.write_table(pa.table({"image": pa.array(pictures, image)}), tmp_path / "hub" / name / f"{split}-00000-of-00001.parquet")
    options = ["--samples", sets["fresh"], "--data", tmp_path / "hub", "--metrics", "kd,nn"]
    assert "--dataset-config-name" in evaluate(*options, check=False).stderr
    first, second = (measured(*options, "--dataset-config-name", name) for name in ("first", "second"))
    assert first["num_reference"] == 300 and second["num_reference"] == 40
    assert first["copying"]["calibrated_by"] == "unseen pictures" and second["copying"]["calibrated_by"] == "training pictures"  # 40 are too few


def test_a_damaged_test_part_is_an_error_and_none_is_said(sets, config, tmp_path):  # noqa: F811
    """Neither is silently replaced by the training pictures."""
    data = tmp_path / "data"
    shutil.copytree(sets["training"], data)
    (data / "t10k-images-idx3-ubyte").write_bytes((sets["training"] / "t10k-images-idx3-ubyte").read_bytes()[:5000])
    common = ["train", "--model-config-name-or-path", config, "--resolution", 16, "--max-train-steps", 1, "--save-images-epochs", 0,
              "--checkpointing-steps", 0, "--threads", 1]
    refused = run("unnoise", *common, "--train-data-dir", data, "--output-dir", tmp_path / "refused", *EVALUATED, check=False)
    assert refused.returncode == 3 and "t10k-images-idx3-ubyte" in refused.stderr and not (tmp_path / "refused" / "model_index.json").exists()
    refused = evaluate("--samples", sets["fresh"], "--data", data, "--metrics", "nn", check=False)
    assert refused.returncode == 3 and "t10k-images-idx3-ubyte" in refused.stderr

    one_file = sets["training"] / "train-images-idx3-ubyte"  # has no parts
    for source, out in ((data, "damaged"), (one_file, "one-file"), (sets["training"], "whole")):
        run("unnoise", *common, "--train-data-dir", source, "--output-dir", tmp_path / out)
    compared = run("unnoise", "recipe", "compare", *(tmp_path / out for out in ("damaged", "one-file", "whole")), "--held-out-images", 16, "--json")
    held_out = {r["name"]: r["result"].get("held_out") for r in json.loads(compared.stdout)["runs"]}
    assert held_out["damaged"] is None and "t10k-images-idx3-ubyte" in compared.stderr
    assert held_out["one-file"]["unseen"] is False and held_out["whole"]["unseen"] is True
    assert held_out["whole"]["num_images"] == held_out["one-file"]["num_images"] == 16


# --- memorised data

SMALL = {"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1, "layers_per_block": 1, "block_out_channels": [32, 64],
         "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"], "norm_num_groups": 8}


@pytest.fixture(scope="module")
def few_and_many(tmp_path_factory):
    """Folders of 32 and of 3000 training garments, each beside the same 500 unseen ones."""
    def read(name):
        return np.frombuffer(gzip.open(GARMENTS / name).read(), np.uint8, offset=16).reshape(-1, 28, 28)

    train, test = read("train-images-idx3-ubyte.gz"), read("t10k-images-idx3-ubyte.gz")[:500]
    folder = tmp_path_factory.mktemp("few-and-many")
    for name, count in (("few", 32), ("many", 3000)):
        (folder / name).mkdir()
        idx(folder / name / "train-images-idx3-ubyte", train[:count])
        idx(folder / name / "t10k-images-idx3-ubyte", test)
    return folder


@pytest.mark.parametrize("name, memorised", [("few", True), ("many", False)])
def test_a_model_that_memorised_its_data_is_flagged(few_and_many, tmp_path, name, memorised):
    """The same network and training, on so few pictures that it learns them by heart, and on many."""
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    data, out, steps = few_and_many / name, tmp_path / "m", 1000 if memorised else 300
    log = run("unnoise", "train", "--train-data-dir", data, "--model-config-name-or-path", tmp_path / "config.json", "--output-dir", out, "--resolution", 8,
              "--train-batch-size", 32, "--max-train-steps", steps, "--learning-rate", "3e-3", "--lr-warmup-steps", 50, "--use-ema", "--ema-max-decay", 0.99,
              "--ddpm-beta-schedule", "squaredcos_cap_v2", "--prediction-type", "v_prediction", "--save-images-epochs", 0, "--save-model-epochs", 0,
              "--checkpointing-steps", 0, "--evaluate-every", steps, "--evaluate-num-images", 200).stderr
    found = measured("--model", out, "--data", data, "--num-images", 200, "--metrics", "nn")["copying"]
    assert found["calibrated_by"] == "unseen pictures"
    assert found["copies"] is memorised and ("hands out its training pictures" in log) is memorised
    assert qualities(out)[-1]["copying"]["copies"] is memorised
    if memorised:
        assert found["pixels"]["flagged"] > 0.1  # 1 % by chance; 0.19 when it was written
    else:
        assert found["pixels"]["flagged"] < 0.05
