"""The zoo's anchors: a grid at each level of the pyramid."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from boxwright.model import AnchorGrid


def anchor_boxes(grid: AnchorGrid, image_size: int) -> NDArray[np.float32]:
    """All anchors of a square input, `(anchors, 4)` `[ymin, xmin, ymax, xmax]` in shares of it, not cut at its edge.

    They are ordered by level, row, column, shape and size. Their centres lie in the middle of a cell, unless the
    input's size is not a multiple of the level's stride: then they lie at its corner, as in the Object Detection API's
    `multiscale_grid_anchor_generator`.
    """
    levels = [_level(grid, 1 << level, image_size) for level in range(grid.min_level, grid.max_level + 1)]
    return (np.concatenate(levels) / image_size).astype(np.float32)


def _level(grid: AnchorGrid, stride: int, image_size: int) -> NDArray[np.float64]:
    places = np.arange(math.ceil(image_size / stride)) * stride + (0 if image_size % stride else stride / 2)
    sizes = grid.scale * stride * 2 ** (np.arange(grid.scales_per_octave) / grid.scales_per_octave)
    roots = np.sqrt(np.array(grid.aspect_ratios))
    heights = (sizes[None, :] * roots[:, None]).ravel()
    widths = (sizes[None, :] / roots[:, None]).ravel()
    y, x, half_height = np.meshgrid(places, places, heights / 2, indexing="ij")
    half_width = np.broadcast_to(widths / 2, half_height.shape)
    return np.stack([y - half_height, x - half_width, y + half_height, x + half_width], axis=-1).reshape(-1, 4)
