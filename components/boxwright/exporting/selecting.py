"""From candidates to detections by NumPy, as `boxwright.model.suppress` does it in TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.exporting.facts import Choice
from boxwright.model import COMPARED_RANGE, SOFT_PAIRS, SOFT_SIGMA

# Pairs of place and class that are held against each other at once: their table of overlaps stays in the fastest cache.
_CHUNK = 64
Floats = NDArray[np.float32]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Selected:
    """Detections in one image, best first.

    Attributes:
        boxes: `(n, 4)`, `[ymin, xmin, ymax, xmax]` in [0, 1] of the image.
        scores: `(n,)`.
        classes: `(n,)`, 0-based.
    """

    boxes: Floats
    scores: Floats
    classes: Indices


@dataclass(frozen=True)
class _Pairs:
    """Places with one class each, best first."""

    boxes: Floats
    scores: Floats
    classes: Indices


def select(boxes: Floats, scores: Floats, extent: Floats, choice: Choice) -> Selected:
    """Chooses the detections of one image.

    Args:
        boxes: `(n, 4)`, in shares of the network's square input.
        scores: `(n, classes)`.
        extent: `(2,)`, share of the square that the image covers, `(height, width)`.
        choice: how.
    """
    pairs = _pairs(boxes, scores, choice)
    if choice.nms == "soft":
        found = _softened(pairs, choice)
    elif choice.nms == "none":
        found = _rows(pairs, np.arange(min(choice.max_detections, len(pairs.scores))))
    else:
        found = _rows(pairs, np.array(list(_surviving(pairs, extent, choice)), np.intp))
    return Selected(cut(found.boxes, extent), found.scores, found.classes)


def _pairs(boxes: Floats, scores: Floats, choice: Choice) -> _Pairs:
    """The candidates that compete: of the best places, each class whose score counts, or the best class alone."""
    if choice.candidates is not None and len(scores) > choice.candidates:
        best = np.argpartition(-scores.max(axis=1), choice.candidates - 1)[: choice.candidates]
        boxes, scores = boxes[best], scores[best]
    if choice.nms == "agnostic":
        classes = scores.argmax(axis=1)
        values = scores[np.arange(len(scores)), classes]
        places = np.flatnonzero(values > choice.score_threshold)
        values, classes = values[places], classes[places]
    else:
        places, classes = np.nonzero(scores > choice.score_threshold)
        values = scores[places, classes]
    order = np.argsort(-values, kind="stable")
    return _Pairs(boxes[places[order]], values[order], classes[order])


def _surviving(pairs: _Pairs, extent: Floats, choice: Choice) -> Iterator[int]:
    """Greedy suppression from the best pair down: the places in `pairs` of those that are left."""
    compared = pairs.boxes.astype(np.float64)
    if choice.nms == "per_class":
        # Boxes of different classes are moved so far apart that they never overlap.
        compared += pairs.classes[:, None] * 2 * (np.abs(compared).max(initial=0) + 1)
    else:
        compared = np.clip(compared, *COMPARED_RANGE)
    kept: list[int] = []
    found = 0
    for start in range(0, len(compared), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(compared)))
        # Of a later chunk few are left, so that few are held against each other.
        rows = rows[~np.any(overlaps(compared[rows], compared[kept]) > choice.iou_threshold, axis=1)]
        beside = overlaps(compared[rows], compared[rows]) > choice.iou_threshold
        gone = np.zeros(len(rows), bool)
        for place, row in enumerate(rows.tolist()):
            if gone[place]:
                continue
            gone |= beside[place]
            kept.append(row)
            if choice.needs_area and not _has_area(pairs.boxes[row], extent):
                continue
            yield row
            found += 1
            if found == choice.max_detections:
                return


def _softened(pairs: _Pairs, choice: Choice) -> _Pairs:
    """Scores fall by the overlap with better boxes of the same class: arxiv.org/abs/1704.04503."""
    pairs = _rows(pairs, np.arange(min(SOFT_PAIRS, len(pairs.scores))))
    compared = np.clip(pairs.boxes, *COMPARED_RANGE)
    scores, left = pairs.scores.copy(), np.ones(len(pairs.scores), bool)
    kept: list[int] = []
    values: list[np.float32] = []
    while len(kept) < choice.max_detections and left.any():
        best = int(np.where(left, scores, -1).argmax())
        if scores[best] <= choice.score_threshold:
            break
        kept.append(best)
        values.append(scores[best])
        left[best] = False
        shared = overlaps(compared, compared[best : best + 1])[:, 0] * (pairs.classes == pairs.classes[best])
        scores *= np.exp(-0.5 * shared**2 / SOFT_SIGMA)
    found = _rows(pairs, np.array(kept, np.intp))
    return _Pairs(found.boxes, np.array(values, np.float32), found.classes)


def overlaps(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of boxes `(n, 4)` and `(m, 4)`: `(n, m)`."""
    common = intersections(one, other)
    areas, others = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other))
    union = areas[:, None] + others[None] - common
    shares: NDArray[Any] = np.where(common > 0, common / np.maximum(union, 1e-12), 0)
    return shares


def intersections(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Areas that boxes `(n, 4)` and `(m, 4)` share: `(n, m)`."""
    # Side by side: an array whose last axis has two numbers takes NumPy several times as long.
    ymin, xmin, ymax, xmax = one.T[:, :, None]
    ymins, xmins, ymaxes, xmaxes = np.ascontiguousarray(other.T)
    height = np.minimum(ymax, ymaxes) - np.maximum(ymin, ymins)
    width = np.minimum(xmax, xmaxes) - np.maximum(xmin, xmins)
    areas: NDArray[Any] = np.maximum(height, 0) * np.maximum(width, 0)
    return areas


def _rows(pairs: _Pairs, rows: Indices) -> _Pairs:
    return _Pairs(pairs.boxes[rows], pairs.scores[rows], pairs.classes[rows])


def cut(boxes: Floats, extent: Floats) -> Floats:
    """Boxes in shares of the square input as those in shares of the image, cut at its edge."""
    shares: Floats = np.clip(boxes / np.tile(extent, 2), 0, 1).astype(np.float32)
    return shares


def _has_area(box: Floats, extent: Floats) -> bool:
    inside = cut(box, extent)
    return bool((inside[2:] > inside[:2]).all())
