"""COCO detection metrics of a whole split, by hotcoco (equal to pycocotools; the tests hold this)."""

from __future__ import annotations

import contextlib
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import hotcoco

from components.config import Frozen
from components.dataset.annotations import Annotations
from components.errors import TrainingError

# hotcoco's names on the left, ours on the right; its size letters are small, medium and large.
_NAMES = {
    "AP": "AP",
    "AP50": "AP50",
    "AP75": "AP75",
    "APs": "AP_small",
    "APm": "AP_medium",
    "APl": "AP_large",
    "AR1": "AR1",
    "AR10": "AR10",
    "AR100": "AR100",
}
_RECORD = "{image_id: int, category_id: int, bbox: [x, y, width, height] in pixels, score: number}"


class ClassMetrics(Frozen):
    """Metrics of one class; None where the split has no box of it.

    Attributes:
        AP: mean over IoU 0.50 to 0.95 in steps of 0.05.
        AP50: at IoU 0.50.
        boxes: ground-truth boxes.
    """

    AP: float | None
    AP50: float | None
    boxes: int


class DetectionMetrics(Frozen):
    """Metrics of a detector on a split, as COCO defines them, all in [0, 1].

    None stands for "there is no such ground truth", where COCO's tools write -1: 0.0 means that there was something
    to find and nothing was found. Small is below 32 x 32 pixels of box area, large above 96 x 96.
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
    per_class: dict[str, ClassMetrics]
    images: int
    boxes: int
    detections: int

    def to_dict(self) -> dict[str, Any]:
        """The metrics as plain JSON values."""
        return self.model_dump()


def measure(annotations: Annotations, detections: Sequence[Mapping[str, Any]]) -> DetectionMetrics:
    """Computes COCO metrics over every image of the split, those without boxes too.

    Args:
        annotations: the ground truth, with corner boxes.
        detections: COCO results, `bbox` as `[x, y, width, height]` in pixels.

    Raises:
        TrainingError: a detection is malformed, not finite, or of an image or class that the split does not have.
    """
    _check(annotations, detections)
    truth = hotcoco.COCO(_coco(annotations))
    evaluation = hotcoco.COCOeval(truth, truth.load_res([dict(found) for found in detections]), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    # Results exist after the summary only, which prints.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.summarize()
    results = evaluation.get_results()
    return DetectionMetrics(
        **{ours: _known(results[theirs]) for theirs, ours in _NAMES.items()},
        per_class=_per_class(annotations, (evaluation.eval or {})["precision"]),
        images=len(annotations.images),
        boxes=len(annotations.boxes),
        detections=len(detections),
    )


def _coco(annotations: Annotations) -> dict[str, Any]:
    boxes = []
    for number, box in enumerate(annotations.boxes, start=1):
        xmin, ymin, xmax, ymax = box.bbox
        width, height = xmax - xmin, ymax - ymin
        boxes.append(
            {
                "id": number,
                "image_id": box.image_id,
                "category_id": box.category_id,
                "bbox": [xmin, ymin, width, height],
                "area": width * height,
                "iscrowd": 0,
            }
        )
    images = [
        {"id": image.id, "file_name": image.file_name, "width": image.width, "height": image.height}
        for image in annotations.images
    ]
    categories = [{"id": key, "name": annotations.categories[key]} for key in annotations.category_ids]
    return {"images": images, "annotations": boxes, "categories": categories}


def _per_class(annotations: Annotations, precision: Any) -> dict[str, ClassMetrics]:
    """`precision` has the shape (IoU thresholds, recalls, classes by id, areas, maxima of detections)."""
    counts = Counter(box.category_id for box in annotations.boxes)
    return {
        annotations.categories[category_id]: ClassMetrics(
            AP=_known(precision[:, :, row, 0, -1].mean()),
            AP50=_known(precision[0, :, row, 0, -1].mean()),
            boxes=counts[category_id],
        )
        for row, category_id in enumerate(annotations.category_ids)
    }


def _known(value: Any) -> float | None:
    """COCO's tools write -1 where there is no ground truth."""
    return None if value < 0 else float(value)


def _check(annotations: Annotations, detections: Sequence[Mapping[str, Any]]) -> None:
    images = {image.id for image in annotations.images}
    for index, found in enumerate(detections):
        if problem := _problem(found, images, annotations.categories):
            raise TrainingError(f"detections[{index}]: {problem}")


def _problem(found: Mapping[str, Any], images: set[int], categories: Mapping[int, str]) -> str | None:
    try:
        image_id, category_id = found["image_id"], found["category_id"]
        numbers = [float(value) for value in (*found["bbox"], found["score"])]
    except (KeyError, TypeError, ValueError):
        return f"expected {_RECORD}, got {str(dict(found))[:200]!a}"
    if len(numbers) != 5 or not all(math.isfinite(number) for number in numbers):
        return (
            f"expected four finite box values and a finite score, got {numbers} on image {image_id}; "
            "the weights have diverged: lower learning_rate"
        )
    if image_id not in images:
        return f"image_id {image_id} is not an image of the evaluated split; predict on that split"
    if category_id not in categories:
        return f"category_id {category_id} is none of the split's {sorted(categories)}; map labels to the file's ids"
    return None
