"""Archives: each kind is the folder that it holds; and those made to do harm, or merely broken."""
import ctypes
import ctypes.util
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from data_set_tools import (DATA, ask, datasets, encoded, listing, noise, pictures, refused, report, rgb, tree_of_20,  # noqa: F401
                            write_tar, write_tar_zst, write_tree, write_zip)

ARCHIVES = ["zip", "stored.zip", "tar", "tar.gz", "tar.xz", "tar.bz2", "tar.zst", "tar.pax", "7z"]


def write_7z(path, files):
    """By libarchive, which is installed where the program is."""
    library = ctypes.CDLL(ctypes.util.find_library("archive"))
    for name in ("archive_write_new", "archive_entry_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.archive_write_data.restype = ctypes.c_ssize_t
    archive, entry = ctypes.c_void_p(library.archive_write_new()), ctypes.c_void_p(library.archive_entry_new())
    assert library.archive_write_set_format_7zip(archive) == 0 and library.archive_write_open_filename(archive, bytes(path)) == 0
    for name, content in files.items():
        library.archive_entry_clear(entry)
        library.archive_entry_set_pathname_utf8(entry, name.encode())
        library.archive_entry_set_size(entry, ctypes.c_int64(len(content)))
        library.archive_entry_set_filetype(entry, ctypes.c_uint(0o100000))
        library.archive_entry_set_perm(entry, ctypes.c_uint(0o644))
        assert library.archive_write_header(archive, entry) == 0
        assert library.archive_write_data(archive, content, ctypes.c_size_t(len(content))) == len(content)
    library.archive_entry_free(entry)
    assert library.archive_write_close(archive) == 0
    library.archive_write_free(archive)
    return path


def archive_of(tmp_path, kind, files):
    if kind.endswith("zip"):
        return write_zip(tmp_path / f"set.{kind}", files, zipfile.ZIP_STORED if kind.startswith("stored") else zipfile.ZIP_DEFLATED)
    if kind == "7z":
        return write_7z(tmp_path / "set.7z", files)
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
    path = write_zip(tmp_path / "set.zip", {name: content for name, content in tree_of_20().items() if not name.endswith(".txt") and "/." not in name})
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


# ---- made to do harm, or merely broken ----


HARMFUL_NAMES = ["../outside.png", "a/../../outside.png", "/etc/outside.png", "C:\\outside.png", "a\\..\\outside.png"]


@pytest.mark.parametrize("name", HARMFUL_NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.zst", "7z"])
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


MEGABYTE = bytes(1 << 20)


def zstd(content):
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "zstd") as out:
        out.write(content)
    return buffer.getvalue().to_pybytes()


PACK = {"tar.gz": gzip.compress, "tar.xz": lzma.compress, "tar.zst": zstd}


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar.zst", "zip"])
def test_bombs(kind, tmp_path, refused):
    """A gigabyte of zeros, in files none of which is large: no set of pictures packs so well."""
    path = tmp_path / f"bomb.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for i in range(1700):
                archive.writestr(f"{i}.png", MEGABYTE)
    else:
        header = tarfile.TarInfo("a.dat")
        header.size = len(MEGABYTE)
        path.write_bytes(PACK[kind](header.tobuf() + MEGABYTE) * 1500)  # packed streams may follow each other
    before = sorted(tmp_path.iterdir())
    refused(DATA, ["unpacks to more than", "fill your disk"], "data", "inspect", path)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst", "tar.xz"])
def test_a_claim_is_enough_to_refuse_a_bomb(kind, tmp_path, refused):
    header = tarfile.TarInfo("a.png")
    header.size = 3 << 30
    content = header.tobuf() + MEGABYTE
    path = tmp_path / f"bomb.{kind}"
    path.write_bytes(PACK[kind](content))
    refused(DATA, ["unpacks to more than", "fill your disk"], "data", "inspect", path)


def sparse(holes, size):
    """A GNU sparse tar (type S): one block of 512 bytes behind `holes` bytes of nothing, in a file that says it has `size`."""
    header = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))

    def number(at, value):
        header[at : at + 12] = b"%011o\0" % value if value < 8**11 else b"\x80" + value.to_bytes(11, "big")

    header[156:157] = b"S"
    number(124, 512)
    number(386, holes)
    number(398, 512)
    number(483, size)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"x" * 512 + bytes(1024)


def test_a_sparse_file_that_is_mostly_hole(tmp_path, refused):
    (tmp_path / "holes.tar").write_bytes(sparse(3 << 30, (3 << 30) + 512))
    refused(DATA, ["holes.tar", "unpacks to more than"], "data", "inspect", tmp_path / "holes.tar")


def test_a_sparse_file_is_read_with_its_hole(tmp_path, refused):
    (tmp_path / "hole.tar").write_bytes(sparse(1000, 1512))
    refused(DATA, ["a.png", "is not a PNG"], "data", "inspect", tmp_path / "hole.tar")  # 1000 zeros


def test_a_zip_that_unpacks_to_more_than_it_says(tmp_path, unnoise):
    path = write_zip(tmp_path / "liar.zip", {"a.png": MEGABYTE * 8})
    data = path.read_bytes()
    assert data.count(struct.pack("<I", 8 << 20)) == 2  # in the local header and in the directory
    path.write_bytes(data.replace(struct.pack("<I", 8 << 20), struct.pack("<I", 100)))
    done = unnoise("data", "doctor", path, check=False)
    assert done.returncode == DATA and "a.png" in done.stderr, (done.stdout, done.stderr)


def test_a_size_that_lies(tmp_path, refused):
    header = tarfile.TarInfo("a.png")
    header.size = 8_000_000_000
    (tmp_path / "liar.tar").write_bytes(header.tobuf() + bytes(1024))
    refused(DATA, ["liar.tar"], "data", "inspect", tmp_path / "liar.tar")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.zst", "tar.xz", "7z"])
def test_archives_cut_anywhere(kind, tmp_path, unnoise):
    path = archive_of(tmp_path, kind, {f"{i}.png": encoded(noise(i, (40, 40))) for i in range(6)})
    whole = path.read_bytes()
    for part in (0.0, 0.001, 0.3, 0.6, 0.8 if kind == "tar" else 0.95):  # the last tenth of a plain tar is padding
        path.write_bytes(whole[:int(len(whole) * part)])
        done = unnoise("data", "doctor", path, check=False)
        assert done.returncode == DATA and path.name in done.stderr, (part, done.stdout, done.stderr)
