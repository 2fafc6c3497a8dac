"""A made-up dataset unlike the others that detectors are measured on: few, large, flat signs of eight classes.

Pictures are 640 x 480, boxes a fifth to three fifths of their picture's height; the sample set has boxes of 6 to 120
pixels in 320 to 480 pixels, three classes, up to seven in a picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.drawn import HEIGHT, OVERSAMPLE, WIDTH, background, colour, overlap, photographed, write_set

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
    """Draws the dataset; one that is complete is used again."""
    return write_set(folder, _scene, SHAPES, "sign", seed)


def _scene(rng: np.random.Generator, _: int) -> tuple[Image.Image, list[tuple[int, list[float]]]]:
    picture = background(rng)
    draw = ImageDraw.Draw(picture)
    boxes: list[tuple[int, list[float]]] = []
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(len(SHAPES)))
        points = _placed(rng, list(SHAPES.values())[kind]())
        box = [*points.min(0), *points.max(0)]
        if all(overlap(box, other) < _LARGEST_OVERLAP for _, other in boxes):
            boxes.append((kind, [round(float(side), 2) for side in box]))
            draw.polygon((points * OVERSAMPLE).ravel().tolist(), fill=colour(rng), outline=colour(rng), width=6)
    return photographed(rng, picture, blur=1.5, noise=14), boxes


def _placed(rng: np.random.Generator, points: Points) -> np.ndarray:
    """Turned by up to thirty degrees, scaled and moved into the picture; in its pixels."""
    radius = HEIGHT * float(rng.uniform(*_RADIUS))
    angle = math.radians(float(rng.uniform(-30, 30)))
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    placed = np.array(points) @ turn * radius * [float(rng.uniform(0.75, 1.3)), 1.0]
    low, high = -placed.min(0), [WIDTH, HEIGHT] - placed.max(0)
    return placed + rng.uniform(low, high)
