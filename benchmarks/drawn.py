"""Writes datasets of drawn pictures, and draws what they have in common: background, blur and noise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from boxwright.config import ANNOTATIONS_FILE, SPLITS

WIDTH, HEIGHT = 640, 480
SIZES = {"training": 240, "validation": 60, "test": 60}
OVERSAMPLE = 2
# Class index and `[xmin, ymin, xmax, ymax]` in pixels of each object.
Objects = list[tuple[int, list[float]]]
# Draws a picture by its random numbers and its number in the dataset.
Scene = Callable[[np.random.Generator, int], tuple[Image.Image, Objects]]


def write_set(folder: Path, scene: Scene, classes: Collection[str], stem: str, seed: int) -> Path:
    """Draws a dataset: a folder a split with images/ and annotations.json; one that is complete is used again."""
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    number = 0
    for split in SPLITS:
        (folder / split / "images").mkdir(parents=True)
        images, annotations = [], []
        for _ in range(SIZES[split]):
            number += 1
            picture, objects = scene(np.random.default_rng([seed, number]), number)
            name = f"{stem}_{number:04d}.jpg"
            picture.save(folder / split / "images" / name, quality=90)
            images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
            annotations += [{"image_id": number, "category_id": kind + 1, "bbox": box} for kind, box in objects]
        categories = [{"id": i, "name": name} for i, name in enumerate(classes, start=1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / split / ANNOTATIONS_FILE).write_text(json.dumps(content))
    (folder / "done").touch()
    return folder


def background(rng: np.random.Generator) -> Image.Image:
    """Soft colours and lines, `OVERSAMPLE` times as large as the picture will be."""
    size = (WIDTH * OVERSAMPLE, HEIGHT * OVERSAMPLE)
    coarse = rng.integers(30, 226, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(12):
        ends = (rng.random(4) * [*size, *size]).tolist()
        draw.line(ends, fill=colour(rng), width=int(rng.integers(2, 12)))
    return picture


def photographed(rng: np.random.Generator, picture: Image.Image, blur: float, noise: float) -> Image.Image:
    """The oversampled picture at its size, with blur of up to `blur` pixels and noise of up to `noise` levels."""
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, blur))))
    noisy = np.asarray(small, float) + rng.normal(0, rng.uniform(2, noise), (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def overlap(one: list[float], other: list[float]) -> float:
    """Shared area over the smaller area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return max(width, 0) * max(height, 0) / min(areas)


def colour(rng: np.random.Generator) -> tuple[int, ...]:
    """Any colour, as RGB."""
    return tuple(rng.integers(0, 256, 3).tolist())
