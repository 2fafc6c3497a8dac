"""Detections in the windows of an image merged into those of the image, by NumPy, as `boxwright.model.look` does it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from boxwright.exporting.selecting import Selected, intersections
from boxwright.images import CUT_WEIGHT, MERGED_OVERLAP, MOST_COMPARED, is_cut


def merge(
    found: Sequence[Selected], places: NDArray[np.int64], pixels: tuple[int, int], within_class: bool, limit: int
) -> Selected:
    """Counts once what several windows show.

    Args:
        found: detections in each window, in shares of it.
        places: the windows, `(n, 4)`, `[ymin, xmin, ymax, xmax]` in pixels.
        pixels: height and width of the image.
        within_class: whether boxes of different classes leave each other alone.
        limit: detections that are left at most.
    """
    shown = np.array(pixels, np.float32)
    low, high = (places[:, None, part].astype(np.float32) for part in (slice(0, 2), slice(2, 4)))
    moved = [np.tile(a, 2) + one.boxes * np.tile(b - a, 2) for one, a, b in zip(found, low, high, strict=True)]
    cuts = [is_cut(one[None], a[None], b[None], shown)[0].any(-1) for one, a, b in zip(moved, low, high, strict=True)]
    boxes, cut = np.concatenate(moved), np.concatenate(cuts)
    scores, classes = np.concatenate([one.scores for one in found]), np.concatenate([one.classes for one in found])
    of_window = np.repeat(np.arange(len(found)), [len(one.scores) for one in found])
    rank = scores * np.where(cut, np.float32(CUT_WEIGHT), np.float32(1))
    best = np.argsort(-rank, kind="stable")[:MOST_COMPARED]
    names = classes if within_class else np.zeros_like(classes)
    kept = best[_surviving(boxes[best], names[best], cut[best], of_window[best], limit)]
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    shares = np.clip(boxes[kept] / np.tile(shown, 2), 0, 1).astype(np.float32)
    return Selected(shares, scores[kept], classes[kept])


def _surviving(
    boxes: NDArray[np.float32],
    names: NDArray[np.intp],
    cut: NDArray[np.bool_],
    of_window: NDArray[np.intp],
    limit: int,
) -> NDArray[np.intp]:
    """Rows of those that no better one of another window and the same name shows too; the best come first."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    left = np.ones(len(boxes), bool)
    kept: list[int] = []
    for row in range(len(boxes)):
        if not left[row]:
            continue
        kept.append(row)
        if len(kept) == limit:
            break
        common = intersections(boxes[row : row + 1], boxes)[0]
        shares = common / np.maximum(areas[row] + areas - common, 1e-6)
        shares = np.maximum(shares, np.where(cut, common / np.maximum(areas, 1e-6), 0))
        left &= ~((shares > MERGED_OVERLAP) & (of_window != of_window[row]) & (names == names[row]))
    return np.array(kept, np.intp)
