"""Folders and pixels against what train_unconditional.py sees: the `datasets` library's imagefolder rule (written down here with
the glob that it uses itself, fsspec) and torchvision's transforms (written down here with the Pillow calls that they make)."""
import csv
import functools
import json
import os
import pathlib
import random

import fsspec
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file

PHOTOS = pathlib.Path(__file__).resolve().parents[1] / "data"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
WORDS = {
    "train": ["train", "training"],
    "validation": ["validation", "valid", "dev", "val"],
    "test": ["test", "testing", "eval", "evaluation"],
}
SEPARATORS = "[-._ 0-9]"


@pytest.fixture
def ask(driver):
    def call(command, **request):
        return json.loads(driver("data_driver", {"command": command, **request}).stdout)

    return call


@pytest.fixture
def listing(ask):
    """Our files, labels and columns of some (folder, split), or the error's text of each."""
    return lambda *sets: ask("list", sets=[{"path": str(path), "split": split} for path, split in sets])


def picture(path, seed=0, size=(9, 7)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 60 + seed % 40).convert("RGB").save(path)


# ---- which files, in which order, of which class ----


def matches(root, pattern):
    """Visible files of one pattern, in the order of fsspec's glob."""
    files = [f for f, info in fsspec.filesystem("file").glob(f"{root}/{pattern}", detail=True).items() if info["type"] == "file"]
    files = [os.path.relpath(f, root) for f in files]
    visible = [f for f in files if not any(p.startswith(".") for p in f.split("/"))]
    return [f for f in visible if not any(p.startswith("__") for p in f.split("/")[:-1])]


@functools.cache
def splits_of(root):
    """Visible files of each split that the folder has."""

    def by(patterns):
        found = {s: list(dict.fromkeys(f for w in words for p in patterns for f in matches(root, p.format(w=w, s=SEPARATORS))))
                 for s, words in WORDS.items()}
        return {s: files for s, files in found.items() if files}

    folders = by(["**/{w}/**", "**/{w}{s}*/**", "**/*{s}{w}/**", "**/*{s}{w}{s}*/**"])
    return folders or by(["**/{w}{s}*", "**/*{s}{w}{s}*"]) or {"train": matches(root, "**")}


def imagefolder(root, split):
    """Files and labels as `datasets` 3 gives them for load_dataset("imagefolder", data_dir=root, split=split)."""
    splits = splits_of(root)
    if split not in splits:
        return None
    pictures = {s: [f for f in files if f.lower().endswith(SUFFIXES)] for s, files in splits.items()}
    parents = {os.path.basename(os.path.dirname(f)) for f in pictures[split]}
    depths = {f.count("/") for f in pictures[split]}
    if len(parents) < 2 or len(depths) != 1:
        return pictures[split], None
    every = sorted({os.path.basename(os.path.dirname(f)) for files in pictures.values() for f in files if f.count("/") in depths})
    return pictures[split], [every.index(os.path.basename(os.path.dirname(f))) for f in pictures[split]]


TREES = {
    "flat": ["b.png", "a.jpg", "B.webp", "a-1.png", "a_1.png", "a 1.png"],
    "classes": ["dog/1.png", "cat/2.png", "Cat/3.png", "cat-x/1.png"],
    "two_depths": ["dog/1.png", "cat/2.png", "3.png"],
    "one_class": ["dog/1.png", "dog/2.png"],
    "deep_classes": ["x/dog/1.png", "y/cat/2.png", "x/cat/3.png"],
    "hidden": [".a.png", "b.png", ".git/c.png", "d/.e/f.png", "__MACOSX/g.png", "__h.png", "i__/j.png"],
    "split_folders": ["train/cat/1.png", "train/dog/2.png", "test/cat/3.png", "test/dog/4.png"],
    "split_words": ["my-train/1.png", "training/2.png", "train_2/3.png", "train/4.png", "x train 1/5.png", "val/6.png"],
    "split_deep": ["data/train/a/1.png", "data/train/b/2.png", "data/other/3.png", "data/valid/a/4.png"],
    "not_splits": ["trainer/1.png", "retrain/2.png", "contest/3.png", "evaluate/4.png"],
    "names": ["cat_train_1.png", "dog-train.png", "train.png", "test 1.png", "other.png"],
    "names_in_folders": ["a/train1.png", "b/train2.png", "b/val3.png", "strain/x.png"],
}


def random_trees():
    draw = random.Random(4)
    parts = ["a", "b-2", "c d", "train", "val", "x_test", "dev0", ".h", "__p", "Z"]
    for case in range(40):
        names = []
        for i in range(draw.randint(2, 7)):
            folders = draw.choices(parts, k=draw.choice([0, 1, 1, 2]))
            names.append("/".join([*folders, f"{draw.choice('pqr')}{i}{draw.choice(SUFFIXES)}"]))
        yield f"random{case}", names


def test_files_and_labels_follow_the_imagefolder_rule(listing, tmp_path):
    cases = []
    for tree, names in [*TREES.items(), *random_trees()]:
        for i, name in enumerate(names):
            picture(tmp_path / tree / name, i)
        cases += [(tmp_path / tree, split) for split in WORDS]
    for (root, split), ours in zip(cases, listing(*cases), strict=True):
        where = (root.name, split)
        expected = imagefolder(root, split)
        if expected is None or not expected[0]:
            assert "has no split" in ours["error"] or "holds no pictures" in ours["error"], where
            continue
        files, labels = expected
        assert ours.get("files") == files, where
        assert ours["labels"] == (labels or [None] * len(files)), where


def test_metadata_rows_written_by_pythons_csv_and_json(listing, tmp_path):
    rows = [{"file_name": f"sub/{i}.png", "text": t, "n": str(i)} for i, t in
            enumerate(["plain", "with, comma", 'with "quotes"', "two\nlines", "ünïcødé 🦋", " spaces ", ""])]
    for i in range(len(rows)):
        picture(tmp_path / "set" / "sub" / f"{i}.png", i)
    draw = random.Random(0)
    draw.shuffle(rows)
    for terminator in ("\n", "\r\n"):
        with open(tmp_path / "set" / "metadata.csv", "w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, ["text", "file_name", "n"], lineterminator=terminator)
            writer.writeheader()
            writer.writerows(rows)
        (ours,) = listing((tmp_path / "set", "train"))
        assert ours["files"] == [r["file_name"] for r in rows]
        assert [c["text"] for c in ours["columns"]] == [r["text"] for r in rows]
    (tmp_path / "set" / "metadata.csv").unlink()
    (tmp_path / "set" / "metadata.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert listing((tmp_path / "set", "train")) == [ours]


# ---- pixels ----


def resize(image, n):
    """torchvision's Resize(n, BILINEAR) of a Pillow image."""
    w, h = image.size
    size = (n, int(n * h / w)) if w <= h else (int(n * w / h), n)
    return image if image.size == size else image.resize(size, Image.BILINEAR)


def center_crop(image, n):
    left, top = int(round((image.width - n) / 2)), int(round((image.height - n) / 2))
    return image.crop((left, top, left + n, top + n))


def to_network(image):
    """ToTensor and Normalize([0.5], [0.5])."""
    data = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    data = data.view(image.height, image.width, -1).permute(2, 0, 1).contiguous()
    return (data.to(torch.float32).div(255) - 0.5) / 0.5


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """The repository's photographs, and turned, transparent, palette and odd-shaped versions of them: folder and upright images."""
    folder = tmp_path_factory.mktemp("photos")
    for path in sorted(p for p in PHOTOS.iterdir() if p.suffix in SUFFIXES):
        (folder / path.name).write_bytes(path.read_bytes())
    cat = Image.open(PHOTOS / "cat.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    cat.save(folder / "turned.jpg", exif=exif)
    cat.quantize(64).save(folder / "palette.png")
    cat.resize((640, 90)).save(folder / "wide.png")
    cat.crop((0, 0, 65, 300)).save(folder / "tall.webp", lossless=True)
    transparent = cat.convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(cat.size))
    transparent.save(folder / "alpha.png")
    return folder, [ImageOps.exif_transpose(Image.open(folder / name)) for name in sorted(os.listdir(folder))]


@pytest.fixture
def batches_of(ask, tmp_path):
    """Our batches of a folder, by name, in the order of the files unless `shuffle` is given."""

    def call(folder, numbers=(0,), **loader):
        out = str(tmp_path / "out.safetensors")
        ask("batches", path=str(folder), loader={"shuffle": False, **loader}, numbers=list(numbers), out=out)
        return load_file(out)

    return call


# Two levels of 255 apart in [-1,1] is one level of the 8-bit picture; Pillow and we round the same way, so nearly all are equal.
ONE_LEVEL = 2 / 255 + 1e-6


@pytest.mark.parametrize("mode", ["rgb", "grey"])
@pytest.mark.parametrize("resolution", [32, 67, 400])
def test_pixels_equal_pillow_and_torch(batches_of, photos, mode, resolution):
    folder, images = photos
    ours = batches_of(folder, resolution=resolution, mode=mode, center_crop=True, batch_size=len(images))["images.0"]
    for image, tensor in zip(images, ours, strict=True):
        expected = to_network(center_crop(resize(image.convert("RGB" if mode == "rgb" else "L"), resolution), resolution))
        difference = (tensor - expected).abs()
        assert difference.max() <= ONE_LEVEL, image
        assert (difference > 0).float().mean() < 0.001, image


def test_random_crops_and_flips_are_views_of_the_resized_picture(batches_of, photos):
    folder, images = photos
    n = 24
    batches = batches_of(folder, range(6), resolution=n, random_flip=True, batch_size=len(images), seed=5)
    seen = set()
    for index, image in enumerate(images):
        whole = to_network(resize(image.convert("RGB"), n))
        squares = whole.unfold(1, n, 1).unfold(2, n, 1).permute(1, 2, 0, 3, 4)  # [top, left, C, n, n]
        for number in range(6):
            for flip, square in enumerate((batches[f"images.{number}"][index], batches[f"images.{number}"][index].flip(2))):
                equal = ((squares - square).abs() <= ONE_LEVEL).all(-1).all(-1).all(-1).nonzero().tolist()
                seen |= {(index, number, flip, *equal[0])} if equal else set()
        assert {number for i, number, *_ in seen if i == index} == set(range(6)), image
    assert len({view[:1] + view[2:] for view in seen}) > 3 * len(images)  # other views in other epochs


def test_precision_of_16_bit_pictures_is_preserved(batches_of, tmp_path):
    (tmp_path / "set").mkdir()
    values = (torch.arange(200 * 150).view(150, 200) * 65535 / (200 * 150 - 1)).round().to(torch.int32).numpy().astype("uint16")
    Image.fromarray(values).save(tmp_path / "set" / "ramp.png")
    ours = batches_of(tmp_path / "set", resolution=64, center_crop=True, preserve_input_precision=True)["images.0"][0]
    x = torch.from_numpy(values.astype("float32"))[None, None] / 65535
    x = torch.nn.functional.interpolate(x, size=(64, 85), mode="bilinear", antialias=True, align_corners=False)[0]
    left = round((85 - 64) / 2)
    expected = ((x - 0.5) / 0.5).repeat(3, 1, 1)[:, :, left:left + 64]
    assert (ours - expected).abs().max() < 1e-6  # float32 of the same operations
    assert ours.unique().numel() > 256


# ---- order and speed ----


def test_order_is_torchs_permutation(batches_of, tmp_path):
    """The documented rule: a torch generator an epoch, seeded by splitmix64 of (seed, epoch)."""

    def splitmix64(x):
        mask = (1 << 64) - 1
        x = (x + 0x9E3779B97F4A7C15) & mask
        x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ x >> 27) * 0x94D049BB133111EB) & mask
        return x ^ x >> 31

    for label in range(12):
        picture(tmp_path / "set" / f"{label:02}" / "x.png", label)
    batches = batches_of(tmp_path / "set", range(6), resolution=8, batch_size=5, seed=42, shuffle=True)
    for epoch in range(2):
        ours = torch.cat([batches[f"labels.{3 * epoch + i}"] for i in range(3)])
        seed = splitmix64((splitmix64((splitmix64(42) + epoch) & ((1 << 64) - 1))) & ((1 << 64) - 1))
        assert ours.tolist() == torch.randperm(12, generator=torch.Generator().manual_seed(seed)).tolist()


def test_a_steady_consumer_hardly_waits(ask, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    cat = Image.open(PHOTOS / "cat.jpg")
    for i in range(96):
        cat.rotate(i).save(folder / f"{i:03}.{'png' if i % 4 == 0 else 'jpg'}")
    result = ask("measure", path=str(folder), loader={"batch_size": 16}, step_ms=100)
    print(result)
    assert result["cached_cpu_ms"] < result["cold_cpu_ms"] / 5
    if os.getloadavg()[0] > os.cpu_count():
        pytest.skip(f"other programs keep this machine busy; the share was {result['waiting_share']:.3f}")
    assert result["waiting_share"] < 0.02
