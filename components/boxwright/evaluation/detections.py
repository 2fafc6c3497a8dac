"""Detections and ground truth as columns: checked once, and handed to hotcoco without a dictionary for each box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.annotations import Annotations, Box
from boxwright.errors import TrainingError

# The best of a class on an image.
MAX_DETECTIONS = 100
_RECORD = "{image_id: int, category_id: int, bbox: [x, y, width, height] in pixels, score: number}"


@dataclass(frozen=True)
class Detections:
    """The detections of a model on a split.

    Attributes:
        image_rows: of each detection, its image's place in the rising order of the split's image ids, `(n,)`.
        class_rows: its class's place in `Annotations.category_ids`, `(n,)`.
        boxes: `(n, 4)`, `[x, y, width, height]` in pixels.
        scores: `(n,)`.
    """

    image_rows: NDArray[np.int64]
    class_rows: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    @classmethod
    def of_results(cls, annotations: Annotations, results: Sequence[Mapping[str, Any]]) -> Detections:
        """Reads COCO results.

        Raises:
            TrainingError: a detection is malformed, not finite, or of an image or class that the split does not have.
        """
        try:
            image_ids = np.fromiter(map(itemgetter("image_id"), results), np.int64, len(results))
            category_ids = np.fromiter(map(itemgetter("category_id"), results), np.int64, len(results))
            scores = np.fromiter(map(itemgetter("score"), results), np.float64, len(results))
            corners = list(map(itemgetter("bbox"), results))
            if not set(map(len, corners)) <= {4}:
                raise ValueError("a box has other than four numbers")
            boxes = np.fromiter(chain.from_iterable(corners), np.float64, 4 * len(results)).reshape(-1, 4)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise _first_malformed(results) from None
        images = np.sort(np.array([image.id for image in annotations.images], np.int64))
        categories = np.array(annotations.category_ids, np.int64)
        image_rows, known_images = _places(images, image_ids)
        class_rows, known_classes = _places(categories, category_ids)
        if not all(part.all() for part in (np.isfinite(boxes), np.isfinite(scores), known_images, known_classes)):
            finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
            index = int(np.flatnonzero(~(finite & known_images & known_classes))[0])
            raise TrainingError(f"detections[{index}]: {_problem(results[index], annotations, bool(finite[index]))}")
        return cls(image_rows, class_rows, boxes, scores)

    def __len__(self) -> int:
        return len(self.scores)

    def pick(self, chosen: NDArray[Any]) -> Detections:
        """The detections that a mask or indices select."""
        return Detections(self.image_rows[chosen], self.class_rows[chosen], self.boxes[chosen], self.scores[chosen])

    def at_least(self, threshold: float) -> Detections:
        """The detections with a score of at least `threshold`."""
        return self.pick(self.scores >= threshold)


def _places(known: NDArray[np.int64], values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The position of each value in the sorted `known`, and whether it is in there."""
    if not len(known):
        return np.zeros(len(values), np.int64), np.zeros(len(values), np.bool_)
    rows = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return rows, known[rows] == values


def _first_malformed(results: Sequence[Mapping[str, Any]]) -> TrainingError:
    for index, found in enumerate(results):
        try:
            int(found["image_id"]), int(found["category_id"]), float(found["score"])
            numbers = [float(value) for value in found["bbox"]]
        except (KeyError, TypeError, ValueError, OverflowError):
            return TrainingError(f"detections[{index}]: expected {_RECORD}, got {str(dict(found))[:200]!a}")
        if len(numbers) != 4:
            return TrainingError(f"detections[{index}]: expected four finite box values, got {numbers}")
    return TrainingError(f"expected a list of {_RECORD}")


def _problem(found: Mapping[str, Any], annotations: Annotations, is_finite: bool) -> str:
    image_id, category_id = found["image_id"], found["category_id"]
    if not is_finite:
        return (
            f"expected four finite box values and a finite score, got {[*found['bbox'], found['score']]} on image "
            f"{image_id}; the weights have diverged: lower learning_rate"
        )
    if category_id not in annotations.categories:
        known = list(annotations.category_ids)
        return f"category_id {category_id} is not one of the split's {known}; map labels to them"
    return f"image_id {image_id} is not an image of the evaluated split; predict on that split"


class Truth:
    """The ground truth of a split as hotcoco has it. Its image and category ids are places, as in `Detections`."""

    def __init__(self, annotations: Annotations, with_crowds: bool = True) -> None:
        self.annotations = annotations
        self.boxes: list[Box] = [box for box in annotations.boxes if with_crowds or not box.crowd]

    @cached_property
    def image_ids(self) -> list[int]:
        """The split's own image ids, by place."""
        return sorted(image.id for image in self.annotations.images)

    @cached_property
    def coco(self) -> Any:
        """A `hotcoco.COCO`; box number n of `boxes` has the id n + 1."""
        import hotcoco

        records = {image.id: image for image in self.annotations.images}
        places = {image_id: place for place, image_id in enumerate(self.image_ids)}
        rows = {category_id: row for row, category_id in enumerate(self.annotations.category_ids)}
        corners = np.array([box.bbox for box in self.boxes], np.float64).reshape(-1, 4)
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        return hotcoco.COCO.from_arrays(
            [
                {"id": place, "file_name": str(place), "width": records[key].width, "height": records[key].height}
                for place, key in enumerate(self.image_ids)
            ],
            # Names may be anything and need not be unique to be told apart here.
            [{"id": row, "name": str(row)} for row in rows.values()],
            np.array([places[box.image_id] for box in self.boxes], np.int64),
            np.array([rows[box.category_id] for box in self.boxes], np.int64),
            boxes,
            ids=np.arange(1, len(self.boxes) + 1),
            area=boxes[:, 2] * boxes[:, 3],
            iscrowd=np.array([box.crowd for box in self.boxes], np.int64),
        )

    def results(self, detections: Detections) -> Any:
        """Detections as hotcoco has them; detection number n has the id n + 1."""
        columns = (detections.image_rows, detections.boxes, detections.scores, detections.class_rows)
        return self.coco.load_res(np.column_stack(columns).astype(np.float64, copy=False))

    def evaluator(self, results: Any, iou: float | None = None, classes: Sequence[int] | None = None) -> Any:
        """A `hotcoco.COCOeval` of COCO's parameters.

        Args:
            results: of `results`.
            iou: evaluate at this overlap alone, over boxes of all sizes.
            classes: evaluate these class rows alone.
        """
        import hotcoco

        evaluation = hotcoco.COCOeval(self.coco, results, "bbox")
        params = evaluation.params
        if iou is not None:
            at_one_iou(params, iou)
        if classes is not None:
            params.cat_ids = list(classes)
        return evaluation


def at_one_iou(params: Any, iou: float) -> None:
    """Sets `hotcoco.Params` to one overlap, over boxes of all sizes and all detections that COCO counts."""
    params.iou_thrs, params.max_dets = [iou], [MAX_DETECTIONS]
    params.area_rng, params.area_rng_lbl = [[0.0, 1e10]], ["all"]
