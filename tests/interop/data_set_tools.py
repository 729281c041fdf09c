"""What the suites of data sets share: sets as our program reads them, and files of pictures to read."""
import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from safetensors.numpy import load_file

os.environ["HF_HUB_OFFLINE"] = "1"
import datasets  # noqa: E402

datasets.disable_progress_bars()
USAGE, DATA, ENVIRONMENT = 2, 3, 4


@pytest.fixture
def ask(driver):
    return lambda command, **request: json.loads(driver("data_driver", {"command": command, **request}).stdout)


@pytest.fixture
def listing(ask):
    return lambda path, split="train": ask("list", sets=[{"path": str(path), "split": split}])[0]


@pytest.fixture
def pictures(ask, tmp_path):
    """Pixels [H,W,3] of every picture as we read it, and the bytes of their files where there are any."""

    def call(path, split="train"):
        count = ask("pictures", path=str(path), split=split, out=str(tmp_path / "pictures.safetensors"))["pictures"]
        tensors = load_file(tmp_path / "pictures.safetensors")
        return [tensors[str(i)] for i in range(count)], [tensors[f"file.{i}"].tobytes() if f"file.{i}" in tensors else None for i in range(count)]

    return call


@pytest.fixture
def report(unnoise):
    """`unnoise data ...`, its JSON."""
    return lambda *args: json.loads(unnoise("data", *args, "--json").stdout)


@pytest.fixture
def refused(unnoise):
    def check(code, words, *args):
        done = unnoise(*args, check=False)
        assert done.returncode == code, done.stderr
        for word in words:
            assert word in done.stderr, f"{word!r} not in: {done.stderr}"

    return check


def noise(seed, size=(9, 7), mode="RGB"):
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], len(mode)), dtype=np.uint8)
    return Image.fromarray(values.squeeze(), mode=mode)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rgb(image):
    return np.asarray(image.convert("RGB"))


def tree_of_20():
    """20 pictures of five formats in two classes and two depths, a text file and a hidden file: course.md's row 1.1."""
    kinds = [("png", "PNG"), ("jpg", "JPEG"), ("bmp", "BMP"), ("gif", "GIF"), ("tif", "TIFF")]
    files = {f"{'cats' if i % 2 else 'dogs'}/{i:02}.{kinds[i % 5][0]}": encoded(noise(i), kinds[i % 5][1]) for i in range(20)}
    return files | {"notes.txt": b"hello", "cats/.hidden.png": b"rubbish"}


def write_tree(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_tar(path, files, mode="w"):
    with tarfile.open(mode=mode, **({"fileobj": path} if isinstance(path, io.BytesIO) else {"name": path})) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_tar_zst(path, files):
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        out.write(write_tar(io.BytesIO(), files).getvalue())
    return path


def write_zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture(scope="module")
def labelled():
    """33 pictures of three formats and sizes with classes and captions, as `datasets` has them in memory."""
    kinds = ["PNG", "JPEG", "WEBP"]
    rows = [{"image": {"bytes": encoded(noise(i, (8 + i % 3, 6)), kinds[i % 3]), "path": f"{i}.{kinds[i % 3].lower()}"},
             "label": i * 7 % 3, "text": f"picture {i}: ünïcode", "score": i / 4} for i in range(33)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["zebra", "ant", "cow"]),
                                  "text": datasets.Value("string"), "score": datasets.Value("float64")})
    return datasets.Dataset.from_list(rows, features=features)
