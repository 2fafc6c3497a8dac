"""AP of a measurement on images drawn again: what an interval over images is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.evaluation.metrics import Measurement

# COCO's recalls at which precision is read.
_RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class _ClassMatches:
    """The detections of one class over all images, best first, at each of COCO's IoUs.

    Attributes:
        images: place of each detection's image, `(detections,)`.
        right: which found a box, `(ious, detections)`.
        ignored: which count neither way, `(ious, detections)`.
        boxes: to be found on each image, `(images,)`.
    """

    images: NDArray[np.int64]
    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    boxes: NDArray[np.int64]


class Resampled:
    """A measurement whose AP can be had for any choice of its images, each as often as it was drawn.

    Args:
        measurement: of a model on a split.
    """

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement
        self.images = len(measurement.annotations.images)

    @cached_property
    def _classes(self) -> list[_ClassMatches]:
        measurement = self._measurement
        evaluation = measurement.truth.evaluator(measurement.results)
        evaluation.params.area_rng, evaluation.params.area_rng_lbl = [[0.0, 1e10]], ["all"]
        evaluation.evaluate()
        by_class: dict[int, list[Any]] = {}
        for one in evaluation.eval_imgs:
            if one is not None:
                by_class.setdefault(int(one["category_id"]), []).append(one)
        return [_matches(found, self.images, len(evaluation.params.iou_thrs)) for _, found in sorted(by_class.items())]

    def ap(self, counts: NDArray[np.int64] | None = None) -> float | None:
        """AP, mean over IoU 0.50 to 0.95 and the classes that have boxes; None where none has.

        Args:
            counts: how often each image was drawn, `(images,)`, by rising image id; all once if unset.
        """
        drawn = np.ones(self.images, np.int64) if counts is None else counts
        found = [value for one in self._classes if (value := _ap(one, drawn)) is not None]
        return float(np.mean(found)) if found else None


def draw_images(images: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """How often each of the images is drawn when as many are drawn with replacement, `(images,)`."""
    return np.bincount(generator.integers(0, images, images), minlength=images).astype(np.int64)


def _matches(found: Sequence[Any], images: int, ious: int) -> _ClassMatches:
    scores = np.concatenate([np.asarray(one["dtScores"], np.float64) for one in found])
    order = np.argsort(-scores, kind="stable")
    places = np.concatenate([np.full(len(one["dtScores"]), one["image_id"], np.int64) for one in found])
    right = np.concatenate([np.asarray(one["dtMatched"], np.bool_).reshape(ious, -1) for one in found], axis=1)
    ignored = np.concatenate([np.asarray(one["dtIgnore"], np.bool_).reshape(ious, -1) for one in found], axis=1)
    boxes = np.zeros(images, np.int64)
    for one in found:
        boxes[one["image_id"]] += np.count_nonzero(~np.asarray(one["gtIgnore"], np.bool_))
    return _ClassMatches(places[order], right[:, order], ignored[:, order], boxes)


def _ap(one: _ClassMatches, drawn: NDArray[np.int64]) -> float | None:
    """COCO's AP of a class: precision's envelope at 101 recalls, mean over the IoUs."""
    boxes = int((one.boxes * drawn).sum())
    if not boxes:
        return None
    weights = drawn[one.images]
    hits = np.cumsum(weights * (one.right & ~one.ignored), axis=1)
    misses = np.cumsum(weights * (~one.right & ~one.ignored), axis=1)
    if not hits.shape[1]:
        return 0.0
    precision = hits / np.maximum(hits + misses, np.spacing(1.0))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    total = 0.0
    for row, recall in zip(envelope, hits / boxes, strict=True):
        places = np.searchsorted(recall, _RECALLS, side="left")
        total += row[places[places < len(row)]].sum() / len(_RECALLS)
    return float(total / len(envelope))
