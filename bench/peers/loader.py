"""From a picture file to the network's input on one core, as bench/loader_bench.cpp: Pillow and the steps that torchvision's transforms
take with it (Resize, CenterCrop, ToTensor, Normalize), and the datasets library, whose Image feature decodes for train_unconditional.py.

    python bench/peers/loader.py tests/data/cat.jpg tests/data/brick.jpg tests/data/gravel.png tests/data/rocket.webp
"""
import io
import pathlib
import sys
import time

import numpy as np
from PIL import Image

SIDE = 64


def transform(picture):
    width, height = picture.size
    new = (SIDE, SIDE * height // width) if width <= height else (SIDE * width // height, SIDE)
    picture = picture.resize(new, Image.BILINEAR)
    left, top = round((new[0] - SIDE) / 2), round((new[1] - SIDE) / 2)
    pixels = np.asarray(picture.crop((left, top, left + SIDE, top + SIDE)))
    return (np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32) / 255 - 0.5) / 0.5


def with_pillow(data):
    return lambda: transform(Image.open(io.BytesIO(data)).convert("RGB"))


def with_datasets(data):
    import datasets

    column = datasets.Dataset.from_dict({"image": [{"bytes": data, "path": None}]}, features=datasets.Features({"image": datasets.Image()}))
    return lambda: transform(column[0]["image"].convert("RGB"))


def pictures_a_second(function, seconds=1.0):
    """Of processor time, the best of five turns."""
    function()
    best = 0
    for _ in range(5):
        start, count = time.process_time(), 0
        while time.process_time() - start < seconds / 5:
            function()
            count += 1
        best = max(best, count / (time.process_time() - start))
    return best


if __name__ == "__main__":
    for path in map(pathlib.Path, sys.argv[1:]):
        data = path.read_bytes()
        print(f"{path.name:<14} Pillow {pictures_a_second(with_pillow(data)):8.0f} pictures/s   "
              f"datasets {pictures_a_second(with_datasets(data)):8.0f} pictures/s")
