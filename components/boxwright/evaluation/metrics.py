"""COCO detection metrics of a whole split, by hotcoco (equal to pycocotools; the tests hold this)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.annotations import Annotations
from boxwright.evaluation.detections import Detections, Truth, at_one_iou
from boxwright.evaluation.records import CocoMetrics
from boxwright.evaluation.threshold import MATCH_IOU, best_threshold, right_detections

# Places on the axes of hotcoco's `precision` (IoU, recall, class, area, detections) and `recall` (the same without
# recall): COCO's areas are all, small, medium, large; its detections an image 1, 10, 100.
_AREAS = {"AP": 0, "AP_small": 1, "AP_medium": 2, "AP_large": 3}
_IOUS = {"AP50": 0, "AP75": 5}
_DETECTIONS = {"AR1": 0, "AR10": 1, "AR100": 2}


class DetectionMetrics(CocoMetrics):
    """Metrics of a detector on a split, as COCO defines them.

    Precision, recall and F1 are means over the classes that have boxes, as AP is, so that a frequent class does not
    decide alone; precision over those with detections.

    Attributes:
        per_class: by class name.
        images: of the split.
        threshold: the score at which F1 is largest; None where no detection is right.
    """

    per_class: dict[str, CocoMetrics]
    images: int
    threshold: float | None


class Measurement:
    """Metrics of a split, and the evaluators that they come from, for all that is asked of them afterwards.

    All detections are matched at once, the rest when it is asked for, so that parts can be at work beside each other:
    nothing but `full` itself needs `full` any more.

    Attributes:
        results: all detections as hotcoco has them.
        full: evaluated on every detection, set to IoU 0.5 alone for what is asked of it afterwards.
        tables: COCO's precision and recall tables, by all of COCO's parameters.
    """

    def __init__(self, annotations: Annotations, detections: Detections, voc: bool = False) -> None:
        self.annotations, self.detections, self._voc = annotations, detections, voc
        self.truth = Truth(annotations)
        self.results = self.truth.results(detections)
        self.full = self.truth.evaluator(self.results)
        self.full.evaluate()
        self.full.accumulate()
        self.tables: dict[str, Any] = self.full.eval
        at_one_iou(self.full.params, MATCH_IOU)
        self._right = right_detections(self.full, self.boxes)

    @cached_property
    def threshold(self) -> float | None:
        """The score at which F1 is largest; None where no detection is right."""
        return best_threshold(self.truth, self.detections, self.boxes, self._right)

    @cached_property
    def kept_detections(self) -> Detections:
        """The detections of at least the threshold; none without a threshold."""
        return self.detections.at_least(self.threshold if self.threshold is not None else np.inf)

    @cached_property
    def kept(self) -> Any:
        """An evaluator at IoU 0.5 alone, evaluated on `kept_detections`."""
        evaluation = self.truth.evaluator(self.truth.results(self.kept_detections), MATCH_IOU)
        evaluation.evaluate()
        return evaluation

    @cached_property
    def diagnostics(self) -> dict[str, Any]:
        """Hotcoco's account of `kept`, image by image and box by box."""
        found: dict[str, Any] = self.kept.image_diagnostics(MATCH_IOU, self.threshold or 0.0)
        return found

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """Boxes of each class, crowds left out, `(classes,)`."""
        counts = Counter(box.category_id for box in self.annotations.boxes if not box.crowd)
        return np.array([counts[category_id] for category_id in self.annotations.category_ids], np.int64)

    @cached_property
    def metrics(self) -> DetectionMetrics:
        """COCO's metrics, and precision, recall and F1 at the threshold."""
        tables, counts = self.tables, _counts(self)
        names = self.annotations.classes
        totals = np.bincount(self.detections.class_rows, minlength=len(names)).tolist()
        areas = [_voc_area(self, row) if self._voc else None for row in range(len(names))]
        per_class = {
            name: CocoMetrics(
                **_coco(tables, [row]), VOC_AP50=areas[row], detections=totals[row], **_shares(*counts[row])
            )
            for row, name in enumerate(names)
        }
        known = [area for area in areas if area is not None]
        return DetectionMetrics(
            **_coco(tables, range(len(names))),
            VOC_AP50=sum(known) / len(known) if known else None,
            detections=len(self.detections),
            **_means(per_class),
            boxes=int(counts[:, 2].sum()),
            kept=int(counts[:, 1].sum()),
            per_class=per_class,
            images=len(self.annotations.images),
            threshold=self.threshold,
        )


def measure(annotations: Annotations, detections: Sequence[Mapping[str, Any]], voc: bool = False) -> DetectionMetrics:
    """Computes COCO metrics over every image of the split, those without boxes too.

    Args:
        annotations: the ground truth, with corner boxes.
        detections: COCO results, `bbox` as `[x, y, width, height]` in pixels.
        voc: compute VOC_AP50 as well.

    Raises:
        TrainingError: a detection is malformed, not finite, or of an image or class that the split does not have.
    """
    return Measurement(annotations, Detections.of_results(annotations, detections), voc).metrics


def _coco(tables: Mapping[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    """COCO's twelve numbers without the recalls by size, over the classes of `rows`."""
    precision, recall = tables["precision"][:, :, rows], tables["recall"][:, rows]
    values: dict[str, Any] = {name: _mean(precision[..., area, -1]) for name, area in _AREAS.items()}
    values |= {name: _mean(precision[iou, ..., 0, -1]) for name, iou in _IOUS.items()}
    return values | {name: _mean(recall[..., 0, place]) for name, place in _DETECTIONS.items()}


def _mean(values: NDArray[np.float64]) -> float | None:
    """The mean over existing values; COCO's tools write -1 where there is no ground truth."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _counts(measurement: Measurement) -> NDArray[np.int64]:
    """Right detections, all detections and boxes at the threshold, of each class: `(classes, 3)`.

    hotcoco leaves out crowds, and the detections that lie in them.
    """
    status = measurement.diagnostics["dt_status"]
    ids = np.fromiter(status, np.int64, len(status))
    right = np.fromiter((word == "tp" for word in status.values()), np.bool_, len(status))
    rows = measurement.kept_detections.class_rows[ids - 1]
    classes = len(measurement.boxes)
    columns = [np.bincount(rows[right], minlength=classes), np.bincount(rows, minlength=classes), measurement.boxes]
    return np.column_stack(columns).astype(np.int64)


def _shares(right: int, found: int, boxes: int) -> dict[str, Any]:
    """Precision, recall and F1 from counts; without detections nothing is wrong, and without boxes nothing is asked."""
    return {
        "precision": float(right / found) if found else None,
        "recall": float(right / boxes) if boxes else None,
        "F1": float(2 * right / (found + boxes)) if boxes else None,
        "boxes": int(boxes),
        "kept": int(found),
    }


def _means(per_class: Mapping[str, CocoMetrics]) -> dict[str, Any]:
    """Precision, recall and F1 over the classes that have boxes; precision over those with detections."""
    asked = [one for one in per_class.values() if one.boxes]
    found = [[one.precision for one in asked], [one.recall for one in asked], [one.F1 for one in asked]]
    known = [[value for value in values if value is not None] for values in found]
    return {
        name: sum(values) / len(values) if values else None
        for name, values in zip(("precision", "recall", "F1"), known, strict=True)
    }


def _voc_area(measurement: Measurement, row: int) -> float | None:
    """With one recall step for each box, COCO's mean over recalls is the whole area under the envelope."""
    boxes = int(measurement.boxes[row])
    if not boxes:
        return None
    evaluation = measurement.truth.evaluator(measurement.results, MATCH_IOU, [row])
    evaluation.params.rec_thrs = (np.arange(1, boxes + 1) / boxes).tolist()
    evaluation.evaluate()
    evaluation.accumulate()
    return _mean(evaluation.eval["precision"])
