"""A detector's answers on one image as COCO results, whatever runs it. Loads no framework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from boxwright.dataset.annotations import Annotations
from boxwright.errors import DataError, some


def category_ids_of(classes: Sequence[str], annotations: Annotations) -> list[int | None]:
    """The dataset's id of each class of a model, by name; None where the dataset does not have it.

    Raises:
        DataError: they have no class in common.
    """
    by_name = {name: category_id for category_id, name in annotations.categories.items()}
    ids = [by_name.get(name) for name in classes]
    if not any(category_id is not None for category_id in ids):
        raise DataError(f"the model knows the classes {list(classes)}, the dataset has {list(by_name)}: none in common")
    return ids


def classes_of_one_alone(classes: Sequence[str], annotations: Annotations) -> list[str]:
    """What the classes that only a model or only a dataset has do to the figures; a line for each of the two."""
    with_boxes = {annotations.categories[box.category_id] for box in annotations.boxes if not box.crowd}
    unknown = [name for name in annotations.classes if name in with_boxes and name not in classes]
    elsewhere = [name for name in classes if name not in annotations.classes]
    said = []
    if unknown:
        said.append(f"it does not know {some(unknown)}, which the images have: AP 0 each, and part of the mean")
    if elsewhere:
        said.append(f"the dataset does not have its {some(elsewhere)}: detections of them are not counted")
    return said


def coco_results(
    found: Mapping[str, Any], image_id: int, size: Sequence[float], category_ids: Sequence[int | None]
) -> Iterator[dict[str, Any]]:
    """The detections in one image, finite ones of known classes only.

    Args:
        found: what `boxwright.model.Detector.detect` returns, without the batch's axis.
        image_id: of the image.
        size: its height and width in pixels.
        category_ids: of each class by 0-based index; detections of a class with None are left out.
    """
    height, width = (float(side) for side in size)
    count = int(found["num_detections"])
    corners = np.asarray(found["detection_boxes"][:count], np.float64) * (height, width, height, width)
    boxes = np.concatenate([corners[:, 1::-1], (corners[:, 2:] - corners[:, :2])[:, ::-1]], axis=1)
    scores = np.asarray(found["detection_scores"][:count], np.float64)
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    labels = found["detection_classes"][:count].astype(int)
    for box, score, label, good in zip(boxes.tolist(), scores.tolist(), labels, finite, strict=True):
        category_id = category_ids[label - 1]
        if good and category_id is not None:
            yield {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}
