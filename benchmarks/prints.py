"""A made-up dataset of look-alike classes: cards of one outline that differ only by what is printed on them.

Pictures are 640 x 480. A card's long side is a tenth to a third of its picture's height, and a card lies at any angle,
so that its colours, its outline and the shape of its box say nothing of its class. Between them lie cards without a
print, which are of no class.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont

from benchmarks.drawn import HEIGHT, OVERSAMPLE, WIDTH, background, colour, overlap, photographed, write_set

_LONG_SIDE = (0.1, 0.27, 1 / 3)  # of the picture's height: the least, the most frequent, the largest
_LARGEST_OVERLAP = 0.05
_LEAST_CONTRAST = 110
_LUMA = np.array([0.299, 0.587, 0.114])
_HALF_WIDTH, _CORNER = 0.8, 0.25  # of a card from -1 to 1 along its long side
_STENCIL = 256  # pixels across the card's long side, in the picture its print is first drawn into
_PIP = 0.22

Points = list[tuple[float, float]]


def _disc(radius: float, x: float, y: float) -> Points:
    turns = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    return list(zip(x + radius * np.cos(turns), y + radius * np.sin(turns), strict=True))


def _heart(scale: float, middle: float) -> Points:
    """Its point is down; it is up where the scale is negative."""
    turns = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    height = sum(factor * np.cos(n * turns) for n, factor in enumerate((13, -5, -2, -1), start=1))
    return list(zip(scale * np.sin(turns) ** 3, middle - scale * height / 16, strict=True))


PRINTS: dict[str, str | list[Points]] = {
    "one_pip": [_disc(_PIP, 0, 0)],
    "two_pips": [_disc(_PIP, 0, -0.42), _disc(_PIP, 0, 0.42)],
    "three_pips": [_disc(_PIP, 0, -0.48), _disc(_PIP, -0.4, 0.32), _disc(_PIP, 0.4, 0.32)],
    "four_pips": [_disc(_PIP, x, y) for x in (-0.37, 0.37) for y in (-0.45, 0.45)],
    "digit_seven": "7",
    "letter_k": "K",
    "heart": [_heart(0.6, -0.05)],
    "spade": [_heart(-0.55, -0.15), [(0, 0), (-0.3, 0.75), (0.3, 0.75)]],
    "corner_notch": [_disc(0.75, _HALF_WIDTH, -1)],
    "side_notch": [_disc(0.5, _HALF_WIDTH, 0)],
}


def prints(folder: Path, seed: int = 0) -> Path:
    """Draws the dataset; one that is complete is used again."""
    return write_set(folder, lambda rng, number: _scene(rng, number % len(PRINTS)), PRINTS, "print", seed)


def _scene(rng: np.random.Generator, first: int) -> tuple[Image.Image, list[tuple[int, list[float]]]]:
    """A picture of one to four cards, the first of the class given, and up to two without a print."""
    picture = background(rng)
    boxes: list[tuple[int | None, list[float]]] = []
    others = rng.integers(len(PRINTS), size=int(rng.integers(0, 4))).tolist()
    for kind in [first, *others, *[None] * int(rng.integers(0, 3))]:
        centre, turn = _placing(rng)
        while any(overlap(_box(centre, turn), other) > _LARGEST_OVERLAP for _, other in boxes):
            centre, turn = _placing(rng)
        boxes.append((kind, _box(centre, turn)))
        _draw_card(rng, picture, kind, centre, turn)
    printed = [(kind, box) for kind, box in boxes if kind is not None]
    return photographed(rng, picture, blur=1, noise=10), printed


def _placing(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A card's centre in the picture's pixels, and the matrix that turns and scales it."""
    scale = HEIGHT * float(rng.triangular(*_LONG_SIDE)) / 2
    angle = float(rng.uniform(0, 2 * math.pi))
    turn = scale * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    reach = (_outline() @ turn).max(0)
    return rng.uniform(reach, [WIDTH, HEIGHT] - reach), turn


def _box(centre: np.ndarray, turn: np.ndarray) -> list[float]:
    reach = (_outline() @ turn).max(0)
    return [round(float(side), 2) for side in (*(centre - reach), *(centre + reach))]


def _draw_card(
    rng: np.random.Generator, picture: Image.Image, kind: int | None, centre: np.ndarray, turn: np.ndarray
) -> None:
    card, ink = colour(rng), colour(rng)
    while abs(np.subtract(card, ink) @ _LUMA) < _LEAST_CONTRAST:
        card, ink = colour(rng), colour(rng)
    points = (_outline() @ turn + centre) * OVERSAMPLE
    draw = ImageDraw.Draw(picture)
    draw.polygon(points.ravel().tolist(), fill=card)
    if kind is not None:
        # The inverse of the card's placing: where in the stencil each of the picture's pixels lies.
        back = np.linalg.inv(turn).T * _STENCIL / 2
        start = _on_stencil(np.zeros(2)) - back @ centre
        values = np.column_stack([back / OVERSAMPLE, start]).ravel().tolist()
        mask = _stencil(kind).transform(
            picture.size, Image.Transform.AFFINE, values, resample=Image.Resampling.BICUBIC, fillcolor=0
        )
        picture.paste(ink, mask=mask)
    draw.polygon(points.ravel().tolist(), outline=colour(rng), width=4)


def _stencil(kind: int) -> Image.Image:
    """The print in white on black, upright, without what would lie beyond the card."""
    card, ink = (Image.new("L", (_STENCIL, _STENCIL)) for _ in range(2))
    ImageDraw.Draw(card).polygon(_on_stencil(_outline()).ravel().tolist(), fill=255)
    draw, shape = ImageDraw.Draw(ink), list(PRINTS.values())[kind]
    if isinstance(shape, str):
        font, bold = ImageFont.load_default(size=0.75 * _STENCIL), 0.03 * _STENCIL
        left, top, right, bottom = draw.textbbox((0, 0), shape, font=font, stroke_width=bold)
        corner = ((_STENCIL - left - right) / 2, (_STENCIL - top - bottom) / 2)
        draw.text(corner, shape, fill=255, font=font, stroke_width=bold)
    else:
        for points in shape:
            draw.polygon(_on_stencil(np.array(points)).ravel().tolist(), fill=255)
    return ImageChops.multiply(card, ink)


def _outline() -> np.ndarray:
    """The one outline of all cards: a rectangle with round corners, from -1 to 1 along its long side."""
    turns = np.linspace(0, math.pi / 2, 8)
    arc = _CORNER * np.column_stack([np.cos(turns), np.sin(turns)]) + [_HALF_WIDTH - _CORNER, 1 - _CORNER]
    return np.concatenate([arc, arc[::-1] * [-1, 1], -arc, arc[::-1] * [1, -1]])


def _on_stencil(points: np.ndarray) -> np.ndarray:
    return (points + 1) * _STENCIL / 2
