"""A look at the validation images while a model is trained: AP, and whether it tells the classes apart."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.annotations import Annotations, load_annotations
from boxwright.dataset.examples import ExamplesSummary, shards_of
from boxwright.evaluation.guessing import judge_classes
from boxwright.images import windows

if TYPE_CHECKING:
    from boxwright.evaluation.metrics import Measurement

log = logging.getLogger("boxwright.training")

GLANCE_IMAGES = 64
# Of a model with tiles: looks at whole images and tiles.
GLANCE_TILES = 256
# Looks one after the other at which a class is named by chance, until a person is told.
PLATEAU = 3
_ADVICE = (
    "are its marks large enough at the model's input (image_size), and left whole by augmentation and horizontal_flip? "
    "Else try a lower learning_rate or backbone_learning_rate_multiplier, or more epochs; as it is, the gate fails it"
)


def validation_ap(examples_dir: Path, rarest: bool = False) -> ValidationLook:
    """Measures a detector on the validation images.

    Args:
        examples_dir: folder of `build_examples`.
        rarest: also measure `AP_rarest`, of the class with the fewest training boxes that validation has boxes of.
    """
    return ValidationLook(examples_dir, rarest)


class ValidationLook:
    """Measures a detector on the validation images, again and again while it is trained.

    Each look also gives the share of correctly placed boxes that are named correctly (`class_accuracy`), and the share
    that would be if names were guessed, each as often as the detector gives it (`class_accuracy_by_lot`). A class that
    is guessed at `PLATEAU` looks in a row is a warning.
    """

    def __init__(self, examples_dir: Path, rarest: bool = False) -> None:
        self._annotations = load_annotations(examples_dir / "validation" / "annotations.json")
        self._rarest = _rarest_class(examples_dir, self._annotations) if rarest else None
        self._category_ids = ExamplesSummary.read(examples_dir).category_ids
        self._shards = shards_of(examples_dir, "validation")
        self._guessed: Counter[str] = Counter()

    def __call__(self, detector: Any) -> dict[str, float]:
        """`AP` and `AP50` in [0, 1], and how well classes are told apart; nothing where the images have no boxes."""
        measurement = self._measured(detector, every=1)
        metrics = measurement.metrics
        if metrics.AP is None or metrics.AP50 is None:
            return {}
        found = {"AP": metrics.AP, "AP50": metrics.AP50} | self._names(measurement)
        if self._rarest is not None and (rarest := metrics.per_class[self._rarest].AP) is not None:
            found["AP_rarest"] = rarest
        return found

    def glance(self, detector: Any) -> dict[str, float]:
        """How well classes are told apart on some `GLANCE_IMAGES` of the images, which costs little."""
        images = self._annotations.images
        looks = sum(len(windows(image.height, image.width, detector.tiling)) for image in images)
        budget = GLANCE_IMAGES if detector.tiling is None else GLANCE_TILES
        return self._names(self._measured(detector, every=min(-(-looks // budget), len(images))))

    def _measured(self, detector: Any, every: int) -> Measurement:
        from boxwright.evaluation.detections import Detections
        from boxwright.evaluation.metrics import Measurement
        from boxwright.evaluation.predict import predict_split

        found = predict_split(detector, self._shards, self._category_ids, every=max(1, every))
        seen = _some_of(self._annotations, set(found.image_ids))
        return Measurement(seen, Detections.of_results(seen, found.detections))

    def _names(self, measurement: Measurement) -> dict[str, float]:
        from boxwright.evaluation.confusion import names_of_boxes

        classes, counts = measurement.annotations.classes, names_of_boxes(measurement).counts
        self._warn(classes, counts)
        if len(classes) < 2 or not counts.sum():
            return {}
        total = float(counts.sum())
        by_lot = float((counts.sum(axis=0) * counts.sum(axis=1)).sum()) / total**2
        return {"class_accuracy": float(counts.trace()) / total, "class_accuracy_by_lot": by_lot}

    def _warn(self, classes: tuple[str, ...], counts: NDArray[np.int64]) -> None:
        told = judge_classes(classes, counts)
        guessed = [name for name, one in told.items() if one.verdict == "guessed"]
        self._guessed = Counter({name: self._guessed[name] + 1 for name in guessed})
        stuck = [name for name in guessed if self._guessed[name] == PLATEAU]
        if stuck:
            evidence = "; ".join(f"{name}: {told[name].evidence()}" for name in stuck)
            log.warning(
                "boxes of %s are found, and named no better than by chance at %d looks in a row (%s); %s",
                ", ".join(stuck), PLATEAU, evidence, _ADVICE,
            )  # fmt: skip


def _rarest_class(examples_dir: Path, validation: Annotations) -> str | None:
    """The class with the fewest training boxes, of those that can be measured; None where none can."""
    training = load_annotations(examples_dir / "training" / "annotations.json")
    boxes = Counter(box.category_id for box in training.boxes if not box.crowd)
    there = {box.category_id for box in validation.boxes if not box.crowd}
    known = dict(zip(validation.category_ids, validation.classes, strict=True))
    rarest = min((one for one in known if one in there), key=lambda one: (boxes[one], one), default=None)
    return None if rarest is None else known[rarest]


def _some_of(annotations: Annotations, image_ids: set[int]) -> Annotations:
    """The images of these ids with their boxes."""
    if len(image_ids) == len(annotations.images):
        return annotations
    return replace(
        annotations,
        images=tuple(image for image in annotations.images if image.id in image_ids),
        boxes=tuple(box for box in annotations.boxes if box.image_id in image_ids),
    )
