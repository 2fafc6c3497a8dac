"""The records of an annotations file, and the faults that are found in one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from boxwright.errors import shorten

BBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image as the file declares it: `file_name` is relative to `images/`, `width` and `height` are pixels."""

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Box:
    """One box: `index` is its position in the file's `annotations` list, `bbox` (xmin, ymin, xmax, ymax) pixels.

    A `crowd` stands around many objects at once (COCO's `iscrowd`): nothing is trained on it, and what a model finds
    within it is neither right nor wrong.
    """

    index: int
    image_id: int
    bbox: BBox
    category_id: int
    crowd: bool = False


@dataclass(frozen=True)
class Annotations:
    """The content of an annotations file.

    Attributes:
        images: in the file's order.
        boxes: in the file's order.
        categories: name of each category id; `class_<id>` for the ids that occur where the file gives none.
        named: whether the file gave `categories`.
    """

    images: tuple[ImageRecord, ...]
    boxes: tuple[Box, ...]
    categories: dict[int, str]
    named: bool = True

    @cached_property
    def category_ids(self) -> tuple[int, ...]:
        """The ids in rising order."""
        return tuple(sorted(self.categories))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names in the order of `category_ids`."""
        return tuple(self.categories[category_id] for category_id in self.category_ids)

    @cached_property
    def boxes_by_image(self) -> dict[int, list[Box]]:
        """The boxes of each image id; an empty list for an image without boxes."""
        grouped: dict[int, list[Box]] = {image.id: [] for image in self.images}
        for box in self.boxes:
            grouped.setdefault(box.image_id, []).append(box)
        return grouped

    def to_dict(self) -> dict[str, Any]:
        """The content in the file's format."""
        return {
            "images": [
                {"file_name": image.file_name, "height": image.height, "width": image.width, "id": image.id}
                for image in self.images
            ],
            "annotations": [
                {"image_id": box.image_id, "bbox": list(box.bbox), "category_id": box.category_id}
                | ({"iscrowd": 1} if box.crowd else {})
                for box in self.boxes
            ],
            "categories": [{"id": key, "name": self.categories[key]} for key in self.category_ids],
        }


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a dataset.

    Attributes:
        rule: name of the rule it breaks.
        where: list of the annotations file ("images", "annotations", "categories"), or "file" for the whole.
        index: position in that list; None for the whole file.
        value: what was found.
        advice: what was expected and what to do.
        file: file name of the image it belongs to, where there is one.
    """

    rule: str
    where: str
    index: int | None
    value: Any
    advice: str
    file: str | None = None

    def __str__(self) -> str:
        place = self.where if self.index is None else f"{self.where}[{self.index}]"
        of_image = f" of {shorten(self.file, 260)}" if self.file else ""
        return f"{place}{of_image}: {self.rule}, got {shorten(self.value)}; {self.advice}"
