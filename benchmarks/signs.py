"""A made-up dataset unlike the others that detectors are measured on: few, large, flat signs of eight classes.

Pictures are 640 x 480, boxes a fifth to three fifths of their picture's height; the sample set has boxes of 6 to 120
pixels in 320 to 480 pixels, three classes, up to seven in a picture.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from boxwright.config import ANNOTATIONS_FILE, SPLITS

WIDTH, HEIGHT = 640, 480
SIZES = {"training": 240, "validation": 60, "test": 60}
_OVERSAMPLE = 2
_RADIUS = (0.1, 0.3)
_LARGEST_OVERLAP = 0.3

Points = list[tuple[float, float]]


def _polygon(corners: int, inner: float = 1.0) -> Callable[[], Points]:
    def points() -> Points:
        count = corners * (1 if inner == 1.0 else 2)
        radii = [1.0 if i % 2 == 0 else inner for i in range(count)] if inner != 1.0 else [1.0] * count
        return [
            (r * math.sin(2 * math.pi * i / count), -r * math.cos(2 * math.pi * i / count)) for i, r in enumerate(radii)
        ]

    return points


def _outline(*points: tuple[float, float]) -> Callable[[], Points]:
    return lambda: list(points)


SHAPES: dict[str, Callable[[], Points]] = {
    "disc": _polygon(48),
    "triangle": _polygon(3),
    "square": _polygon(4),
    "pentagon": _polygon(5),
    "star": _polygon(5, 0.42),
    "gear": _polygon(9, 0.72),
    "cross": _outline(
        (-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3),
        (0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3),
    ),
    "arrow": _outline((0, -1), (0.8, -0.1), (0.3, -0.1), (0.3, 1), (-0.3, 1), (-0.3, -0.1), (-0.8, -0.1)),
}  # fmt: skip


def signs(folder: Path, seed: int = 0) -> Path:
    """Draws the dataset: a folder a split with images/ and annotations.json; one that is complete is used again."""
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    number = 0
    for split in SPLITS:
        (folder / split / "images").mkdir(parents=True)
        images, annotations = [], []
        for _ in range(SIZES[split]):
            number += 1
            picture, boxes = _scene(np.random.default_rng([seed, number]))
            name = f"sign_{number:04d}.jpg"
            picture.save(folder / split / "images" / name, quality=90)
            images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
            annotations += [{"image_id": number, "category_id": kind + 1, "bbox": box} for kind, box in boxes]
        categories = [{"id": i, "name": name} for i, name in enumerate(SHAPES, start=1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / split / ANNOTATIONS_FILE).write_text(json.dumps(content))
    (folder / "done").touch()
    return folder


def _scene(rng: np.random.Generator) -> tuple[Image.Image, list[tuple[int, list[float]]]]:
    size = (WIDTH * _OVERSAMPLE, HEIGHT * _OVERSAMPLE)
    coarse = rng.integers(30, 226, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(12):
        ends = (rng.random(4) * [*size, *size]).tolist()
        draw.line(ends, fill=_colour(rng), width=int(rng.integers(2, 12)))
    boxes: list[tuple[int, list[float]]] = []
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(len(SHAPES)))
        points = _placed(rng, list(SHAPES.values())[kind]())
        box = [*points.min(0), *points.max(0)]
        if all(_overlap(box, other) < _LARGEST_OVERLAP for _, other in boxes):
            boxes.append((kind, [round(float(side), 2) for side in box]))
            draw.polygon((points * _OVERSAMPLE).ravel().tolist(), fill=_colour(rng), outline=_colour(rng), width=6)
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX).filter(
        ImageFilter.GaussianBlur(float(rng.uniform(0, 1.5)))
    )
    noisy = np.asarray(small, float) + rng.normal(0, rng.uniform(2, 14), (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)), boxes


def _placed(rng: np.random.Generator, points: Points) -> np.ndarray:
    """Turned by up to thirty degrees, scaled and moved into the picture; in its pixels."""
    radius = HEIGHT * float(rng.uniform(*_RADIUS))
    angle = math.radians(float(rng.uniform(-30, 30)))
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    placed = np.array(points) @ turn * radius * [float(rng.uniform(0.75, 1.3)), 1.0]
    low, high = -placed.min(0), [WIDTH, HEIGHT] - placed.max(0)
    return placed + rng.uniform(low, high)


def _overlap(one: list[float], other: list[float]) -> float:
    """Shared area over the smaller area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return max(width, 0) * max(height, 0) / min(areas)


def _colour(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(rng.integers(0, 256, 3).tolist())
