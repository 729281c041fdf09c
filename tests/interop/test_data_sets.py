"""Data sets in the containers that people have: what Python's `datasets` writes we read with the same pixels, labels and texts, and
the reverse; CIFAR and npz against what Python wrote; and those that are broken. Archives are in test_archives.py."""
import hashlib
import io
import json
import pathlib
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_set_tools import (DATA, USAGE, ask, datasets, encoded, labelled, listing, noise, pictures, refused, report, rgb, tree_of_20,  # noqa: F401
                            write_tar, write_tar_zst, write_tree, write_zip)
from PIL import Image


# ---- Parquet that `datasets` wrote ----


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


# ---- broken ----


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
