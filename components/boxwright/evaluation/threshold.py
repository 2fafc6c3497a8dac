"""The score from which a detector's answers are worth most: that of the largest F1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.evaluation.detections import MAX_DETECTIONS, Detections, Truth

MATCH_IOU = 0.5
# Thresholds that are tried lie a thousandth apart, as scores are shown.
STEPS = 1000
# A larger class's right detections are told apart to a ten-thousandth of its boxes; the table takes 16 bytes for each.
_FINEST = 10_000


def best_threshold(
    truth: Truth, detections: Detections, boxes: NDArray[np.int64], right: NDArray[np.int64]
) -> float | None:
    """The threshold with the largest F1 at IoU 0.5, as a mean over the classes that have boxes.

    Args:
        truth: the ground truth.
        detections: all that was found.
        boxes: of each class, crowds left out, `(classes,)`.
        right: `right_detections` of them.

    Returns:
        None where no detection is right.
    """
    asked = np.flatnonzero(boxes)
    if not right.any():
        return None
    found = _counts(detections, len(boxes)) - _counts(_uncounted(truth, detections), len(boxes))
    f1 = (2 * right / np.maximum(found + boxes[:, None], 1))[asked].mean(axis=0)
    # Of equal ones the highest, which lies at a detection.
    return int(np.flatnonzero(f1 == f1.max())[-1]) / STEPS


def right_detections(evaluation: Any, boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Right detections at IoU 0.5 of each class with a score of at least each threshold, `(classes, STEPS)`.

    COCO's tables say at which score each recall of a grid is reached. On a grid as fine as the largest class has boxes
    that is the score of every right detection.

    Args:
        evaluation: a `hotcoco.COCOeval`, evaluated, with the parameters of `at_one_iou`.
        boxes: of each class, crowds left out, `(classes,)`.
    """
    right = np.zeros((len(boxes), STEPS), np.int64)
    grid = int(min(boxes.max(initial=0), _FINEST))
    if not grid:
        return right
    params = evaluation.params
    before, params.rec_thrs = params.rec_thrs, (np.arange(1, grid + 1) / grid).tolist()
    evaluation.accumulate()
    params.rec_thrs = before
    scores, recall = evaluation.eval["scores"][0, :, :, 0, 0], evaluation.eval["recall"][0, :, 0, 0]
    thresholds = np.arange(STEPS) / STEPS
    for row in np.flatnonzero(boxes):
        # Where a recall is not reached the table has zero.
        reached = round(recall[row] * boxes[row]) * grid // boxes[row]
        steps = np.searchsorted(-scores[:reached, row], -thresholds, side="right")
        right[row] = -(-steps * boxes[row] // grid)
    return right


def _counts(detections: Detections, classes: int) -> NDArray[np.int64]:
    """Detections of each class with a score of at least each threshold, `(classes, STEPS)`."""
    steps = np.clip((detections.scores * STEPS).astype(np.int64), 0, STEPS - 1)
    counts = np.bincount(detections.class_rows * STEPS + steps, minlength=classes * STEPS).reshape(classes, STEPS)
    return np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]


def _uncounted(truth: Truth, detections: Detections) -> Detections:
    """The detections that are neither right nor wrong: in a crowd, or behind a hundred better ones of their class."""
    lists = detections.image_rows * len(truth.annotations.category_ids) + detections.class_rows
    counted = np.ones(len(detections), np.bool_)
    if any(box.crowd for box in truth.boxes) or np.bincount(lists).max(initial=0) > MAX_DETECTIONS:
        evaluation = truth.evaluator(truth.results(detections), MATCH_IOU)
        evaluation.evaluate()
        status = evaluation.image_diagnostics(MATCH_IOU, 1.1)["dt_status"]
        counted[:] = False
        counted[np.fromiter(status, np.int64, len(status)) - 1] = True
    return detections.pick(~counted)
