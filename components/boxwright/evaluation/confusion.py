"""The classes that boxes are taken for: the confusion matrix, and the name that each box goes by."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boxwright.evaluation.threshold import MATCH_IOU

if TYPE_CHECKING:
    from boxwright.evaluation.detections import Detections
    from boxwright.evaluation.metrics import Measurement

# Below this a detection is on the background, as TIDE has it.
BACKGROUND_IOU = 0.1
_NONE = -1


@dataclass(frozen=True)
class Names:
    """The boxes that a model places right, whatever it calls them, each with the most confident detection on it.

    Attributes:
        boxes: their places in `Truth.boxes`, rising, `(n,)`.
        detections: the place of each one's detection in `Measurement.detections`, `(n,)`.
        counts: `(classes, classes)` boxes; rows are the truth, columns the names.
    """

    boxes: NDArray[np.int64]
    detections: NDArray[np.int64]
    counts: NDArray[np.int64]


def confusion_matrix(measurement: Measurement) -> NDArray[np.int64]:
    """Counts of boxes and detections at the threshold, or of all detections where there is none.

    A detection of another class on a box is one confusion, as TIDE counts it, whether or not another detection finds
    the box as what it is.

    Returns:
        `(classes + 1, classes + 1)`: rows are the truth, columns what was found. The last row has the detections that
        are on no box or that find a box a second time, the last column the boxes without a detection on them.
    """
    found, detections = measurement.diagnostics, measurement.kept_detections
    if measurement.threshold is None:
        found, detections = _diagnostics(measurement, with_classes=True), measurement.detections
    boxes = _Boxes(measurement)
    matrix = np.zeros((boxes.classes + 1, boxes.classes + 1), np.int64)
    taken = np.array(sorted(found["dt_match"].values()), np.int64) - 1
    np.add.at(matrix, (boxes.rows[taken], boxes.rows[taken]), 1)

    wrong = _of_status(found["dt_status"], "fp")
    same, other = boxes.most_overlapped(detections, wrong)
    # TIDE's order: a place that is nearly right comes before another class.
    is_beside = (same.iou >= BACKGROUND_IOU) & (same.iou < MATCH_IOU)
    is_confused = (other.iou >= MATCH_IOU) & ~is_beside
    rows = np.full(len(wrong), boxes.classes)
    rows[is_confused] = boxes.rows[other.box[is_confused]]
    np.add.at(matrix, (rows, detections.class_rows[wrong]), 1)

    is_missed = boxes.is_counted.copy()
    is_missed[np.concatenate([taken, other.box[is_confused]])] = False
    np.add.at(matrix[:, -1], boxes.rows[is_missed], 1)
    return matrix


def names_of_boxes(measurement: Measurement) -> Names:
    """The name that the model gives to each box that it places right.

    Classes play no part in the matching (COCO's, with `useCats` 0), and no class its own: all detections count from the
    score at which places alone have the largest F1. A model that cannot tell two classes apart is not sure of either,
    and the threshold of the others may leave out both.
    """
    found = _diagnostics(measurement, with_classes=False)
    boxes, detections = _Boxes(measurement), measurement.detections
    pairs = np.array(sorted(found["gt_match"].items()), np.int64).reshape(-1, 2) - 1
    pairs = pairs[boxes.is_counted[pairs[:, 0]]]

    wrong = _of_status(found["dt_status"], "fp")
    # Further names of a box that has one are not places of their own.
    same, other = boxes.most_overlapped(detections, wrong)
    nowhere = detections.scores[wrong[np.maximum(same.iou, other.iou) < MATCH_IOU]]
    scores = detections.scores[pairs[:, 1]]
    pairs = pairs[scores >= _best_score(scores, nowhere, int(boxes.is_counted.sum()))]
    counts = np.zeros((boxes.classes, boxes.classes), np.int64)
    np.add.at(counts, (boxes.rows[pairs[:, 0]], detections.class_rows[pairs[:, 1]]), 1)
    return Names(pairs[:, 0], pairs[:, 1], counts)


def _diagnostics(measurement: Measurement, with_classes: bool) -> dict[str, Any]:
    """Hotcoco's account of all detections, matched within their class or whatever their class."""
    evaluation = measurement.truth.evaluator(measurement.results, MATCH_IOU)
    evaluation.params.use_cats = with_classes
    evaluation.evaluate()
    found: dict[str, Any] = evaluation.image_diagnostics(MATCH_IOU, 0.0)
    return found


def _of_status(status: dict[int, str], word: str) -> NDArray[np.int64]:
    return np.array(sorted(number for number, one in status.items() if one == word), np.int64) - 1


def _best_score(right: NDArray[np.float64], wrong: NDArray[np.float64], boxes: int) -> float:
    """The score from which F1 is largest, given those of right and of wrong places."""
    if not len(right):
        return 0.0
    tried = np.unique(right)
    found = len(right) - np.searchsorted(np.sort(right), tried)
    false = len(wrong) - np.searchsorted(np.sort(wrong), tried)
    return float(tried[np.argmax(2 * found / (found + false + boxes))])


@dataclass(frozen=True)
class _Overlap:
    """The box that each of some detections overlaps most, -1 where there is none, and by what IoU; both `(n,)`."""

    box: NDArray[np.int64]
    iou: NDArray[np.float64]


class _Boxes:
    """The ground truth as columns; `rows` are class rows, `is_counted` leaves out crowds."""

    def __init__(self, measurement: Measurement) -> None:
        truth, annotations = measurement.truth, measurement.annotations
        by_id = {category_id: row for row, category_id in enumerate(annotations.category_ids)}
        places = {image_id: place for place, image_id in enumerate(truth.image_ids)}
        self.classes = len(by_id)
        self.rows = np.array([by_id[box.category_id] for box in truth.boxes], np.int64)
        self.is_counted = np.array([not box.crowd for box in truth.boxes], np.bool_)
        self._corners = np.array([box.bbox for box in truth.boxes], np.float64).reshape(-1, 4)
        images = np.array([places[box.image_id] for box in truth.boxes], np.int64)
        order = np.argsort(images, kind="stable")
        self._on_image = {
            image: np.array([index for index in group if self.is_counted[index]], np.int64)
            for image, group in groupby(order.tolist(), key=lambda index: int(images[index]))
        }

    def most_overlapped(self, detections: Detections, chosen: NDArray[np.int64]) -> tuple[_Overlap, _Overlap]:
        """The boxes that chosen detections overlap most, of their own class and of the others."""
        found = [_Overlap(np.full(len(chosen), _NONE), np.zeros(len(chosen))) for _ in range(2)]
        images = detections.image_rows[chosen]
        order = np.argsort(images, kind="stable")
        for image, group in groupby(order.tolist(), key=lambda index: int(images[index])):
            on_image = self._on_image.get(image)
            if on_image is None or not len(on_image):
                continue
            places = np.array(list(group), np.int64)
            mine = chosen[places]
            iou = _iou(detections.boxes[mine], self._corners[on_image])
            is_same = detections.class_rows[mine][:, None] == self.rows[on_image][None]
            for overlap, asked in zip(found, (is_same, ~is_same), strict=True):
                best = np.where(asked, iou, 0.0)
                overlap.iou[places] = best.max(axis=1)
                overlap.box[places] = on_image[best.argmax(axis=1)]
        return found[0], found[1]


def _iou(found: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[Any]:
    """IoU of `[x, y, width, height]` `(n, 4)` and corners `(m, 4)`: `(n, m)`."""
    low, high = found[:, None, :2], found[:, None, :2] + found[:, None, 2:]
    shared = np.clip(np.minimum(high, corners[None, :, 2:]) - np.maximum(low, corners[None, :, :2]), 0, None).prod(-1)
    areas = found[:, None, 2:].prod(-1) + (corners[:, 2:] - corners[:, :2]).prod(-1)[None]
    return np.asarray(shared / np.maximum(areas - shared, 1e-12))
