"""Every pixel of an image is in a tile, tiles overlap as they are told to, and small objects are whole in one."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from boxwright.images import Tiling, is_cut, windows
from boxwright.images.tiling import starts

SIZES = [(100, 100), (101, 100), (640, 480), (2048, 2048), (31, 1000), (1, 1)]
TILINGS = [Tiling(size=100, overlap=0.2), Tiling(size=64, overlap=0.0), Tiling(size=33, overlap=0.5)]


@pytest.mark.parametrize("pixels", SIZES)
@pytest.mark.parametrize("tiling", TILINGS, ids=str)
def test_tiles_cover_an_image_and_overlap_as_told(pixels: tuple[int, int], tiling: Tiling) -> None:
    whole, *tiles = windows(*pixels, tiling).tolist()
    assert whole == [0, 0, *pixels]
    assert (len(tiles) == 0) == (max(pixels) <= tiling.size)
    seen = np.zeros(pixels, bool)
    for ymin, xmin, ymax, xmax in tiles:
        assert (ymax - ymin, xmax - xmin) == tuple(min(side, tiling.size) for side in pixels)
        seen[ymin:ymax, xmin:xmax] = True
    assert seen.all() or not tiles
    for side in pixels:
        steps = np.diff(starts(side, tiling))
        assert not len(steps) or (steps.max() <= tiling.stride and steps.min() >= 1 and np.ptp(steps) <= 1)


def test_an_object_no_larger_than_the_overlap_is_whole_in_a_tile() -> None:
    tiling = Tiling(size=100, overlap=0.2)
    places = starts(1037, tiling)
    assert all(any(first <= x and x + 20 <= first + 100 for first in places) for x in range(1037 - 20 + 1))


def test_without_tiles_there_is_the_whole_alone() -> None:
    assert windows(300, 500, None).tolist() == [[0, 0, 300, 500]]


def test_a_box_is_cut_where_its_tile_ends_and_the_image_goes_on() -> None:
    boxes = np.array([[[0, 10, 20, 30], [50, 50, 99.5, 60], [40, 0.5, 50, 20], [40, 40, 60, 60]]], np.float32)
    low, high = np.array([[[0, 0]]], np.float32), np.array([[[100, 100]]], np.float32)
    assert is_cut(boxes, low, high, np.array([200, 100]))[0].any(-1).tolist() == [False, True, False, False]
    inner = is_cut(boxes + 100, low + 100, high + 100, np.array([200, 200]))
    assert inner[0].any(-1).tolist() == [True, False, True, False]


@pytest.mark.parametrize(("size", "overlap"), [(31, 0.2), (100, 0.51), (100, -0.1)])
def test_tiles_of_no_use_are_refused(size: int, overlap: float) -> None:
    with pytest.raises(ValidationError):
        Tiling(size=size, overlap=overlap)
