"""Reading, converting, resizing, tiling and writing pictures, against the installed Pillow and torch."""
import io
import json
import pathlib
import struct
import time
import zlib

import numpy as np
import pytest
import torch
from conftest import run
from PIL import Image, ImageOps, PngImagePlugin

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
PHOTOS = sorted(p for p in DATA.iterdir() if p.suffix in (".png", ".jpg", ".webp"))
RNG = np.random.default_rng(7)
# convert("RGB") loses the alphas of a palette, of which Pillow warns; that it does is what we test.
pytestmark = pytest.mark.filterwarnings("ignore:Palette images with Transparency")


def jobs(tmp_path, requests):
    """Runs the jobs in one process; gives a list of results, with the bytes of "out" where a job has one."""
    path = tmp_path / "jobs.json"
    for i, request in enumerate(requests):
        request.setdefault("out", str(tmp_path / f"out{i}"))
    path.write_text(json.dumps({"jobs": requests}))
    results = [json.loads(line) for line in run("image_driver", path).stdout.splitlines()]
    assert len(results) == len(requests)
    for request, result in zip(requests, results):
        if "error" not in result and "per_second" not in result:
            result["bytes"] = pathlib.Path(request["out"]).read_bytes()
    return results


def pixels(result):
    assert "error" not in result, result
    return np.frombuffer(result["bytes"], np.uint8).reshape(result["shape"])


def floats(result):
    assert "error" not in result, result
    return torch.frombuffer(bytearray(result["bytes"]), dtype=torch.float32).reshape(result["shape"])


def store(tmp_path, name, array):
    path = tmp_path / name
    path.write_bytes(np.ascontiguousarray(array).tobytes())
    shape = list(array.shape) if array.ndim != 2 else [*array.shape, 1]
    return {"in": str(path), "shape": shape}


def smooth(height, width, channels):
    """A picture with gradients, edges and a little noise: what lossy formats are made for."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    planes = [127 + 120 * np.sin((3 + c) * x * 5 + c) * np.cos((4 - c) * y * 4) for c in range(channels)]
    picture = np.stack(planes, -1) + RNG.normal(0, 6, (height, width, channels))
    picture[height // 3 : height // 2, width // 4 : width // 2] = 240
    return np.clip(picture, 0, 255).astype(np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width, height, bits, colour_type, palette=None, trns=None, interlace=False):
    """A PNG of random samples in any legal format, assembled by hand: Pillow cannot write them all."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for x0, y0, dx, dy in passes if interlace else [(0, 0, 1, 1)]:
        w, h = -(-(width - x0) // dx), -(-(height - y0) // dy)
        if w <= 0 or h <= 0:
            continue
        for _ in range(h):
            if palette is not None:
                bit_rows = "".join(f"{v:0{bits}b}" for v in RNG.integers(0, len(palette) // 3, w))
                bit_rows += "0" * (-len(bit_rows) % 8)
                row = bytes(int(bit_rows[i : i + 8], 2) for i in range(0, len(bit_rows), 8))
            else:
                row = RNG.integers(0, 256, -(-w * channels * bits // 8)).astype(np.uint8).tobytes()
            rows += b"\0" + row
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlace)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    png += chunk(b"PLTE", palette) if palette is not None else b""
    png += chunk(b"tRNS", trns) if trns is not None else b""
    return png + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_formats():
    for bits, colour_type in [(b, 0) for b in (1, 2, 4, 8, 16)] + [(b, t) for t in (2, 4, 6) for b in (8, 16)]:
        for interlace in (False, True):
            name = f"png_t{colour_type}_b{bits}_i{int(interlace)}"
            yield name, raw_png(13, 11, bits, colour_type, interlace=interlace)
    for bits in (1, 2, 4, 8):
        palette = RNG.integers(0, 256, 3 * min(2**bits, 200)).astype(np.uint8).tobytes()
        alpha = RNG.integers(0, 256, min(2**bits, 5)).astype(np.uint8).tobytes()
        yield f"png_p{bits}", raw_png(13, 11, bits, 3, palette)
        yield f"png_p{bits}_alpha", raw_png(13, 11, bits, 3, palette, alpha, interlace=True)
    yield "png_grey_trns", raw_png(9, 7, 8, 0, trns=b"\0\x05")
    yield "png_rgb_trns", raw_png(9, 7, 8, 2, trns=b"\0\1\0\2\0\3")
    low = RNG.integers(0, 300, (5, 9)).astype(np.uint16)  # around 255, where convert("L") cuts 16-bit grey off
    yield "png_grey16_low", saved(Image.fromarray(low), "PNG")
    yield "png_short_palette", raw_png(6, 4, 8, 3, bytes(range(30)))


def lossy_formats():
    for size in ((64, 48), (33, 17), (1, 1), (7, 40)):
        for channels in (1, 3, 4):
            picture = smooth(size[1], size[0], channels)
            mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
            image = Image.fromarray(picture[..., 0] if channels == 1 else picture, mode)
            name = f"{mode}_{size[0]}x{size[1]}"
            if channels < 4:
                yield f"jpeg_{name}", saved(image, "JPEG", quality=80)
                yield f"jpeg_progressive_{name}", saved(image, "JPEG", quality=60, progressive=True)
            for subsampling in (0, 1) if channels == 3 else ():
                yield f"jpeg_s{subsampling}_{name}", saved(image, "JPEG", quality=90, subsampling=subsampling)
            if channels == 4:
                yield f"jpeg_cmyk_{name}", saved(Image.fromarray(picture, "CMYK"), "JPEG", quality=90)
            yield f"webp_{name}", saved(image, "WEBP", quality=70)
            yield f"webp_lossless_{name}", saved(image, "WEBP", lossless=True)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def all_pictures():
    yield from png_formats()
    yield from lossy_formats()
    frames = [Image.fromarray(smooth(20, 30, 4), "RGBA") for _ in range(3)]
    yield "webp_animated", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50, lossless=True)
    frames = [Image.fromarray(smooth(20, 30, 3), "RGB") for _ in range(3)]
    yield "webp_animated_opaque", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50)
    yield "apng", saved(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50)
    for path in PHOTOS:
        yield path.name, path.read_bytes()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    found = []
    for name, data in all_pictures():
        found.append(folder / name)
        found[-1].write_bytes(data)
    return found


def tolerance(path):
    """PNG and lossless WebP are exact. The lossy decoders are other releases of the same libraries: one level."""
    lossy = path.name.startswith("jpeg") or path.suffix in (".jpg", ".webp") or path.name.startswith("webp")
    return 1 if lossy and "lossless" not in path.name else 0


def difference(ours, theirs):
    assert ours.shape == theirs.shape
    return np.abs(ours.astype(int) - theirs.astype(int)).max()


def test_decodes_every_format_into_pillows_mode_and_pixels(pictures, tmp_path):
    for path, result in zip(pictures, jobs(tmp_path, [{"op": "decode", "in": str(p)} for p in pictures])):
        theirs = Image.open(path)
        assert result.get("mode") == theirs.mode, (path.name, result)
        assert tuple(result["size"]) == theirs.size, path.name
        dtype = np.uint16 if theirs.mode == "I;16" else np.uint8
        expected = np.array(theirs)
        expected = expected.astype(np.uint8) * 255 if theirs.mode == "1" else expected
        ours = np.frombuffer(result["bytes"], dtype).reshape(expected.shape)
        assert difference(ours, expected) <= tolerance(path), path.name
        if theirs.mode == "P":
            assert result["palette"] == theirs.getpalette()[: len(result["palette"])], path.name


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_converts_every_format_as_pillow(pictures, tmp_path, mode):
    results = jobs(tmp_path, [{"op": "convert", "in": str(p), "mode": mode} for p in pictures])
    for path, result in zip(pictures, results):
        expected = np.array(Image.open(path).convert(mode))
        assert difference(pixels(result), expected.reshape(*expected.shape[:2], -1)) <= tolerance(path), path.name


def script_tensor(image):
    """What --preserve_input_precision does to a picture before it resizes it."""
    if image.mode == "P":
        image = image.convert("RGB")
    array = np.array(image)
    largest = {np.dtype(bool): 1, np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}[array.dtype]
    x = torch.from_numpy(array.astype(np.float32)) / largest
    x = x[None] if x.ndim == 2 else x.permute(2, 0, 1)
    if x.shape[0] == 1:
        return x.repeat(3, 1, 1)
    return torch.cat([x, x[:1]]) if x.shape[0] == 2 else x[:3]


def test_keeps_precision_as_the_training_script(pictures, tmp_path):
    results = jobs(tmp_path, [{"op": "preserve", "in": str(p), "mode": "RGB"} for p in pictures])
    for path, result in zip(pictures, results):
        expected = script_tensor(Image.open(path))
        allowed = tolerance(path) / 255 + 1e-7  # one level of a lossy decoder, else one rounding of float32
        assert (floats(result) - expected).abs().max() <= allowed, path.name


def test_turns_pictures_upright_as_exif_transpose(tmp_path):
    picture = Image.fromarray(smooth(12, 20, 3))
    requests, expected = [], []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for kind, options in (("PNG", {}), ("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})):
            path = tmp_path / f"{orientation}.{kind}"
            path.write_bytes(saved(picture, kind, exif=exif, **options))
            requests += [{"op": "decode", "in": str(path), "upright": upright} for upright in (True, False)]
            expected += [np.array(ImageOps.exif_transpose(Image.open(path))), np.array(Image.open(path))]
    for request, result, theirs in zip(requests, jobs(tmp_path, requests), expected):
        assert [*result["size"]] == [theirs.shape[1], theirs.shape[0]], request
        ours = np.frombuffer(result["bytes"], np.uint8).reshape(theirs.shape)
        assert difference(ours, theirs) <= (1 if "JPEG" in request["in"] else 0), request


def test_refuses_every_shortened_file(pictures, tmp_path):
    requests = []
    for path in [p for p in pictures if not p.suffix or p.suffix in (".jpg", ".png")][::3]:
        data = path.read_bytes()
        for keep in (0, 4, 20, len(data) // 3, len(data) // 2, len(data) * 9 // 10):
            cut = tmp_path / f"{path.name}.{keep}"
            cut.write_bytes(data[: min(keep, len(data) - 24)])  # 24: beyond a PNG's end chunk and checksum
            requests.append({"op": "decode", "in": str(cut)})
    for request, result in zip(requests, jobs(tmp_path, requests)):
        assert result.get("kind") == 1, (request, result)
        assert pathlib.Path(request["in"]).name in result["error"]


def test_survives_damaged_files(pictures, tmp_path):
    """Random damage gives an error or a picture, never a crash; UNNOISE_SANITIZE builds look at memory too."""
    requests = []
    for path in pictures:
        data = bytearray(path.read_bytes())
        if len(data) > 20000:
            continue
        for i in range(6):
            damaged = bytearray(data)
            for at in RNG.integers(0, len(damaged), 1 + i * 3):
                damaged[at] = RNG.integers(0, 256)
            bad = tmp_path / f"{path.name}.bad{i}"
            bad.write_bytes(damaged)
            requests.append({"op": "decode", "in": str(bad)})
    for result in jobs(tmp_path, requests):
        assert "mode" in result or result["kind"] == 1


def test_refuses_a_decompression_bomb(tmp_path):
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))
    frames = [Image.new("RGBA", (4, 4), colour) for colour in (0, 1)]
    webp = bytearray(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    webp[24:30] = b"\xff\xff\0\xff\xff\0"
    (tmp_path / "bomb.webp").write_bytes(webp)
    for result in jobs(tmp_path, [{"op": "decode", "in": str(tmp_path / n)} for n in ("bomb.png", "bomb.webp")]):
        assert result["kind"] == 1
    # the PNG by its size; libwebp may refuse its file before that, as frame and canvas disagree
    assert "178956970" in jobs(tmp_path, [{"op": "decode", "in": str(bomb)}])[0]["error"]


SIZES = [(64, 64), (64, 85), (32, 24), (1, 1), (301, 7), (97, 350), (512, 3), (640, 480), (13, 500)]


def test_resizes_photographs_exactly_as_pillow(tmp_path):
    requests, expected = [], []
    for path in PHOTOS:
        for mode in ("L", "RGB"):
            image = Image.open(path).convert(mode)
            stored = store(tmp_path, f"{path.name}.{mode}", np.array(image))
            for size in SIZES + [image.size, (image.size[0], 40), (40, image.size[1])]:
                requests.append({"op": "resize", **stored, "size": list(size)})
                expected.append(np.array(image.resize(size, Image.BILINEAR)))
    assert len(requests) > 40
    for request, result, theirs in zip(requests, jobs(tmp_path, requests), expected):
        assert np.array_equal(pixels(result).reshape(theirs.shape), theirs), request


def test_resizes_floats_as_torch(tmp_path):
    x = torch.rand(3, 45, 71, generator=torch.Generator().manual_seed(1))
    requests = [{"op": "resize_tensor", **store(tmp_path, "x", x.numpy()), "size": list(s)} for s in SIZES]
    for request, result in zip(requests, jobs(tmp_path, requests)):
        w, h = request["size"]
        theirs = torch.nn.functional.interpolate(x[None], (h, w), mode="bilinear", antialias=True)[0]
        assert torch.equal(floats(result), theirs)


def test_writes_pngs_that_pillow_reads_with_their_text(tmp_path):
    text = [["seed", "7"], ["prompt", "ein Schmetterling, größer"], ["empty", ""]]
    requests, expected = [], []
    for channels, mode in enumerate(("L", "LA", "RGB", "RGBA"), 1):
        for height, width in ((1, 1), (3, 50), (64, 37)):
            picture = smooth(height, width, channels)
            requests.append({"op": "png", **store(tmp_path, f"{mode}{width}", picture), "text": text})
            expected.append((mode, picture))
    for result, (mode, picture) in zip(jobs(tmp_path, requests), expected):
        image = Image.open(io.BytesIO(result["bytes"]))
        assert image.mode == mode
        assert np.array_equal(np.array(image).reshape(picture.shape), picture)
        assert image.text == dict(text)
        assert isinstance(image, PngImagePlugin.PngImageFile) and not image.is_animated


def frames_of(image, mode):
    found, durations = [], []
    for i in range(image.n_frames):
        image.seek(i)
        found.append(np.array(image.convert(mode)))
        durations.append(image.info["duration"])
    return found, durations


def test_writes_apngs_that_pillow_plays(tmp_path):
    for channels, mode in enumerate(("L", "LA", "RGB", "RGBA"), 1):
        pictures = [smooth(20, 31, channels) for _ in range(4)]
        stored = [store(tmp_path, f"f{i}", p) for i, p in enumerate(pictures)]
        request = {"op": "apng", "frames": stored, "ms": 40, "last_ms": 1500}
        image = Image.open(io.BytesIO(jobs(tmp_path, [request])[0]["bytes"]))
        assert image.info["loop"] == 0 and image.n_frames == 4
        found, durations = frames_of(image, mode)
        assert durations == [40, 40, 40, 1500]
        for frame, picture in zip(found, pictures):
            assert np.array_equal(frame.reshape(picture.shape), picture)


def gif(tmp_path, pictures, ms=50, last_ms=2000):
    stored = [store(tmp_path, f"g{i}", p) for i, p in enumerate(pictures)]
    request = {"op": "gif", "frames": stored, "ms": ms, "last_ms": last_ms}
    return Image.open(io.BytesIO(jobs(tmp_path, [request])[0]["bytes"]))


def test_writes_gifs_that_pillow_plays(tmp_path):
    image = gif(tmp_path, [smooth(30, 40, 3) for _ in range(5)])
    assert image.info["loop"] == 0 and image.n_frames == 5 and image.size == (40, 30)
    assert frames_of(image, "RGB")[1] == [50, 50, 50, 50, 2000]


def test_gif_keeps_greys_and_few_colours_exactly(tmp_path):
    noise = RNG.integers(0, 256, (90, 120)).astype(np.uint8)  # more than 4096 codes: the table is cleared on the way
    flat = np.zeros((90, 120, 3), np.uint8)
    few = RNG.integers(0, 256, (200, 3)).astype(np.uint8)[RNG.integers(0, 200, (90, 120))]
    two = few[:1, :2][:, RNG.integers(0, 2, 90 * 120)].reshape(90, 120, 3)
    found, _ = frames_of(gif(tmp_path, [noise, flat, few, two, smooth(90, 120, 1)[..., 0]]), "RGB")
    assert np.array_equal(found[0], np.repeat(noise[..., None], 3, -1))
    for frame, picture in zip(found[1:4], (flat, few, two)):
        assert np.array_equal(frame, picture)


def test_gif_codes_grow_and_end_at_every_length(tmp_path):
    requests, expected = [], []
    for size in ((1, 1), (2, 3), (64, 65), (255, 16), (256, 17), (300, 200)):
        for levels in (1, 2, 3, 4, 5, 16, 17, 128, 129, 256):
            grey = (np.arange(size[0] * size[1]) * 7919 % levels).astype(np.uint8).reshape(size)
            colour = np.stack([grey, 255 - grey, grey // 2], -1)
            stored = [store(tmp_path, f"{size[0]}_{levels}_{p.ndim}", p) for p in (colour, grey)]
            requests.append({"op": "gif", "frames": stored, "ms": 50, "last_ms": 50})
            expected.append((colour, np.repeat(grey[..., None], 3, -1)))
    for result, pictures in zip(jobs(tmp_path, requests), expected):
        image = Image.open(io.BytesIO(result["bytes"]))
        found, _ = frames_of(image, "RGB")
        assert all(np.array_equal(frame, picture) for frame, picture in zip(found, pictures, strict=True))


def test_gif_colours_are_near_as_pillows(tmp_path):
    """Mean colours over 4x4 pixels, as the eye sees dithering: at most 1.2 times the error of Pillow's quantizer."""
    for path in PHOTOS:
        picture = np.array(Image.open(path).convert("RGB").resize((120, 90)))
        ours = frames_of(gif(tmp_path, [picture]), "RGB")[0][0]
        theirs = np.array(Image.fromarray(picture).quantize(256, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))
        blur = lambda p: p[:88].reshape(22, 4, 30, 4, 3).mean((1, 3))
        error = lambda p: np.sqrt(((blur(p) - blur(picture.astype(float))) ** 2).mean())
        assert error(ours) <= 1.2 * error(theirs) + 0.2, path.name


def make_grid(pictures, columns, padding=2):
    """The geometry of torchvision's make_grid."""
    n, c, h, w = pictures.shape
    if n == 1:
        return pictures[0]
    across = min(columns, n)
    sheet = np.zeros((c, (h + padding) * -(-n // across) + padding, (w + padding) * across + padding), pictures.dtype)
    for i, picture in enumerate(pictures):
        y, x = i // across * (h + padding) + padding, i % across * (w + padding) + padding
        sheet[:, y : y + h, x : x + w] = picture
    return sheet


@pytest.mark.parametrize(
    "shape, columns, padding",
    [((8, 3, 32, 32), 8, 2), ((7, 1, 5, 9), 3, 2), ((1, 3, 4, 4), 8, 2), ((5, 4, 6, 3), 9, 0)],
)
def test_tiles_samples_as_make_grid_with_the_pipelines_rounding(tmp_path, shape, columns, padding):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 0.8
    x.flatten()[:4] = torch.tensor([-1.0, 1.0, 0.0, 7.0])
    pipeline = ((x / 2 + 0.5).clamp(0, 1).numpy() * 255).round().astype("uint8")
    request = {"op": "grid", **store(tmp_path, "x", x.numpy()), "columns": columns, "padding": padding}
    result = jobs(tmp_path, [request])[0]
    assert np.array_equal(pixels(result), make_grid(pipeline, columns, padding).transpose(1, 2, 0))
    if shape == (8, 3, 32, 32):
        assert result["shape"] == [36, 274, 3]


def test_resizes_at_least_as_fast_as_pillow(tmp_path):
    """One core, 512x384 -> 64x48. The real ratio is above 1.5; 0.7 leaves room for a busy machine."""
    picture = smooth(384, 512, 3)
    image = Image.fromarray(picture)
    rates = []
    for _ in range(3):
        request = {"op": "time_resize", **store(tmp_path, "x", picture), "size": [64, 48], "count": 300}
        ours = jobs(tmp_path, [request])[0]["per_second"]
        start = time.perf_counter()
        for _ in range(300):
            image.resize((64, 48), Image.BILINEAR)
        rates.append(ours / (300 / (time.perf_counter() - start)))
    print(f"pictures a second, over Pillow's: {rates}")
    assert max(rates) > 0.7
