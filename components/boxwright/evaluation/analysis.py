"""Analysis of a detector's errors by hotcoco: kinds, confusion, calibration, curves, and the images with the most.

All of it becomes `analysis.json`, from which the report is drawn.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from boxwright.config import Frozen
from boxwright.dataset.annotations import Annotations
from boxwright.evaluation.confusion import BACKGROUND_IOU, confusion_matrix
from boxwright.evaluation.detections import Detections
from boxwright.evaluation.metrics import Measurement
from boxwright.evaluation.threshold import MATCH_IOU

CALIBRATION_BINS = 10
LABELS_SHOWN = 200
# Of two classes that look alike, by chance one pair in a thousand would count as swapped.
LEAST_SWAPPED, SWAPPED_SHARE = 8, 0.8

# TIDE's kinds (arxiv.org/abs/2008.08115) by hotcoco's names.
KINDS = {
    "Cls": ("classification", "right place, wrong class"),
    "Loc": ("localisation", "right class, place not good enough"),
    "Both": ("both", "wrong class, and the place not good enough"),
    "Dupe": ("duplicate", "an object that a better detection has found already"),
    "Bkg": ("background", "nothing is there"),
    "Miss": ("missed", "a box that no detection, not even a wrong one, belongs to"),
}


class ErrorKind(Frozen):
    """One kind of error.

    Attributes:
        name: TIDE's name, written out.
        meaning: in words.
        cost: AP50 that the model would gain if it made no such error.
        count: among all detections, as TIDE counts.
        count_at_threshold: among the detections of at least the threshold.
    """

    name: str
    meaning: str
    cost: float
    count: int
    count_at_threshold: int


class CalibrationBin(Frozen):
    """Detections with scores from `lower` to `upper`: their number, mean score, and the share that is right."""

    lower: float
    upper: float
    count: int
    confidence: float
    accuracy: float


class ImageErrors(Frozen):
    """Errors on one image at the threshold; a box found under another class is `confused` and neither of the others."""

    image_id: int
    missed: int
    false: int
    confused: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.missed + self.false + self.confused


class DoubtfulLabel(Frozen):
    """A confident detection that the ground truth contradicts: the detector is wrong, or the label is.

    Attributes:
        file: file name of the image.
        kind: `wrong_label`, or `missing_annotation`.
        found: class name of the detection.
        labelled: class name of the box there, if any.
        score: of the detection.
        bbox: of the detection, `[x, y, width, height]` in pixels.
    """

    file: str
    kind: str
    found: str
    labelled: str | None
    score: float
    bbox: tuple[float, float, float, float]


class Analysis(Frozen):
    """Everything but the metrics; lists by class are in the order of `classes`.

    Attributes:
        classes: names.
        threshold: the score at which F1 is largest; None where no detection is right.
        recalls: the 101 recalls of COCO's curves.
        precisions: precision at each recall at IoU 0.5 by class name, left out where the split has no box of it.
        confusion: `(classes + 1, classes + 1)` counts, see `confusion_matrix`.
        calibration: of the scores of all detections, at IoU 0.5.
        calibration_error: mean distance of score and accuracy, weighted by the number of detections (ECE).
        errors: TIDE's kinds at IoU 0.5.
        images: those with errors, most errors first.
        labels: those worth a second look, most confident first.
    """

    classes: tuple[str, ...]
    threshold: float | None
    recalls: tuple[float, ...]
    precisions: dict[str, tuple[float, ...]]
    confusion: tuple[tuple[int, ...], ...]
    calibration: tuple[CalibrationBin, ...]
    calibration_error: float
    errors: tuple[ErrorKind, ...]
    images: tuple[ImageErrors, ...]
    labels: tuple[DoubtfulLabel, ...]


def analyse(measurement: Measurement) -> Analysis:
    """Derives everything from the evaluators of a measurement; nothing is predicted or matched again."""
    full = measurement.full
    # The dearest parts keep hotcoco's own threads busy, and leave Python free meanwhile.
    with ThreadPoolExecutor(max_workers=1) as pool:
        every = pool.submit(full.tide_errors, MATCH_IOU, BACKGROUND_IOU)
        calibrated = pool.submit(full.calibration, CALIBRATION_BINS, MATCH_IOU)
        images, labels = _image_errors(measurement), _doubtful_labels(measurement)
        at_threshold = measurement.kept.tide_errors(MATCH_IOU, BACKGROUND_IOU)
    calibration = calibrated.result()
    return Analysis(
        classes=measurement.annotations.classes,
        threshold=measurement.threshold,
        recalls=tuple(full.params.rec_thrs),
        precisions=_curves(measurement),
        confusion=tuple(tuple(row) for row in confusion_matrix(measurement).tolist()),
        calibration=tuple(
            CalibrationBin(
                lower=one["bin_lower"],
                upper=one["bin_upper"],
                count=one["count"],
                confidence=one["avg_confidence"],
                accuracy=one["avg_accuracy"],
            )
            for one in calibration["bins"]
        ),
        calibration_error=calibration["ece"],
        errors=_error_kinds(every.result(), at_threshold),
        images=images,
        labels=labels,
    )


def _curves(measurement: Measurement) -> dict[str, tuple[float, ...]]:
    precision = measurement.tables["precision"][0, :, :, 0, -1]
    return {
        name: tuple(precision[:, row].tolist())
        for row, name in enumerate(measurement.annotations.classes)
        if precision[0, row] > -1
    }


def swapped_classes(analysis: Analysis) -> dict[str, str]:
    """Classes whose objects go by each other's names: what a label map in another order leaves.

    A model that has learnt little names most objects alike, and one that cannot tell two classes apart names half of
    each wrongly. So names count as swapped where nearly all of the objects found of A are named B and so on back to A,
    and where there are enough of each for this not to be chance.

    Returns:
        What the objects of each such class are named.
    """
    named = {}
    for row, counts in enumerate(np.array(analysis.confusion)[:-1, :-1]):
        if counts.sum() >= LEAST_SWAPPED and counts.max() >= SWAPPED_SHARE * counts.sum():
            named[row] = int(counts.argmax())

    def leads_back(row: int) -> bool:
        at: int | None = row
        for _ in named:
            at = None if at is None else named.get(at)
            if at == row:
                return True
        return False

    names = analysis.classes
    return {names[row]: names[other] for row, other in named.items() if other != row and leads_back(row)}


def _error_kinds(every: dict[str, Any], kept: dict[str, Any]) -> tuple[ErrorKind, ...]:
    return tuple(
        ErrorKind(
            name=name,
            meaning=meaning,
            cost=every["delta_ap"][key],
            count=every["counts"][key],
            count_at_threshold=kept["counts"][key],
        )
        for key, (name, meaning) in KINDS.items()
    )


def _image_errors(measurement: Measurement) -> tuple[ImageErrors, ...]:
    diagnostics = measurement.diagnostics
    # A box has one class; two detections of another one on it confuse it once.
    pairs = {(one["image_id"], one["gt_id"]) for one in _wrong_labels(diagnostics)}
    confused = Counter(image for image, _ in pairs)
    found = [
        ImageErrors(
            image_id=measurement.truth.image_ids[place],
            missed=max(0, one["fn"] - confused[place]),
            false=max(0, one["fp"] - confused[place]),
            confused=confused[place],
        )
        for place, one in diagnostics["img_summary"].items()
        if one["fn"] or one["fp"]
    ]
    return tuple(sorted(found, key=lambda one: (-one.total, one.image_id)))


def _wrong_labels(diagnostics: dict[str, Any]) -> list[dict[str, Any]]:
    missed = {key for key, status in diagnostics["gt_status"].items() if status == "fn"}
    return [one for one in diagnostics["label_errors"] if one["type"] == "wrong_label" and one["gt_id"] in missed]


def _doubtful_labels(measurement: Measurement) -> tuple[DoubtfulLabel, ...]:
    annotations: Annotations = measurement.annotations
    kept: Detections = measurement.kept_detections
    files = {image.id: image.file_name for image in annotations.images}
    found = sorted(measurement.diagnostics["label_errors"], key=lambda one: (-one["dt_score"], one["dt_id"]))
    return tuple(
        DoubtfulLabel(
            file=files[measurement.truth.image_ids[one["image_id"]]],
            kind=one["type"],
            found=annotations.classes[one["dt_category_id"]],
            labelled=None if one["gt_category_id"] is None else annotations.classes[one["gt_category_id"]],
            score=one["dt_score"],
            bbox=tuple(kept.boxes[one["dt_id"] - 1].tolist()),
        )
        for one in found[:LABELS_SHOWN]
    )
