"""Numbers and shapes as tools write them: text for numbers, polygons, run-length masks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from boxwright.dataset.importing.source.records import BBox, BrokenError
from boxwright.errors import shorten

_LARGEST = 1e12
_LARGEST_SIDE = 65_535
_LARGEST_SHARE = 10


def number(value: Any, name: str = "a number") -> float:
    """A finite number, also where it is written as text; sums of some stay finite.

    Raises:
        BrokenError: it is not one.
    """
    if type(value) is float and -_LARGEST < value < _LARGEST:  # most are, in sets of a million boxes
        return value
    if not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            read = _read(value)
        except (ValueError, OverflowError):
            read = math.nan
        if abs(read) < _LARGEST:
            return read
    raise BrokenError(f"expected {name} as a finite number, got {shorten(value)}")


def _read(value: float | str) -> float:
    """As `float`, which takes 1_0 for 10."""
    if isinstance(value, str) and "_" in value:
        raise ValueError
    return float(value)


def share(value: Any, name: str = "a share of the image") -> float:
    """A number that can be a share of width or height, also of an object over the edge.

    Raises:
        BrokenError: it is not a number, or far from 0 to 1, as pixels are.
    """
    read = number(value, name)
    if abs(read) > _LARGEST_SHARE:
        raise BrokenError(f"expected {name} from 0 to 1, got {shorten(value)}; pixels?")
    return read


def whole(value: Any) -> int | None:
    """An integer, also as text or with a zero fraction; None where it is not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        read = _read(value) if isinstance(value, float | str) else math.nan
    except ValueError:
        return None
    return int(read) if math.isfinite(read) and read == int(read) else None


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """Width and height in pixels; None where they are missing, zero or no numbers."""
    sides = whole(width), whole(height)
    if sides[0] is None or sides[1] is None:
        return None
    return (sides[0], sides[1]) if all(0 < side <= _LARGEST_SIDE for side in sides if side is not None) else None


def corners(x: float, y: float, width: float, height: float) -> BBox:
    """(xmin, ymin, xmax, ymax) of a corner and a size."""
    return x, y, x + width, y + height


def around(points: Iterable[Any]) -> BBox:
    """The box around points, given one after the other as x, y, x, y.

    Raises:
        BrokenError: they are not at least two points of finite numbers.
    """
    values = [number(value, "a coordinate") for value in points]
    if len(values) < 4 or len(values) % 2:
        raise BrokenError(f"expected pairs of coordinates, got {len(values)} numbers")
    xs, ys = values[::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def around_rotated(x: float, y: float, width: float, height: float, degrees: float) -> BBox:
    """The box around one with a centre and a size that is turned about its centre."""
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    across, down = width * cos + height * sin, width * sin + height * cos
    return x - across / 2, y - down / 2, x + across / 2, y + down / 2


def around_ellipse(x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0) -> BBox:
    """The box around an ellipse with a centre and two radii that is turned about its centre."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    across, down = math.hypot(radius_x * cos, radius_y * sin), math.hypot(radius_x * sin, radius_y * cos)
    return x - across, y - down, x + across, y + down


def around_all(boxes: Sequence[BBox]) -> BBox:
    """The box around boxes."""
    return (
        min(box[0] for box in boxes), min(box[1] for box in boxes), max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )  # fmt: skip


def around_mask(mask: Any) -> BBox | None:
    """The box around COCO's run-length mask, in pixels; None where no pixel is set.

    The runs go down the columns and begin with what is not set. As text they are packed as pycocotools' maskApi.c
    says: six bits a character, and from the third run on the difference from the run before the last.

    Raises:
        BrokenError: it is not such a mask.
    """
    sides = mask.get("size") if isinstance(mask, dict) else None
    size = size_of(*reversed(sides)) if isinstance(sides, list) and len(sides) == 2 else None
    if size is None:
        raise BrokenError(f"expected a mask with counts and size, got {shorten(mask)}")
    width, height = size
    counts = mask.get("counts")
    runs = _unpacked(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or any(isinstance(run, bool) or not isinstance(run, int) or run < 0 for run in runs):
        raise BrokenError(f"expected a mask with runs of pixels, got {shorten(counts)}")
    if sum(runs) != width * height:
        raise BrokenError(f"expected a mask of {width} x {height} pixels, got runs of {shorten(sum(runs))}")
    return _around_runs(runs, height)


def _around_runs(runs: list[int], height: int) -> BBox | None:
    found: list[BBox] = []
    start = 0
    for position, run in enumerate(runs):
        if position % 2 and run:
            last = start + run - 1
            left, right = start // height, last // height
            top, bottom = (start % height, last % height) if left == right else (0, height - 1)
            found.append((left, top, right + 1, bottom + 1))
        start += run
    return around_all(found) if found else None


def _unpacked(text: str) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise BrokenError(f"expected a mask's counts, got the character {shorten(character)}")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise BrokenError("expected a mask's counts, got text that ends in the middle of a run")
    return runs
