"""The event files are read by TensorBoard itself."""
import io
import math

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader  # noqa: E402
from tensorboard.compat.proto.event_pb2 import Event  # noqa: E402


def read(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def scalar(step, value, tag="loss", wall_time=None):
    return {"tag": tag, "step": step, "value": value, "wall_time": 1.7e9 + step if wall_time is None else wall_time}


def test_scalars_come_back(driver, tmp_path):
    # 0 and large steps are the ends of the varint encoding, NaN and tiny values those of the float
    steps = [0, 1, 127, 128, 300, 2**31, 2**40]
    events = [scalar(s, 1 / (s + 3)) for s in steps] + [scalar(5, 1e-30, "lr/nested tag ü"), scalar(6, -2.5, "lr/nested tag ü")]
    driver("logging_driver", [{"folder": str(tmp_path / "logs" / "run"), "events": events}])
    board = read(tmp_path / "logs" / "run")
    assert board.Tags()["scalars"] == ["loss", "lr/nested tag ü"]
    assert board.file_version == 2.0
    loss = board.Scalars("loss")
    assert [e.step for e in loss] == steps
    assert [e.value for e in loss] == [float(np.float32(1 / (s + 3))) for s in steps]
    assert [e.wall_time for e in loss] == [1.7e9 + s for s in steps]
    assert [e.value for e in board.Scalars("lr/nested tag ü")] == [float(np.float32(1e-30)), -2.5]


def test_a_loss_that_is_not_a_number_is_kept(driver, tmp_path):
    path = tmp_path / "request.json"
    path.write_text(f'[{{"folder": "{tmp_path / "run"}", "events": '
                    '[{"tag": "loss", "step": 1, "value": Infinity, "wall_time": 1.5}]}]')
    from conftest import run
    run("logging_driver", path)
    assert math.isinf(read(tmp_path / "run").Scalars("loss")[0].value)


@pytest.mark.parametrize("mode,channels", [("RGB", 3), ("L", 1), ("RGBA", 4), ("LA", 2), ("P", 3)])
def test_pictures_come_back_byte_for_byte(driver, tmp_path, mode, channels):
    size = (300, 130)  # more than 127, so that sizes need two bytes
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode)
    png = tmp_path / "grid.png"
    picture.save(png)
    driver("logging_driver", [{"folder": str(tmp_path / "run"), "events": [
        {"tag": "test_samples", "step": 10, "wall_time": 1.7e9, "png": str(png)}, scalar(11, 0.5)]}])
    board = read(tmp_path / "run")
    assert board.Tags()["images"] == ["test_samples"]
    (event,) = board.Images("test_samples")
    assert (event.step, event.wall_time, event.width, event.height) == (10, 1.7e9, *size)
    assert event.encoded_image_string == png.read_bytes()
    shown = Image.open(io.BytesIO(event.encoded_image_string))
    assert shown.mode == mode and shown.tobytes() == picture.tobytes()
    assert board.Scalars("loss")[0].value == 0.5  # the record behind the picture is in its place
    (file,) = (tmp_path / "run").iterdir()
    events = [Event.FromString(raw) for raw in RawEventFileLoader(str(file)).Load()]
    assert events[1].summary.value[0].image.colorspace == channels


def test_a_resumed_run_replaces_what_came_after_its_checkpoint(driver, tmp_path):
    folder = str(tmp_path / "run")
    done = driver("logging_driver", [
        {"folder": folder, "events": [scalar(s, s) for s in range(1, 14)]},
        {"folder": folder, "resume_step": 10, "events": [scalar(s, 100 + s) for s in range(11, 16)]},
    ])
    files = done.stdout.split()
    assert len(files) == 2 and sorted(files) == files
    loss = read(folder).Scalars("loss")
    assert [(e.step, e.value) for e in loss] == [(s, s) for s in range(1, 11)] + [(s, 100 + s) for s in range(11, 16)]


def test_torch_and_unnoise_write_the_same_events(driver, tmp_path):
    """Field by field what torch.utils.tensorboard writes, besides times and its own metadata."""
    from torch.utils.tensorboard import SummaryWriter
    with SummaryWriter(tmp_path / "theirs") as writer:
        for step in range(5):
            writer.add_scalar("loss", step / 7, step, walltime=1.7e9 + step)
    driver("logging_driver", [{"folder": str(tmp_path / "ours"), "events": [scalar(s, s / 7) for s in range(5)]}])

    def events(folder):
        (file,) = folder.iterdir()
        return [Event.FromString(raw) for raw in RawEventFileLoader(str(file)).Load()]

    ours, theirs = events(tmp_path / "ours"), events(tmp_path / "theirs")
    assert ours[0].file_version == theirs[0].file_version == "brain.Event:2"
    assert [e.SerializeToString() for e in ours[1:]] == [e.SerializeToString() for e in theirs[1:]]
