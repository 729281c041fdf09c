"""BMP, GIF and TIFF: every kind of them that Pillow opens, into its mode and pixels; what is damaged, cut short or lies."""
import io
import pathlib
import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from test_images import difference, jobs, pixels, saved, smooth

RNG = np.random.default_rng(11)
pytestmark = pytest.mark.filterwarnings("ignore:Palette images with Transparency")


def greys(width=13, height=11, levels=256):
    return RNG.integers(0, levels, (height, width)).astype(np.uint8)


def palette_picture(levels, width=13, height=11):
    image = Image.fromarray(greys(width, height, levels), "P")
    image.putpalette(RNG.integers(0, 256, 3 * levels).astype(np.uint8).tobytes())
    return image


# ---- BMP ----


def bmp(width, height, bits, rows, palette=b"", compression=0, header=40, masks=b"", top_down=False, colours=0):
    """A bitmap assembled by hand: Pillow cannot write most kinds. `rows` as stored."""
    at = 14 + header + (len(masks) if header == 40 else 0) + len(palette)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, width, -height if top_down else height, 1, bits, compression, len(rows), 0, 0, colours, 0)
        info += (masks if header > 40 else b"").ljust(header - 40, b"\0")
    return b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at) + info + (masks if header == 40 else b"") + palette + rows


def noise_rows(width, height, bits):
    return RNG.integers(0, 256, (width * bits + 31) // 32 * 4 * height).astype(np.uint8).tobytes()


def indices(width, height, bits, colours):
    """Rows of indices below `colours`, packed."""
    rows = b""
    for _ in range(height):
        text = "".join(f"{v:0{bits}b}" for v in RNG.integers(0, colours, width))
        text += "0" * (-len(text) % 32)
        rows += bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    return rows


MASKS = {
    32: [(0xFF0000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0), (0xFF000000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
         (0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFF000000, 0xFF00, 0xFF, 0xFF0000), (0, 0, 0, 0)],
    24: [(0xFF0000, 0xFF00, 0xFF, 0)],
    16: [(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)],
}


def runs(values, four_bits):
    """A row of indices as run-length codes of every kind."""
    out, at = b"", 0
    while at < len(values):
        count = min(len(values) - at, int(RNG.integers(1, 6)))
        piece = values[at : at + count]
        if count >= 3 and RNG.integers(0, 2):  # written out, padded to pairs of bytes
            body = bytes(piece) if not four_bits else bytes((piece[i] << 4) | (piece[i + 1] if i + 1 < count else 0) for i in range(0, count, 2))
            out += bytes([0, count]) + body + b"\0" * (len(body) % 2)
        else:
            same = 1
            while same < count and piece[same] == piece[0]:
                same += 1
            count = same
            out += bytes([count, piece[0] if not four_bits else piece[0] << 4 | piece[0]])
        at += count
    return out


def bmps():
    for kind, image in [("1", Image.fromarray(greys() > 127)), ("L", Image.fromarray(greys())), ("P", palette_picture(256)),
                        ("P5", palette_picture(5)), ("RGB", Image.fromarray(smooth(11, 13, 3))), ("RGBA", Image.fromarray(smooth(11, 13, 4), "RGBA"))]:
        yield f"bmp_{kind}", saved(image, "BMP")
    for bits in (1, 4, 8):
        colours = min(2**bits, 200)
        palette = RNG.integers(1, 255, 4 * colours).astype(np.uint8).tobytes()
        yield f"bmp_p{bits}", bmp(13, 11, bits, indices(13, 11, bits, colours), palette, colours=colours)
        yield f"bmp_p{bits}_down", bmp(13, 11, bits, indices(13, 11, bits, colours), palette, colours=colours, top_down=True)
        small = b"".join(palette[4 * i : 4 * i + 3] for i in range(colours)) + bytes(3 * (2**bits - colours))
        yield f"bmp_os2_p{bits}", bmp(13, 11, bits, indices(13, 11, bits, colours), small, header=12)
    for bits in (16, 24, 32):
        for header in (40, 64, 108, 124) + ((12,) if bits == 24 else ()):
            yield f"bmp_{bits}_{header}", bmp(13, 11, bits, noise_rows(13, 11, bits), header=header)
        for i, masks in enumerate(MASKS[bits]):
            for header in (40, 56, 108) if masks[3] == 0 and any(masks) else (56, 124):
                words = struct.pack("<4I", *masks) if header > 40 else struct.pack("<3I", *masks[:3])
                yield f"bmp_masks_{bits}_{i}_{header}", bmp(13, 11, bits, noise_rows(13, 11, bits), compression=3, masks=words, header=header)
    for four_bits in (False, True):
        levels = 16 if four_bits else 256
        palette = RNG.integers(0, 256, 4 * levels).astype(np.uint8).tobytes()
        body = b"".join(runs([int(v) for v in RNG.integers(0, 3, 21)], four_bits) + b"\0\0" for _ in range(9)) + b"\0\1"
        yield f"bmp_rle{4 if four_bits else 8}", bmp(21, 9, 4 if four_bits else 8, body, palette, compression=2 if four_bits else 1)
        jumps = bytes([3, 0x11, 0, 2, 4, 2, 2, 0x22]) + b"\0\0" + (bytes([21, 0x12]) + b"\0\0") * 6 + b"\0\1"
        yield f"bmp_rle{4 if four_bits else 8}_jumps", bmp(21, 9, 4 if four_bits else 8, jumps, palette, compression=2 if four_bits else 1)


# ---- GIF ----


def gifs():
    for levels in (2, 3, 16, 200, 256):
        yield f"gif_p{levels}", saved(palette_picture(levels, 61, 47), "GIF")
        yield f"gif_p{levels}_rows", saved(palette_picture(levels, 61, 47), "GIF", interlace=0)
    yield "gif_grey", saved(Image.fromarray(greys(61, 47)), "GIF")
    yield "gif_smooth", saved(Image.fromarray(smooth(200, 300, 3)).quantize(256), "GIF")
    yield "gif_transparent", saved(palette_picture(32), "GIF", transparency=5)
    frames = [palette_picture(16, 30, 20) for _ in range(3)]
    yield "gif_animated", saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50, loop=0, comment=b"x" * 600)
    whole = saved(palette_picture(16, 9, 7), "GIF", interlace=0)
    at = whole.index(b",", 13 + 48)  # the picture's place on the screen
    for name, screen, place in [("inside", (20, 15), (4, 3)), ("outside", (5, 5), (2, 1)), ("no_screen", (0, 0), (0, 0))]:
        moved = bytearray(whole)
        moved[6:10] = struct.pack("<HH", *screen)
        moved[at + 1 : at + 5] = struct.pack("<HH", *place)
        yield f"gif_{name}", bytes(moved)
        control = b"!\xf9\x04\x01\0\0\x07\0"  # colour 7 is transparent: it fills the screen
        yield f"gif_{name}_transparent", bytes(moved[:at]) + control + bytes(moved[at:])


# ---- TIFF ----


def tiff(image, **options):
    return saved(image, "TIFF", **options)


def raw_tiff(width, height, tags, data, big_endian=False, big=False):
    """One strip and its directory, assembled by hand. tags: {tag: (type, values)}."""
    order = ">" if big_endian else "<"
    start = 16 if big else 8
    strip = {273: (4, [start]), 278: (3, [height]), 279: (4, [len(data)])}
    tags = {256: (3, [width]), 257: (3, [height]), 259: (3, [1])} | (strip if 322 not in tags else {}) | tags
    directory = start + len(data) + len(data) % 2
    word, entry = (8, 20) if big else (4, 12)
    entries, beyond = b"", b""
    after = directory + (8 if big else 2) + entry * len(tags) + word
    for tag, (kind, values) in sorted(tags.items()):
        packed = b"".join(struct.pack(order + {1: "B", 3: "H", 4: "I"}[kind], v) for v in values)
        if len(packed) > word:
            place = struct.pack(order + ("Q" if big else "I"), after + len(beyond))
            beyond += packed + b"\0" * (len(packed) % 2)
        else:
            place = packed.ljust(word, b"\0")
        entries += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, len(values)) + place
    head = (b"MM" if big_endian else b"II") + (struct.pack(order + "HHHQ", 43, 8, 0, directory) if big else struct.pack(order + "HI", 42, directory))
    body = data + b"\0" * (len(data) % 2) + struct.pack(order + ("Q" if big else "H"), len(tags)) + entries + b"\0" * word + beyond
    return head + body


def tiffs():
    coloured, see_through = Image.fromarray(smooth(37, 29, 3)), Image.fromarray(smooth(37, 29, 4), "RGBA")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"):
        for kind, image in [("1", Image.fromarray(greys(29, 37) > 127)), ("L", Image.fromarray(greys(29, 37))), ("P", palette_picture(256, 29, 37)),
                            ("RGB", coloured), ("RGBA", see_through), ("CMYK", Image.fromarray(smooth(37, 29, 4), "CMYK")),
                            ("LA", see_through.convert("LA")), ("I16", Image.fromarray(RNG.integers(0, 65536, (37, 29)).astype(np.uint16)))]:
            yield f"tiff_{kind}_{compression}", tiff(image, compression=compression)
    for compression in ("group3", "group4", "tiff_ccitt"):
        yield f"tiff_1_{compression}", tiff(Image.fromarray(smooth(37, 29, 1)[..., 0] > 127), compression=compression)
    yield "tiff_jpeg_RGB", tiff(coloured, compression="jpeg", quality=90)
    yield "tiff_jpeg_L", tiff(coloured.convert("L"), compression="jpeg", quality=90)
    yield "tiff_pages", tiff(coloured, save_all=True, append_images=[see_through, palette_picture(7)])
    yield "tiff_strips", tiff(coloured, compression="tiff_lzw", tiffinfo={278: 5})
    for orientation in range(1, 9):
        yield f"tiff_turned_{orientation}", tiff(coloured, tiffinfo={274: orientation})
    for order in ("little", "big"):
        for photometric in (0, 1):
            for bits in (1, 2, 4, 8, 16):
                if (order, photometric, bits) == ("big", 0, 16):
                    continue  # Pillow opens no such file
                data = RNG.integers(0, 256, (13 * bits + 7) // 8 * 11).astype(np.uint8).tobytes()
                tags = {258: (3, [bits]), 262: (3, [photometric]), 277: (3, [1])}
                yield f"tiff_grey_{order}_{photometric}_{bits}", raw_tiff(13, 11, tags, data, order == "big")
        for bits in (1, 2, 4, 8):
            data = RNG.integers(0, 256, (13 * bits + 7) // 8 * 11).astype(np.uint8).tobytes()
            tags = {258: (3, [bits]), 262: (3, [3]), 277: (3, [1]), 320: (3, RNG.integers(0, 65536, 3 * 2**bits).tolist())}
            yield f"tiff_palette_{order}_{bits}", raw_tiff(13, 11, tags, data, order == "big")
        for samples, extra in [(3, []), (4, [0]), (4, [1]), (4, [2]), (5, [2, 0]), (5, [1, 0]), (6, [0, 0, 0])]:
            for bits in (8, 16) if samples < 5 else (8,):
                data = RNG.integers(0, 256, 13 * 11 * samples * bits // 8).astype(np.uint8).tobytes()
                tags = {258: (3, [bits] * samples), 262: (3, [2]), 277: (3, [samples])} | ({338: (3, extra)} if extra else {})
                yield f"tiff_rgb_{order}_{samples}_{extra}_{bits}", raw_tiff(13, 11, tags, data, order == "big")
        data = RNG.integers(0, 256, 13 * 11 * 3).astype(np.uint8).tobytes()
        planes = {258: (3, [8, 8, 8]), 262: (3, [2]), 277: (3, [3]), 284: (3, [2]), 279: (4, [143] * 3)}
        yield f"tiff_planes_{order}", raw_tiff(13, 11, planes | {273: (4, [8, 151, 294])}, data, order == "big")
        if order == "little":  # Pillow 13 does not know the big-endian ones for what they are
            yield "tiff_big", raw_tiff(13, 11, {258: (3, [8, 8, 8]), 262: (3, [2]), 277: (3, [3])}, data, order == "big", big=True)
    tile = RNG.integers(0, 256, (4, 16 * 16 * 3)).astype(np.uint8).tobytes()
    tiled = {258: (3, [8, 8, 8]), 262: (3, [2]), 277: (3, [3]), 322: (3, [16]), 323: (3, [16]), 324: (4, [8 + 768 * i for i in range(4)]), 325: (4, [768] * 4)}
    yield "tiff_tiles", raw_tiff(29, 21, tiled, tile)
    yield "tiff_fill_order", raw_tiff(16, 4, {258: (3, [1]), 262: (3, [1]), 277: (3, [1]), 266: (3, [2])}, bytes(range(1, 9)))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    found = []
    for name, data in [*bmps(), *gifs(), *tiffs()]:
        found.append(folder / name)
        found[-1].write_bytes(data)
    return found


def test_decodes_every_kind_into_pillows_mode_and_pixels(pictures, tmp_path):
    for path, result in zip(pictures, jobs(tmp_path, [{"op": "decode", "in": str(p)} for p in pictures])):
        theirs = Image.open(path)
        theirs.load()
        assert result.get("mode") == theirs.mode.replace("I;16B", "I;16"), (path.name, theirs.mode, result)
        assert tuple(result["size"]) == theirs.size, path.name
        expected = np.array(theirs)
        expected = expected.astype(np.uint8) * 255 if theirs.mode == "1" else expected
        expected = expected.astype(np.uint16) if theirs.mode.startswith("I;16") else expected  # from its byte order to ours
        ours = np.frombuffer(result["bytes"], expected.dtype).reshape(expected.shape)
        assert difference(ours, expected) <= ("jpeg" in path.name), path.name
        if theirs.mode == "P":
            count = min(len(result["palette"]), len(theirs.getpalette()))
            assert count > 0 and result["palette"][:count] == theirs.getpalette()[:count], path.name
            assert not any(result["palette"][count:]), path.name
        if path.name.startswith("gif") and theirs.mode == "P":
            see_through = theirs.info.get("transparency")
            assert result["palette_alpha"] == ([] if see_through is None else [255] * see_through + [0]), path.name


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_converts_every_kind_as_pillow(pictures, tmp_path, mode):
    results = jobs(tmp_path, [{"op": "convert", "in": str(p), "mode": mode} for p in pictures])
    for path, result in zip(pictures, results):
        expected = np.array(Image.open(path).convert(mode))
        assert difference(pixels(result), expected.reshape(*expected.shape[:2], -1)) <= ("jpeg" in path.name), path.name


def test_refuses_every_shortened_file(pictures, tmp_path):
    requests = []
    for path in pictures:
        data = path.read_bytes()
        for keep in (3, 12, 20, len(data) // 3, len(data) // 2):
            cut = tmp_path / f"{path.name}.{keep}"
            cut.write_bytes(data[: min(keep, len(data) - 24)])
            if path.name not in ("tiff_pages", "gif_animated") and "rle" not in path.name:  # of these, the first picture may be whole
                requests.append({"op": "decode", "in": str(cut)})
    for request, result in zip(requests, jobs(tmp_path, requests)):
        assert result.get("kind") == 1, (request, result)
        assert pathlib.Path(request["in"]).name in result["error"]


def test_survives_damaged_files(pictures, tmp_path):
    """Random damage gives an error or a picture, never a crash; UNNOISE_SANITIZE builds look at memory too."""
    requests = []
    for path in pictures:
        for i in range(6):
            data = bytearray(path.read_bytes())
            for _ in range(int(RNG.integers(1, 6))):
                data[int(RNG.integers(2, min(len(data), 400) if i % 2 else len(data)))] = int(RNG.integers(0, 256))
            damaged = tmp_path / f"{path.name}.{i}"
            damaged.write_bytes(data)
            requests.append({"op": "decode", "in": str(damaged)})
    for request, result in zip(requests, jobs(tmp_path, requests)):
        assert "mode" in result or result.get("kind") == 1, (request, result)


def lying_pictures():
    yield "bmp", bmp(60000, 60000, 24, b""), "60000x60000"
    yield "bmp", bmp(13000, 13000, 8, b"", bytes(1024)), "ends too early"
    yield "bmp", bmp(3, 3, 8, bytes(12), bytes(4 * 300), colours=300), "300 colours"
    yield "bmp", bmp(3, 3, 16, bytes(24), compression=3, masks=struct.pack("<3I", 1, 2, 4)), "masks"
    yield "bmp", bmp(3, 3, 24, bytes(36), compression=4), "compression 4"
    yield "gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\0", "65535x65535"
    yield "gif", b"GIF89a\5\0\5\0\0\0\0;", "no picture"
    yield "gif", b"GIF89a\5\0\5\0\0\0\0,\0\0\0\0\5\0\5\0\0\x0e\0", "symbols of 14 bits"
    yield "gif", b"GIF89a\5\0\5\0\0\0\0,\0\0\0\0\5\0\5\0\0\2\1\xff\0", "code"
    grey = {258: (3, [8]), 262: (3, [1]), 277: (3, [1])}
    yield "tiff", raw_tiff(3, 3, grey | {256: (4, [60000]), 257: (4, [60000])}, bytes(9)), "60000x60000"
    yield "tiff", raw_tiff(3, 3, grey | {256: (4, [13000]), 257: (4, [13000]), 278: (4, [13000])}, bytes(9)), "TIFF is damaged"
    yield "tiff", raw_tiff(3, 3, grey | {322: (4, [60000]), 323: (4, [60000]), 324: (4, [8]), 325: (4, [9])}, bytes(9)), "pieces of 60000"
    yield "tiff", tiff(Image.fromarray(RNG.random((3, 3)).astype(np.float32))), "samples of 32 bits"
    yield "tiff", raw_tiff(3, 3, {258: (3, [8] * 3), 262: (3, [8]), 277: (3, [3])}, bytes(27)), "photometric interpretation 8"
    yield "tiff", raw_tiff(3, 3, grey | {259: (3, [12345])}, bytes(9)), "compression"


def test_says_what_is_wrong_and_sets_no_memory_aside_for_it(tmp_path):
    cases = list(lying_pictures())
    requests = []
    for i, (kind, data, _) in enumerate(cases):
        (tmp_path / f"lie{i}.{kind}").write_bytes(data)
        requests.append({"op": "decode", "in": str(tmp_path / f"lie{i}.{kind}")})
    for request, result, (_, _, words) in zip(requests, jobs(tmp_path, requests), cases):
        assert result.get("kind") == 1 and words in result["error"], (words, result)
        assert pathlib.Path(request["in"]).name in result["error"]
