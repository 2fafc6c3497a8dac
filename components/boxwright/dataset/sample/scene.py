"""Draws one picture of the sample dataset: bolts, nuts and washers among clutter on a workbench.

Shapes are signed distances in pixels' ratio to the object's radius, so that any scale and rotation has smooth edges
without drawing at a higher resolution. Arrays are (height, width) or (height, width, 3), float32 in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Plane = NDArray[np.float32]
Shape = tuple[NDArray[np.floating], NDArray[np.floating]]
Window = tuple[slice, slice]

CLASSES = ("bolt", "nut", "washer")
# Below this share of its pixels in sight, an object is not annotated.
MIN_VISIBLE = 0.35
_MIN_SIDE = 6
_SCALE = (10.0, 60.0)
_METALS = ((0.70, 0.73, 0.77), (0.76, 0.70, 0.52), (0.79, 0.63, 0.33), (0.30, 0.31, 0.34), (0.70, 0.45, 0.33))
_SCRAPS = ((0.16, 0.16, 0.17), (0.66, 0.24, 0.18), (0.21, 0.36, 0.58), (0.72, 0.68, 0.60), (0.70, 0.73, 0.77))


@dataclass(frozen=True)
class Scene:
    """A picture and what is visible in it.

    Attributes:
        image: RGB picture.
        objects: (class index into `CLASSES`, (xmin, ymin, xmax, ymax)) of each object in sight, in pixels,
            with xmax and ymax exclusive.
    """

    image: Image.Image
    objects: tuple[tuple[int, tuple[int, int, int, int]], ...]


@dataclass(frozen=True)
class _Sprite:
    left: int
    top: int
    alpha: Plane
    shade: Plane
    rgb: NDArray[np.float32]


def draw_scene(rng: np.random.Generator, with_objects: bool = True) -> Scene:
    """Draws one scene of 320 x 240 to 480 x 360 pixels; without objects it holds clutter only."""
    height = int(rng.integers(240, 361))
    width = round(height * 4 / 3)
    light = float(rng.uniform(0, 2 * np.pi))
    canvas = _background(rng, height, width)
    # 0 is background, k is the k-th thing laid down; the last one laid down owns a pixel.
    owner = np.zeros((height, width), np.int16)
    kinds, areas = [-1], [0]
    things = [-1] * int(rng.integers(2, 8)) + [0] * int(rng.integers(1, 8) if with_objects else 0)
    camera = float(np.exp(rng.uniform(*np.log((_SCALE[0] * 1.1, _SCALE[1] / 1.1)))))
    spots: list[tuple[float, float, float]] = []
    for kind in rng.permutation(things):
        kind = int(rng.integers(len(CLASSES))) if kind == 0 else -1
        radius = float(np.clip(camera * rng.uniform(0.65, 1.5), *_SCALE))
        x, y = _place(rng, radius, height, width, spots)
        sprite = _sprite(rng, kind, radius, x, y, light)
        kinds.append(kind)
        areas.append(int((sprite.alpha > 0.5).sum()))
        _lay_down(canvas, owner, sprite, len(kinds) - 1, light, radius)
    return Scene(_photograph(rng, canvas), _visible(owner, kinds, areas))


def _place(
    rng: np.random.Generator, radius: float, height: int, width: int, spots: list[tuple[float, float, float]]
) -> tuple[float, float]:
    if spots and rng.random() < 0.35:
        # Leaning on an earlier thing: touching or partly over it.
        x, y, other = spots[int(rng.integers(len(spots)))]
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.65, 1.1) * (radius + other)
        x, y = x + reach * math.cos(angle), y + reach * math.sin(angle)
    else:
        x, y = rng.uniform(0, width), rng.uniform(0, height)
    x, y = float(np.clip(x, 2, width - 2)), float(np.clip(y, 2, height - 2))
    spots.append((x, y, radius))
    return x, y


def _visible(
    owner: NDArray[np.int16], kinds: list[int], areas: list[int]
) -> tuple[tuple[int, tuple[int, int, int, int]], ...]:
    found = []
    for number, (kind, area) in enumerate(zip(kinds, areas, strict=True)):
        mine = owner == number
        if kind < 0 or mine.sum() < max(1, MIN_VISIBLE * area):
            continue
        rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        if box[2] - box[0] >= _MIN_SIDE and box[3] - box[1] >= _MIN_SIDE:
            found.append((kind, box))
    return tuple(found)


# --- shapes: (u, v) in radii, the object's own axes -> (signed distance in radii, brightness) ---


def _bolt(u: Plane, v: Plane, rng: np.random.Generator) -> Shape:
    length, neck, shaft = 1.45, -0.95, float(rng.uniform(0.22, 0.3))
    head = np.maximum.reduce([np.abs(u - (neck - length) / 2) - (length + neck) / 2, np.abs(v) - 0.58])
    head = np.maximum(head, (np.abs(v) - u - length - 0.45) * 0.707)
    rod = np.maximum(np.abs(u - (length + neck) / 2) - (length - neck) / 2, np.abs(v) - shaft)
    thread_start, pitch = float(rng.uniform(neck, 0.1)), float(rng.uniform(0.16, 0.22))
    thread = np.where(u > thread_start, np.sin(2 * np.pi * (u + 0.25 * v) / pitch), 0.0)
    round_light = np.sqrt(np.clip(1 - (v / shaft) ** 2, 0, 1))
    facets = np.where(np.abs(v) < 0.28, 1.05, np.where(v < 0, 0.85, 0.62))
    return np.minimum(head, rod), np.where(u < neck, facets, 0.35 + 0.6 * round_light + 0.22 * thread)


def _nut(u: Plane, v: Plane, rng: np.random.Generator) -> Shape:
    radius, hole = np.hypot(u, v), float(rng.uniform(0.46, 0.56))
    hexagon = np.maximum.reduce([np.abs(u), np.abs(u / 2 + v * 0.866), np.abs(u / 2 - v * 0.866)]) - 0.866
    face = np.where(radius > 0.84, 0.72, 0.95 + 0.12 * np.cos(2 * np.arctan2(v, u)))
    return np.maximum(hexagon, hole - radius), np.where(radius < hole + 0.1, 0.5, face)


def _washer(u: Plane, v: Plane, rng: np.random.Generator) -> Shape:
    radius, hole = np.hypot(u, v), float(rng.uniform(0.4, 0.58))
    return np.maximum(radius - 1, hole - radius), 0.88 + 0.2 * np.cos(2 * np.arctan2(v, u))


def _slug(u: Plane, v: Plane, rng: np.random.Generator) -> Shape:
    radius = np.hypot(u, v)
    return radius - 0.9, np.where(np.abs(radius - 0.62) < 0.05, 0.7, 0.92 + 0.15 * np.cos(2 * np.arctan2(v, u)))


def _pin(u: Plane, v: Plane, rng: np.random.Generator) -> Shape:
    thick = float(rng.uniform(0.15, 0.3))
    return np.hypot(np.maximum(np.abs(u) - 1.1, 0), v) - thick, 0.4 + 0.6 * np.sqrt(np.clip(1 - (v / thick) ** 2, 0, 1))


def _gasket(u: Plane, v: Plane, rng: np.random.Generator) -> Shape:
    distance = np.abs(np.hypot(u, v) - 0.85) - 0.09
    return distance, np.full_like(u, 0.9)


def _plate(u: Plane, v: Plane, rng: np.random.Generator) -> Shape:
    box = np.maximum(np.abs(u) - 0.85, np.abs(v) - float(rng.uniform(0.5, 0.85)))
    return np.maximum(box, 0.25 - np.hypot(u, v)), 0.9 + 0.05 * np.sin(40 * v)


def _wire(u: Plane, v: Plane, rng: np.random.Generator) -> Shape:
    bent = v - float(rng.uniform(0.2, 0.45)) * np.sin(float(rng.uniform(1.5, 3.5)) * u)
    return np.maximum((np.abs(bent) - 0.08) * 0.8, np.abs(u) - 1.4), 1.1 - 4 * np.abs(bent)


# How far a shape and its shadow go from their centre, in radii, is given beside it.
_OBJECTS: tuple[tuple[Callable[..., Shape], float], ...] = ((_bolt, 1.7), (_nut, 1.2), (_washer, 1.2))
_CLUTTER: tuple[tuple[Callable[..., Shape], float], ...] = (
    (_slug, 1.1), (_pin, 1.5), (_gasket, 1.15), (_plate, 1.35), (_wire, 1.6)
)  # fmt: skip


def _sprite(rng: np.random.Generator, kind: int, radius: float, x: float, y: float, light: float) -> _Sprite:
    shape, reach = _OBJECTS[kind] if kind >= 0 else _CLUTTER[int(rng.integers(len(_CLUTTER)))]
    colours = _METALS if kind >= 0 or rng.random() < 0.4 else _SCRAPS
    half = int(np.ceil(radius * reach)) + 1
    left, top = int(x) - half, int(y) - half
    across = (np.arange(2 * half + 1, dtype=np.float32) + (left - x)) / radius
    down = (np.arange(2 * half + 1, dtype=np.float32) + (top - y))[:, None] / radius
    angle, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(0.78, 1.0)
    u = math.cos(angle) * across + math.sin(angle) * down
    v = (math.cos(angle) * down - math.sin(angle) * across) / tilt
    distance, brightness = shape(u, v, rng)
    slope_y, slope_x = np.gradient(distance, 1 / radius)
    bevel = np.exp(-np.abs(distance) / 0.07) * (slope_x * math.cos(light) + slope_y * math.sin(light))
    grime = _clouds(rng, len(distance), len(distance), 5) * rng.uniform(0, 0.5)
    colour = np.array(colours[int(rng.integers(len(colours)))], np.float32) * rng.uniform(0.8, 1.15)
    lit = (brightness + 0.35 * bevel) * (1 - grime)
    rgb = lit[..., None] * colour + grime[..., None] * np.array((0.16, 0.10, 0.05), np.float32)
    alpha = np.clip(0.5 - distance * radius, 0, 1).astype(np.float32)
    # A soft shadow is the same outline with an edge that fades over a fifth of the radius.
    shade = (0.5 * np.clip(0.5 - distance * min(radius / 2, 5), 0, 1)).astype(np.float32)
    return _Sprite(left, top, alpha, shade, rgb)


def _lay_down(
    canvas: NDArray[np.float32], owner: NDArray[np.int16], sprite: _Sprite, number: int, light: float, radius: float
) -> None:
    offset = 1 + radius / 9
    shifted = (sprite.left - round(offset * math.cos(light)), sprite.top - round(offset * math.sin(light)))
    window, part = _overlap(owner.shape, sprite.shade.shape, *shifted)
    canvas[window] *= 1 - sprite.shade[part][..., None]
    window, part = _overlap(owner.shape, sprite.alpha.shape, sprite.left, sprite.top)
    alpha = sprite.alpha[part][..., None]
    canvas[window] += alpha * (sprite.rgb[part] - canvas[window])
    owner[window][sprite.alpha[part] > 0.5] = number


def _overlap(canvas: tuple[int, ...], part: tuple[int, ...], left: int, top: int) -> tuple[Window, Window]:
    rows = slice(max(top, 0), max(min(top + part[0], canvas[0]), 0))
    columns = slice(max(left, 0), max(min(left + part[1], canvas[1]), 0))
    inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    return (rows, columns), inner


# --- ground, light and camera ---


def _clouds(rng: np.random.Generator, height: int, width: int, cells: int, stretch: float = 1.0) -> Plane:
    """Smooth noise in [0, 1] with about `cells` blobs across, drawn out `stretch` times along the rows."""
    rows, columns = max(2, round(cells * stretch)), max(2, cells)
    coarse = Image.fromarray(rng.random((rows, columns), np.float32))
    return np.clip(np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32), 0, 1)


def _background(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    kind = int(rng.integers(5))
    colour = ((0.55, 0.40, 0.26), (0.20, 0.36, 0.31), (0.55, 0.54, 0.51), (0.58, 0.61, 0.64), (0.27, 0.31, 0.42))[kind]
    turned = bool(rng.random() < 0.5)
    if turned:
        height, width = width, height
    blobs, grain = _clouds(rng, height, width, 6), _clouds(rng, height, width, 150)
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    if kind == 0:  # wood: drawn-out grain, and joints between boards
        texture = 0.2 * blobs + 0.1 * grain + 0.7 * _clouds(rng, height, width, 5, stretch=24)
        texture = texture * np.where((rows + int(rng.integers(90))) % 95 < 2, 0.4, 1).astype(np.float32)
    elif kind == 1:  # cutting mat with a printed grid
        step = int(rng.integers(24, 40))
        texture = 0.3 * blobs + 0.2 * grain + 0.15 + 0.35 * ((rows % step == 0) | (columns % step == 0))
    elif kind == 2:  # concrete: speckled, with a few pores
        texture = 0.3 * blobs + 0.2 * _clouds(rng, height, width, 40) + 0.4 * grain - 0.6 * (grain > 0.97)
    elif kind == 3:  # brushed steel
        texture = 0.25 * blobs + 0.15 * grain + 0.4 * _clouds(rng, height, width, 3, stretch=100)
    else:  # cloth
        texture = 0.35 * blobs + 0.25 * grain + 0.15 + 0.12 * np.sin(rows * 1.6) * np.sin(columns * 1.6)
    tint = np.array(colour, np.float32) * rng.uniform(0.75, 1.15) + rng.normal(0, 0.015, 3).astype(np.float32)
    canvas: NDArray[np.float32] = (0.6 + 0.75 * (texture.T if turned else texture))[..., None] * tint
    return canvas


def _photograph(rng: np.random.Generator, canvas: NDArray[np.float32]) -> Image.Image:
    """Uneven light, defocus, sensor noise and 8-bit rounding, in the order a camera has them; uses `canvas` up."""
    height, width, _ = canvas.shape
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.4)
    across = np.linspace(-1, 1, width, dtype=np.float32) * math.cos(angle)
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * math.sin(angle)
    canvas *= (rng.uniform(0.8, 1.2) * (1 + strength * (across + down)))[..., None]
    canvas *= 255 * (1 + rng.normal(0, 0.025, 3).astype(np.float32))
    image = Image.fromarray(np.clip(canvas, 0, 255, out=canvas).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 1.3))))
    noise = rng.standard_normal((height, width, 1), np.float32)
    noise *= rng.uniform(1.5, 9)
    np.add(np.asarray(image), noise, out=canvas)
    return Image.fromarray(np.clip(canvas, 0, 255, out=canvas).astype(np.uint8))
