"""The score from which a detector's answers are worth most: that of the largest F1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluation.detections import Detections, Truth

MATCH_IOU = 0.5
# Thresholds that are tried lie a thousandth apart, as scores are shown.
STEPS = 1000


def best_threshold(
    truth: Truth, detections: Detections, boxes: NDArray[np.int64], tables: dict[str, Any]
) -> float | None:
    """The threshold with the largest F1 at IoU 0.5, as a mean over the classes that have boxes.

    COCO's tables know for each class at which score a recall is reached, in steps of 0.01. That bounds F1 at every
    threshold from both sides, so that the exact F1 is needed for few of them, and for few detections.

    Args:
        truth: the ground truth.
        detections: all that was found.
        boxes: of each class, crowds left out, `(classes,)`.
        tables: of an accumulated evaluation of them by COCO's parameters.

    Returns:
        None where no detection is right.
    """
    asked = np.flatnonzero(boxes)
    if not len(asked) or not len(detections):
        return None
    found = _counts(detections, len(boxes))
    fewest, most = _bounds(tables, boxes)
    low, high = (_f1(right, found, boxes, asked) for right in (fewest, np.minimum(most, found)))
    first = int(np.flatnonzero(high >= low.max())[0])
    near = detections.at_least(first / STEPS)
    evaluation = truth.evaluator(truth.results(near), MATCH_IOU)
    evaluation.evaluate()
    status = evaluation.image_diagnostics(MATCH_IOU, 1.1)["dt_status"]
    known = np.fromiter(status, np.int64, len(status)) - 1
    right = np.fromiter((word == "tp" for word in status.values()), np.bool_, len(status))
    # What lies in crowds has no status and is neither right nor wrong.
    exact = _f1(_counts(near.pick(known[right]), len(boxes)), _counts(near.pick(known), len(boxes)), boxes, asked)
    best = exact[first:].max()
    # Of equal ones the highest, which lies at a detection.
    return int(np.flatnonzero(exact == best)[-1]) / STEPS if best > 0 else None


def _counts(detections: Detections, classes: int) -> NDArray[np.int64]:
    """Detections of each class with a score of at least each threshold, `(classes, STEPS)`."""
    steps = np.clip((detections.scores * STEPS).astype(np.int64), 0, STEPS - 1)
    counts = np.bincount(detections.class_rows * STEPS + steps, minlength=classes * STEPS).reshape(classes, STEPS)
    return np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]


def _bounds(tables: dict[str, Any], boxes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and most right detections of each class at each threshold, `(classes, STEPS)`."""
    scores, recall = tables["scores"][0, :, :, 0, -1], tables["recall"][0, :, 0, -1]
    grid = np.linspace(0, 1, len(scores))
    fewest, most = np.zeros((len(boxes), STEPS)), np.zeros((len(boxes), STEPS))
    thresholds = np.arange(STEPS) / STEPS
    for row in np.flatnonzero(boxes):
        # Where a recall is not reached the table has zero.
        reached = int(np.searchsorted(grid, recall[row] + 1e-9, side="right"))
        steps = np.searchsorted(-scores[:reached, row], -thresholds, side="right")
        fewest[row] = np.where(steps > 0, grid[np.maximum(steps - 1, 0)], 0) * boxes[row]
        most[row] = np.where(steps < reached, grid[np.minimum(steps, len(grid) - 1)], recall[row]) * boxes[row]
    return fewest, most


def _f1(right: Any, found: Any, boxes: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean F1 over the classes `asked`, at each threshold."""
    return np.asarray((2 * right / np.maximum(found + boxes[:, None], 1))[asked].mean(axis=0))
