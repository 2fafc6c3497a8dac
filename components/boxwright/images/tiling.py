"""Tiles: windows of an image that a detector looks at one by one, beside the whole. Knows no TensorFlow.

The same windows are cut for training (`boxwright.training`), looked at within a TensorFlow graph (`boxwright.model`)
and around an exported network (`boxwright.exporting`); what they have in common stands here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from boxwright.config import LARGEST_OVERLAP, SMALLEST_TILE, Frozen

# A window's box that ends within this share of the window from a side where the image goes on is perhaps cut off there.
EDGE = 0.02
# Such a box gives way to any of another window that covers it, unless its score is more than so many times as high.
CUT_WEIGHT = 0.5
# Overlap from which one of two boxes of different windows goes; of a box that is cut off, the share that is covered.
MERGED_OVERLAP = 0.5
# The best boxes of all windows that are held against each other.
MOST_COMPARED = 2000


class Tiling(Frozen):
    """The tiles of an image.

    Attributes:
        size: height and width in pixels of the image; where the image has fewer, the tile ends with it.
        overlap: least share of a tile that the next one in the row or column shows too.
    """

    size: int = Field(ge=SMALLEST_TILE, le=100_000)
    overlap: float = Field(ge=0, le=LARGEST_OVERLAP)

    @property
    def stride(self) -> int:
        """Most pixels from a tile to the next one."""
        return max(1, self.size - round(self.size * self.overlap))


def starts(side: int, tiling: Tiling) -> list[int]:
    """First pixels of the tiles along a side of an image, evenly spread from its one end to the other."""
    if side <= tiling.size:
        return [0]
    last = -(-(side - tiling.size) // tiling.stride)
    return [number * (side - tiling.size) // last for number in range(last + 1)]


def windows(height: int, width: int, tiling: Tiling | None) -> NDArray[np.int64]:
    """What is looked at of an image: the whole, and its tiles row by row where there is more than one.

    Returns:
        `(n, 4)`, `[ymin, xmin, ymax, xmax]` in pixels.
    """
    whole = [(0, 0, height, width)]
    if tiling is None or max(height, width) <= tiling.size:
        return np.array(whole)
    size = tiling.size
    tiles = [
        (y, x, min(y + size, height), min(x + size, width))
        for y in starts(height, tiling)
        for x in starts(width, tiling)
    ]
    return np.array(whole + tiles)


def is_cut(boxes: Any, low: Any, high: Any, pixels: Any) -> Any:
    """Whether boxes end where their windows do, and the image does not. For NumPy and TensorFlow alike.

    Args:
        boxes: `(n, boxes, 4)`, `[ymin, xmin, ymax, xmax]` in pixels of the image.
        low: `(n, 1, 2)`, `[ymin, xmin]` of the windows.
        high: `(n, 1, 2)`, `[ymax, xmax]` of them.
        pixels: `(2,)`, height and width of the image.

    Returns:
        `(n, boxes, 2)`: in either direction.
    """
    edge = (high - low) * EDGE
    before = (low > 0) & (boxes[..., :2] - low < edge)
    after = (high < pixels) & (high - boxes[..., 2:] < edge)
    return before | after
