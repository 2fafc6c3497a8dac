"""COCO detection metrics of a whole split, by hotcoco (equal to pycocotools; the tests hold this)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config import Frozen
from components.dataset.annotations import Annotations
from components.evaluation.detections import Detections, Truth

MATCH_IOU = 0.5
# Thresholds that are tried lie this far apart, as scores are shown.
THRESHOLD_STEPS = 1000
# Places on the axes of hotcoco's `precision` (IoU, recall, class, area, detections) and `recall` (the same without
# recall): COCO's areas are all, small, medium, large; its detections an image 1, 10, 100.
_AREAS = {"AP": 0, "AP_small": 1, "AP_medium": 2, "AP_large": 3}
_IOUS = {"AP50": 0, "AP75": 5}
_DETECTIONS = {"AR1": 0, "AR10": 1, "AR100": 2}


class CocoMetrics(Frozen):
    """Metrics of one class or, as means over the classes that have boxes, of all; all in [0, 1].

    None stands for "there is no such ground truth", where COCO's tools write -1: 0.0 means that there was something
    to find and nothing was found. Small is below 32 x 32 pixels of box area, large above 96 x 96.

    Attributes:
        AP: mean over IoU 0.50 to 0.95 in steps of 0.05.
        AP50, AP75: at one IoU.
        AP_small, AP_medium, AP_large: over boxes of that size.
        AR1, AR10, AR100: recall with so many detections an image, mean over the same IoUs.
        VOC_AP50: area under the precision envelope at IoU 0.5, as Pascal VOC has it since 2010; where asked for.
        precision, recall, F1: at IoU 0.5, of the detections with a score of at least the model's threshold.
        boxes: ground-truth boxes, crowds left out.
        detections: all of them, whatever their score.
        kept: those with a score of at least the threshold; detections in crowds are not counted.
    """

    AP: float | None
    AP50: float | None
    AP75: float | None
    AP_small: float | None
    AP_medium: float | None
    AP_large: float | None
    AR1: float | None
    AR10: float | None
    AR100: float | None
    VOC_AP50: float | None = None
    precision: float | None
    recall: float | None
    F1: float | None
    boxes: int
    detections: int
    kept: int


class DetectionMetrics(CocoMetrics):
    """Metrics of a detector on a split, as COCO defines them.

    Precision, recall and F1 are those of all boxes together, whatever their class.

    Attributes:
        per_class: by class name.
        images: of the split.
        threshold: the score at which F1 over all boxes is largest; None where no detection is right.
    """

    per_class: dict[str, CocoMetrics]
    images: int
    threshold: float | None

    def to_dict(self) -> dict[str, Any]:
        """The metrics as plain JSON values."""
        return self.model_dump()


class Measurement:
    """Metrics of a split, and the evaluators that they come from, for all that is asked of them afterwards.

    Attributes:
        full: evaluated by COCO's parameters on every detection.
        kept: at IoU 0.5 alone, on the detections of at least the threshold; on none where there is no threshold.
        kept_detections: those.
        diagnostics: hotcoco's account of `kept`, image by image and box by box.
    """

    def __init__(self, annotations: Annotations, detections: Detections, voc: bool = False) -> None:
        self.annotations, self.detections = annotations, detections
        self.truth = Truth(annotations)
        self.full = self.truth.evaluator(detections)
        self.full.evaluate()
        self.full.accumulate()
        self.threshold = _best_threshold(self.full, sum(not box.crowd for box in annotations.boxes))
        self.kept_detections = detections.at_least(self.threshold if self.threshold is not None else np.inf)
        self.kept = self.truth.evaluator(self.kept_detections, MATCH_IOU)
        self.kept.evaluate()
        self.diagnostics = self.kept.image_diagnostics(MATCH_IOU, self.threshold or 0.0)
        self.metrics = self._metrics(voc)

    def _metrics(self, voc: bool) -> DetectionMetrics:
        tables = self.full.eval
        counts = _counts(self)
        names = self.annotations.classes
        totals = np.bincount(self.detections.class_rows, minlength=len(names)).tolist()
        areas = [_voc_area(self, row) if voc else None for row in range(len(names))]
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
            **_shares(*counts.sum(axis=0)),
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


def _coco(tables: Mapping[str, Any], rows: Sequence[int]) -> dict[str, float | None]:
    """COCO's twelve numbers without the recalls by size, over the classes of `rows`."""
    precision, recall = tables["precision"][:, :, rows], tables["recall"][:, rows]
    values = {name: _mean(precision[..., area, -1]) for name, area in _AREAS.items()}
    values |= {name: _mean(precision[iou, ..., 0, -1]) for name, iou in _IOUS.items()}
    return values | {name: _mean(recall[..., 0, place]) for name, place in _DETECTIONS.items()}


def _mean(values: NDArray[np.float64]) -> float | None:
    """Over what there is; COCO's tools write -1 where there is no ground truth."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _best_threshold(evaluation: Any, boxes: int) -> float | None:
    """The least score of the detections that together reach the largest F1.

    Detections are counted in bins of their score; right are those that match a box of their class.
    """
    bins = evaluation.calibration(n_bins=THRESHOLD_STEPS, iou_threshold=MATCH_IOU)["bins"][::-1]
    found = np.cumsum([one["count"] for one in bins])
    right = np.cumsum([one["count"] * one["avg_accuracy"] for one in bins])
    f1 = 2 * right / np.maximum(found + boxes, 1)
    best = int(np.argmax(f1))
    # Three digits are what the bins' edges have.
    return round(bins[best]["bin_lower"], 3) if f1[best] > 0 else None


def _counts(measurement: Measurement) -> NDArray[np.int64]:
    """Right detections, all detections and boxes at the threshold, of each class: `(classes, 3)`.

    hotcoco leaves out crowds, and the detections that lie in them.
    """
    status = measurement.diagnostics["dt_status"]
    ids = np.fromiter(status, np.int64, len(status))
    right = np.fromiter((word == "tp" for word in status.values()), np.bool_, len(status))
    rows = measurement.kept_detections.class_rows[ids - 1]
    index = {category_id: row for row, category_id in enumerate(measurement.annotations.category_ids)}
    boxes = Counter(index[box.category_id] for box in measurement.annotations.boxes if not box.crowd)
    classes = len(index)
    return np.column_stack(
        [
            np.bincount(rows[right], minlength=classes),
            np.bincount(rows, minlength=classes),
            [boxes[row] for row in range(classes)],
        ]
    ).astype(np.int64)


def _shares(right: int, found: int, boxes: int) -> dict[str, Any]:
    """Precision, recall and F1 from counts; without detections nothing is wrong, and without boxes nothing is asked."""
    return {
        "precision": float(right / found) if found else None,
        "recall": float(right / boxes) if boxes else None,
        "F1": float(2 * right / (found + boxes)) if boxes else None,
        "boxes": int(boxes),
        "kept": int(found),
    }


def _voc_area(measurement: Measurement, row: int) -> float | None:
    """With one recall step for each box, COCO's mean over recalls is the whole area under the envelope."""
    category_id = measurement.annotations.category_ids[row]
    boxes = sum(box.category_id == category_id and not box.crowd for box in measurement.annotations.boxes)
    if not boxes:
        return None
    evaluation = measurement.truth.evaluator(measurement.detections, MATCH_IOU, [row])
    evaluation.params.rec_thrs = (np.arange(1, boxes + 1) / boxes).tolist()
    evaluation.evaluate()
    evaluation.accumulate()
    return _mean(evaluation.eval["precision"])
