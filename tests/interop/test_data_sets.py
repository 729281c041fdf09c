"""Data sets in the containers that people have: what Python's `datasets` writes we read with the same pixels, labels and texts, and
the reverse; archives, WebDataset, CIFAR and npz against what Python wrote; and containers made to do harm."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import struct
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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
    """20 pictures in two classes and two depths, a text file and a hidden file: course.md's row 1.1."""
    files = {f"{'cats' if i % 2 else 'dogs'}/{i:02}.{'png' if i % 3 else 'jpg'}": encoded(noise(i), "PNG" if i % 3 else "JPEG") for i in range(20)}
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


# ---- Parquet that `datasets` wrote ----


@pytest.fixture(scope="module")
def labelled():
    """33 pictures of three formats and sizes with classes and captions, as `datasets` has them in memory."""
    kinds = ["PNG", "JPEG", "WEBP"]
    rows = [{"image": {"bytes": encoded(noise(i, (8 + i % 3, 6)), kinds[i % 3]), "path": f"{i}.{kinds[i % 3].lower()}"},
             "label": i * 7 % 3, "text": f"picture {i}: ünïcode", "score": i / 4} for i in range(33)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["zebra", "ant", "cow"]),
                                  "text": datasets.Value("string"), "score": datasets.Value("float64")})
    return datasets.Dataset.from_list(rows, features=features)


@pytest.mark.parametrize("options", [
    {}, {"compression": "snappy"}, {"compression": "zstd"}, {"compression": "gzip"}, {"batch_size": 5},
])
def test_parquet_of_datasets_reads_the_same(labelled, options, tmp_path, listing, pictures):
    if "compression" in options:  # to_parquet chooses its own: none for pictures; older releases took snappy
        pq.write_table(labelled.data.table.cast(labelled.features.arrow_schema), tmp_path / "set.parquet", **options)
    else:
        labelled.to_parquet(tmp_path / "set.parquet", **options)
    if "batch_size" in options:
        assert pq.ParquetFile(tmp_path / "set.parquet").num_row_groups > 1
    ours = listing(tmp_path / "set.parquet")
    assert ours["labels"] == labelled["label"][:]
    assert ours["names"] == ["zebra", "ant", "cow"]
    assert [c["text"] for c in ours["columns"]] == labelled["text"][:]
    assert [c["score"] for c in ours["columns"]] == labelled["score"][:]
    pixels, files = pictures(tmp_path / "set.parquet")
    for i, row in enumerate(labelled):
        assert np.array_equal(pixels[i], rgb(row["image"])), i
    raw = labelled.cast_column("image", datasets.Image(decode=False))
    assert files == [row["image"]["bytes"] for row in raw]


def test_hub_layout_with_shards_and_splits(labelled, tmp_path, listing, pictures):
    (tmp_path / "data").mkdir()
    for s in range(3):
        labelled.shard(3, s, contiguous=True).to_parquet(tmp_path / f"data/train-0000{s}-of-00003.parquet", batch_size=4)
    labelled.select(range(5)).to_parquet(tmp_path / "data/test-00000-of-00001.parquet")
    assert listing(tmp_path)["labels"] == labelled["label"][:]
    assert listing(tmp_path, "test")["labels"] == labelled["label"][:5]
    assert "only: train, test" in listing(tmp_path, "validation")["error"]
    pixels, _ = pictures(tmp_path)
    assert all(np.array_equal(pixels[i], rgb(row["image"])) for i, row in enumerate(labelled))


def test_configurations_are_folders(labelled, tmp_path, unnoise, refused):
    for name, count in [("big", 20), ("small", 4)]:
        (tmp_path / name).mkdir()
        labelled.select(range(count)).to_parquet(tmp_path / name / "train-00000-of-00001.parquet")
    refused(USAGE, ["several configurations", "--dataset-config-name"], "data", "inspect", tmp_path)
    done = unnoise("data", "inspect", tmp_path, "--dataset-config-name", "small", "--json")
    assert json.loads(done.stdout)["pictures"] == 4
    refused(USAGE, ["no configuration", "big", "small"], "data", "inspect", tmp_path, "--dataset-config-name", "middle")


def test_dictionary_pages_binary_columns_and_words_as_labels(tmp_path, listing, pictures):
    files = [encoded(noise(i % 4)) for i in range(40)]  # so few that Parquet stores them as a dictionary
    table = pa.table({"img": pa.array(files, pa.binary()), "label": pa.array([["b", "a", "c"][i % 3] for i in range(40)])})
    pq.write_table(table, tmp_path / "plain.parquet", use_dictionary=True, row_group_size=7)
    assert "RLE_DICTIONARY" in pq.ParquetFile(tmp_path / "plain.parquet").metadata.row_group(0).column(0).encodings
    ours = listing(tmp_path / "plain.parquet")
    assert ours["names"] == ["a", "b", "c"] and ours["labels"] == [[1, 0, 2][i % 3] for i in range(40)]
    assert pictures(tmp_path / "plain.parquet")[1] == files
    table = pa.table({"image": pa.array(files, pa.large_binary())})
    pq.write_table(table, tmp_path / "large.parquet", version="2.6", data_page_version="2.0")
    assert pictures(tmp_path / "large.parquet")[1] == files


def test_rows_without_picture_or_label(tmp_path, listing, unnoise):
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": encoded(noise(0)), "path": "a.png"}, None, {"bytes": None, "path": "/elsewhere/b.png"}, {"bytes": b"rubbish", "path": "c.png"}]
    pq.write_table(pa.table({"image": pa.array(rows, image), "label": pa.array([0, 1, -1, None])}), tmp_path / "holes.parquet")
    assert listing(tmp_path / "holes.parquet")["labels"] == [None] * 4
    told = json.loads(unnoise("data", "doctor", tmp_path / "holes.parquet", "--json").stdout)
    assert told["broken"] == [f"holes.parquet[{i}]" for i in (1, 2, 3)]


def test_training_reads_parquet_and_resumes_exactly(labelled, tmp_path, unnoise):
    labelled.to_parquet(tmp_path / "train.parquet", batch_size=5)
    config = {"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 8], "norm_num_groups": 4,
              "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"], "layers_per_block": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    common = ["train", "--train-data-dir", tmp_path / "train.parquet", "--model-config-name-or-path", tmp_path / "config.json", "--resolution", 8,
              "--train-batch-size", 4, "--random-flip", "--save-images-epochs", 0, "--lr-warmup-steps", 0, "--checkpointing-steps", 5, "--max-train-steps"]
    unnoise(*common, 12, "--output-dir", tmp_path / "whole")
    unnoise(*common, 12, "--output-dir", tmp_path / "cut")
    (tmp_path / "cut/model_index.json").unlink()
    unnoise(*common, 12, "--output-dir", tmp_path / "cut", "--resume-from-checkpoint", "checkpoint-5")
    weights = [(tmp_path / run / "unet/diffusion_pytorch_model.safetensors").read_bytes() for run in ("whole", "cut")]
    assert weights[0] == weights[1]


# ---- what we write, read by `datasets` ----


@pytest.mark.parametrize("source", ["folder", "zip", "tar.zst"])
def test_datasets_reads_what_build_writes(source, tmp_path, unnoise, pictures, listing):
    files = tree_of_20()
    if source == "folder":
        path = write_tree(tmp_path / "pictures", files)
    elif source == "zip":
        path = write_zip(tmp_path / "pictures.zip", files)
    else:
        path = write_tar_zst(tmp_path / "pictures.tar.zst", files)
    out = tmp_path / "built"
    unnoise("data", "build", path, "--output", out, "--test-fraction", "0.2", "--license", "cc0-1.0", "--name", "Cats: and \"dogs\"")
    assert sorted(p.name for p in (out / "data").iterdir()) == ["test-00000-of-00001.parquet", "train-00000-of-00001.parquet"]
    theirs = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert theirs["train"].num_rows == 16 and theirs["test"].num_rows == 4
    assert isinstance(theirs["train"].features["image"], datasets.Image)
    assert theirs["train"].features["label"] == datasets.ClassLabel(names=["cats", "dogs"])
    counts = [theirs["test"]["label"][:].count(c) for c in (0, 1)]
    assert counts == [2, 2]  # stratified
    originals = {hashlib.sha256(content).hexdigest(): name for name, content in files.items()}
    seen = set()
    for split in ("train", "test"):
        raw = theirs[split].cast_column("image", datasets.Image(decode=False))
        ours, stored = pictures(out, split)
        for i, row in enumerate(raw):
            name = originals[hashlib.sha256(row["image"]["bytes"]).hexdigest()]
            assert name.startswith(theirs[split].features["label"].int2str(row["label"])) and row["image"]["path"] == pathlib.Path(name).name
            assert stored[i] == row["image"]["bytes"] and np.array_equal(ours[i], rgb(theirs[split][i]["image"]))
            seen.add(name)
        assert listing(out, split)["labels"] == theirs[split]["label"][:]
    assert len(seen) == 20
    card = (out / "README.md").read_text()
    assert "cc0-1.0" in card and "num_examples: 16" in card


def test_columns_keep_their_types_and_shards_their_size(tmp_path, unnoise, pictures):
    rows = []
    for i in range(30):
        write_tree(tmp_path / "set", {f"{i:02}.png": encoded(noise(i, (64, 64)))})
        rows.append({"file_name": f"{i:02}.png", "text": f"caption \"{i}\"", "count": i, "share": i / 8 if i else None, "good": i % 2 == 0})
    (tmp_path / "set/metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "built"
    unnoise("data", "build", tmp_path / "set", "--output", out, "--max-shard-size", "0.1")
    total = sum(p.stat().st_size for p in (tmp_path / "set").glob("*.png"))
    shards = sorted((out / "data").iterdir())
    assert len(shards) == -(-total // 100_000) and all(p.stat().st_size < 120_000 for p in shards)
    theirs = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert {name: f.dtype for name, f in theirs.features.items() if name != "image"} == {
        "text": "string", "count": "int64", "share": "float64", "good": "bool"}
    for i, row in enumerate(theirs):
        assert {k: v for k, v in row.items() if k != "image"} == {k: v for k, v in rows[i].items() if k != "file_name"}


def test_build_of_bare_pixels_and_of_parquet(tmp_path, unnoise, labelled, pictures):
    images = np.random.default_rng(0).integers(0, 256, (12, 5, 6), dtype=np.uint8)
    np.savez(tmp_path / "grey.npz", images=images, labels=np.arange(12) % 2)
    unnoise("data", "build", tmp_path / "grey.npz", "--output", tmp_path / "grey")
    theirs = datasets.load_dataset(str(tmp_path / "grey"), split="train", cache_dir=str(tmp_path / "cache"))
    assert all(np.array_equal(np.asarray(row["image"]), images[i]) for i, row in enumerate(theirs))
    assert theirs["label"][:] == [i % 2 for i in range(12)]
    labelled.to_parquet(tmp_path / "set.parquet")
    unnoise("data", "build", tmp_path / "set.parquet", "--output", tmp_path / "again")
    theirs = datasets.load_dataset(str(tmp_path / "again"), split="train", cache_dir=str(tmp_path / "cache"))
    assert theirs.features == labelled.features
    columns = theirs.column_names
    for ours, original in zip(theirs.cast_column("image", datasets.Image(decode=False)), labelled.cast_column("image", datasets.Image(decode=False))):
        assert {c: ours[c] for c in columns} == {c: original[c] for c in columns}


# ---- archives ----


ARCHIVES = ["zip", "stored.zip", "tar", "tar.gz", "tar.xz", "tar.bz2", "tar.zst", "tar.pax"]


def archive_of(tmp_path, kind, files):
    if kind.endswith("zip"):
        return write_zip(tmp_path / f"set.{kind}", files, zipfile.ZIP_STORED if kind.startswith("stored") else zipfile.ZIP_DEFLATED)
    if kind == "tar.zst":
        return write_tar_zst(tmp_path / "set.tar.zst", files)
    if kind == "tar.pax":
        with tarfile.open(tmp_path / "set.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.pax_headers = len(content), {"comment": "x" * 700}
                tar.addfile(info, io.BytesIO(content))
        return tmp_path / "set.tar"
    return write_tar(tmp_path / f"set.{kind}", files, f"w:{kind[4:]}" if "." in kind else "w")


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_is_the_folder_that_it_holds(kind, tmp_path, listing, pictures):
    files = tree_of_20() | {"dogs/ünï.png": encoded(noise(99))}
    folder = write_tree(tmp_path / "folder", files)
    path = archive_of(tmp_path, kind, files)
    assert listing(path) == listing(folder)
    assert len(listing(path)["files"]) == 21 and listing(path)["names"] == ["cats", "dogs"]
    ours, theirs = pictures(path), pictures(folder)
    assert ours[1] == theirs[1] == [files[name] for name in listing(folder)["files"]]


def test_archives_with_splits_and_folders_of_archives(tmp_path, listing, report):
    files = {f"{split}/{c}/{i}.png": encoded(noise(i)) for split in ("train", "test") for c in "ab" for i in range(3)}
    write_tar(tmp_path / "one.tar.gz", {f"top/{name}": content for name, content in files.items()}, "w:gz")
    assert len(listing(tmp_path / "one.tar.gz", "test")["files"]) == 6 and listing(tmp_path / "one.tar.gz")["names"] == ["a", "b"]
    (tmp_path / "many").mkdir()
    for split in ("train", "test"):
        write_zip(tmp_path / f"many/{split}.zip", {name.removeprefix(split + "/"): content for name, content in files.items() if name.startswith(split)})
    assert listing(tmp_path / "many", "test")["labels"] == [0, 0, 0, 1, 1, 1]
    splits = report("inspect", tmp_path / "many")["splits"]
    assert {name: s["classes"] for name, s in splits.items()} == {"train": {"a": 3, "b": 3}, "test": {"a": 3, "b": 3}}


def test_datasets_reads_the_same_zip(tmp_path, listing, pictures):
    # datasets 5.2 takes every file of an archive for a picture, and the folder that the archive lies in for a class, and then fails: so
    # neither other files nor classes
    path = write_zip(tmp_path / "set.zip", {name: content for name, content in tree_of_20().items() if name[-3:] in ("png", "jpg") and "/." not in name})
    theirs = datasets.load_dataset("imagefolder", data_files=str(path), split="train", drop_labels=True, cache_dir=str(tmp_path / "cache"))
    assert theirs.num_rows == len(listing(path)["files"]) == 20
    assert all(np.array_equal(ours, rgb(row["image"])) for ours, row in zip(pictures(path)[0], theirs))


def test_webdataset_tars(tmp_path, listing, pictures):
    (tmp_path / "shards").mkdir()
    for shard in range(2):
        files = {}
        for i in range(5):
            key = f"{shard}{i:04}"
            files |= {f"{key}.jpg": encoded(noise(10 * shard + i), "JPEG"), f"{key}.txt": f"caption {key}\n".encode(),
                      f"{key}.cls": str(i % 3).encode(), f"{key}.json": json.dumps({"width": i}).encode()}
        write_tar(tmp_path / f"shards/train-{shard:04}.tar", files)
    ours = listing(tmp_path / "shards")
    theirs = datasets.load_dataset("webdataset", data_files=str(tmp_path / "shards/*.tar"), split="train", cache_dir=str(tmp_path / "cache"))
    assert ours["labels"] == theirs["cls"][:]
    assert [c["text"] for c in ours["columns"]] == [t.strip() for t in theirs["txt"]]
    assert [c["width"] for c in ours["columns"]] == [j["width"] for j in theirs["json"]]
    assert all(np.array_equal(p, rgb(row["jpg"])) for p, row in zip(pictures(tmp_path / "shards")[0], theirs))


def test_captions_in_text_files_beside_pictures(tmp_path, listing):
    write_tree(tmp_path / "set", {"a.png": encoded(noise(0)), "a.txt": b" a fox \n", "b.png": encoded(noise(1)), "b.caption": b"a hen"})
    assert [c["text"] for c in listing(tmp_path / "set")["columns"]] == ["a fox", "a hen"]


# ---- arrays ----


def cifar_records(seed, count, label_bytes):
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8), rng.integers(0, 10, (count, label_bytes), dtype=np.uint8)
    return images, labels, b"".join(bytes(labels[i]) + images[i].tobytes() for i in range(count))


@pytest.mark.parametrize("packed", [False, True])
def test_cifar_binaries(packed, tmp_path, listing, pictures):
    names = [f"class{i}" for i in range(10)]
    files, expected = {"cifar-10-batches-bin/batches.meta.txt": "\n".join(names).encode() + b"\n\n"}, []
    for b in range(1, 4):
        images, labels, records = cifar_records(b, 4, 1)
        files[f"cifar-10-batches-bin/data_batch_{b}.bin"] = records
        expected += list(zip(labels[:, 0].tolist(), images))
    files["cifar-10-batches-bin/test_batch.bin"] = cifar_records(9, 2, 1)[2]
    path = write_tar(tmp_path / "cifar-10-binary.tar.gz", files, "w:gz") if packed else write_tree(tmp_path / "cifar", files)
    ours = listing(path)
    assert ours["names"] == names and ours["labels"] == [label for label, _ in expected]
    assert len(listing(path, "test")["files"]) == 2
    assert all(np.array_equal(p, image.transpose(1, 2, 0)) for p, (_, image) in zip(pictures(path)[0], expected))
    if not packed:  # CIFAR-100: the fine label counts
        images, labels, records = cifar_records(5, 3, 2)
        path = write_tree(tmp_path / "cifar100", {"train.bin": records, "test.bin": records, "fine_label_names.txt": "\n".join(names).encode()})
        assert listing(path)["labels"] == labels[:, 1].tolist()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(save, tmp_path, listing, pictures):
    rng = np.random.default_rng(0)
    colour, grey = rng.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8), rng.integers(0, 256, (3, 4, 5), dtype=np.uint8)
    save(tmp_path / "a.npz", x_train=colour, y_train=np.arange(6), x_test=grey, y_test=np.arange(3)[:, None].astype(np.uint8))
    assert listing(tmp_path / "a.npz")["labels"] == list(range(6)) and listing(tmp_path / "a.npz", "test")["labels"] == [0, 1, 2]
    assert np.array_equal(np.stack(pictures(tmp_path / "a.npz")[0]), colour)
    assert np.array_equal(np.stack(pictures(tmp_path / "a.npz", "test")[0]), np.repeat(grey[..., None], 3, -1))
    save(tmp_path / "b.npz", colour.transpose(0, 3, 1, 2).copy())
    assert np.array_equal(np.stack(pictures(tmp_path / "b.npz")[0]), colour)


# ---- made to do harm, or merely broken ----


HARMFUL_NAMES = ["../outside.png", "a/../../outside.png", "/etc/outside.png", "C:\\outside.png", "a\\..\\outside.png"]


@pytest.mark.parametrize("name", HARMFUL_NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_names_that_lead_outside(name, kind, tmp_path, refused):
    path = archive_of(tmp_path, kind, {"a.png": encoded(noise(0)), name: encoded(noise(1))})
    before = sorted(tmp_path.rglob("*"))
    refused(DATA, [path.name, "outside.png", "do not trust"], "data", "inspect", path)
    refused(DATA, [path.name], "data", "build", path, "--output", tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_links_in_archives_are_named_and_left_out(tmp_path, unnoise):
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        content = encoded(noise(0))
        info = tarfile.TarInfo("a.png")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
        for name, kind, target in [("passwd.png", tarfile.SYMTYPE, "/etc/passwd"), ("hard.png", tarfile.LNKTYPE, "a.png"), ("dev.png", tarfile.CHRTYPE, "")]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    done = unnoise("data", "inspect", tmp_path / "links.tar", "--json")
    assert json.loads(done.stdout)["pictures"] == 1
    assert all(word in done.stderr for word in ["passwd.png", "hard.png", "is a link", "dev.png"])


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_bombs(kind, tmp_path, refused):
    zeros = bytes(1 << 20)
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for i in range(1700):
                archive.writestr(f"{i}.png", zeros)
        path = tmp_path / "bomb.zip"
    else:
        path = tmp_path / "bomb.tar.gz"
        header = tarfile.TarInfo("a.png")
        header.size = 3 << 30
        with gzip.open(path, "wb") as out:  # what it claims is enough to refuse it
            out.write(header.tobuf() + zeros)
    refused(DATA, ["unpacks to more than", "fill your disk"], "data", "inspect", path)


def test_a_size_that_lies(tmp_path, refused):
    header = tarfile.TarInfo("a.png")
    header.size = 8_000_000_000
    (tmp_path / "liar.tar").write_bytes(header.tobuf() + bytes(1024))
    refused(DATA, ["liar.tar"], "data", "inspect", tmp_path / "liar.tar")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.zst", "tar.xz"])
def test_archives_cut_anywhere(kind, tmp_path, unnoise):
    path = archive_of(tmp_path, kind, {f"{i}.png": encoded(noise(i, (40, 40))) for i in range(6)})
    whole = path.read_bytes()
    for part in (0.0, 0.001, 0.3, 0.6, 0.8 if kind == "tar" else 0.95):  # the last tenth of a plain tar is padding
        path.write_bytes(whole[:int(len(whole) * part)])
        done = unnoise("data", "doctor", path, check=False)
        assert done.returncode == DATA and path.name in done.stderr, (part, done.stdout, done.stderr)


def test_archives_and_parquet_with_flipped_bytes_never_crash(tmp_path, unnoise, labelled):
    labelled.to_parquet(tmp_path / "set.parquet")
    write_tar(tmp_path / "set.tar.gz", tree_of_20(), "w:gz")
    write_zip(tmp_path / "set.zip", tree_of_20())
    np.savez(tmp_path / "set.npz", images=np.zeros((4, 4, 4), np.uint8), labels=np.zeros(4, int))
    rng = np.random.default_rng(1)
    for path in sorted(tmp_path.glob("set.*")):
        whole = path.read_bytes()
        for _ in range(12):
            damaged = bytearray(whole)
            for at in rng.integers(0, len(whole), 6):
                damaged[at] = rng.integers(0, 256)
            if path.suffix == ".parquet":  # most of its weak points are in the footer
                size = struct.unpack("<I", whole[-8:-4])[0]
                damaged[len(whole) - 8 - int(rng.integers(1, size))] ^= 1 << int(rng.integers(0, 8))
            path.write_bytes(damaged)
            done = unnoise("data", "inspect", path, "--num-images", 0, check=False, errors="replace")  # a name may be no text
            assert done.returncode in (0, DATA), (path.name, done.returncode, done.stderr)


@pytest.mark.parametrize("change", ["empty", "cut", "magic", "text"])
def test_broken_parquet(change, labelled, tmp_path, refused):
    labelled.to_parquet(tmp_path / "set.parquet")
    whole = (tmp_path / "set.parquet").read_bytes()
    (tmp_path / "set.parquet").write_bytes({"empty": b"", "cut": whole[:len(whole) // 2], "magic": whole[:-4] + b"PAR9", "text": b"hello" * 50}[change])
    refused(DATA, ["set.parquet", "Parquet"], "data", "inspect", tmp_path / "set.parquet")


def test_parquet_with_wrong_columns(tmp_path, refused):
    pq.write_table(pa.table({"words": ["a"], "n": [1]}), tmp_path / "no.parquet")
    refused(DATA, ["no.parquet", "expected a column of pictures", "words (string)", "n (int64)"], "data", "inspect", tmp_path / "no.parquet")
    pq.write_table(pa.table({"image": ["a.png"]}), tmp_path / "paths.parquet")
    refused(DATA, ["expected a column of pictures", "image (string)"], "data", "inspect", tmp_path / "paths.parquet")
    (tmp_path / "set").mkdir()
    pq.write_table(pa.table({"image": [b"1"]}), tmp_path / "set/train-0.parquet")
    pq.write_table(pa.table({"image": [b"1"], "label": [1]}), tmp_path / "set/train-1.parquet")
    refused(DATA, ["other columns", "train-0.parquet", "train-1.parquet"], "data", "inspect", tmp_path / "set")


@pytest.mark.parametrize("arrays, words", [
    ({"images": np.zeros((2, 4, 4), np.float32)}, ["uint8", "<f4"]),
    ({"images": np.zeros((2, 5, 5, 7), np.uint8)}, ["[2,5,5,7]"]),
    ({"images": np.asfortranarray(np.zeros((2, 3, 4), np.uint8))}, ["Fortran"]),
    ({"images": np.array([{}], dtype=object)}, ["no NumPy array"]),
    ({"images": np.zeros((2, 4, 4), np.uint8), "labels": np.zeros(3, int)}, ["labels", "2 pictures"]),
    ({"words": np.zeros(3)}, ["words.npy", "numpy.savez"]),
])
def test_bad_npz(arrays, words, tmp_path, refused):
    np.savez(tmp_path / "bad.npz", **arrays)
    refused(DATA, ["bad.npz", *words], "data", "inspect", tmp_path / "bad.npz")


def test_bad_cifar(tmp_path, refused):
    records = cifar_records(0, 2, 1)[2]
    refused(DATA, ["data_batch_1.bin", "3073"], "data", "inspect", write_tree(tmp_path / "cut", {"data_batch_1.bin": records[:-1]}))
    refused(DATA, ["label"], "data", "inspect", write_tree(tmp_path / "label", {"data_batch_1.bin": b"\x07" + records[1:], "batches.meta.txt": b"a\nb\n"}))
