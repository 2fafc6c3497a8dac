"""The data behind a validation report's pictures: one split's boxes as columns, good and bad ones alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.annotations import SIZE_LIMIT, Annotations, corners_of, read_document
from boxwright.dataset.validation import SplitData
from boxwright.storage import read_bytes


@dataclass(frozen=True)
class SplitBoxes:
    """One split.

    Attributes:
        files: file name of each image; None where the record has none.
        sizes: declared (width, height) of each image in pixels, shape (images, 2); NaN where there is none.
        owners: row of each box's image, -1 where it has none, shape (boxes,).
        corners: (xmin, ymin, xmax, ymax) of each box in pixels, shape (boxes, 4); not finite where it cannot be read.
        category_ids: of each box, shape (boxes,); -1 where there is none.
        indices: position of each box in the list `annotations`, shape (boxes,).
        categories: names by id.
    """

    files: list[str | None]
    sizes: NDArray[np.float64]
    owners: NDArray[np.int64]
    corners: NDArray[np.float64]
    category_ids: NDArray[np.int64]
    indices: NDArray[np.int64]
    categories: dict[int, str]

    @classmethod
    def of_records(cls, annotations: Annotations) -> SplitBoxes:
        """The split as it is used for training."""
        rows = {image.id: row for row, image in enumerate(annotations.images)}
        boxes = annotations.boxes
        return cls(
            [image.file_name for image in annotations.images],
            np.array([(image.width, image.height) for image in annotations.images], np.float64).reshape(-1, 2),
            np.array([rows.get(box.image_id, -1) for box in boxes], np.int64),
            np.array([box.bbox for box in boxes], np.float64).reshape(-1, 4),
            np.array([box.category_id for box in boxes], np.int64),
            np.array([box.index for box in boxes], np.int64),
            dict(annotations.categories),
        )

    @classmethod
    def of_columns(cls, split: SplitData) -> SplitBoxes:
        """The split as its file has it, bad records included."""
        named = zip(split.categories.ids.tolist(), split.categories.names, strict=True)
        names = {key: name for key, name in named if key >= 0 and name is not None}
        ids = split.boxes.category_ids
        return cls(
            split.images.names,
            split.images.size,
            split.owners,
            corners_of(split.boxes.bbox, split.reading or "corners"),
            ids,
            np.arange(len(ids)),
            names or {key: f"class_{key}" for key in np.unique(ids[ids >= 0]).tolist()},
        )

    @classmethod
    def of_file(cls, split: str, uri: str, reading: str | None) -> SplitBoxes:
        """The split as the annotations file at `uri` has it, with boxes in the format `reading`.

        Raises:
            DataError, UsageError, StorageError: the file cannot be read.
        """
        return cls.of_columns(SplitData(split, read_document(read_bytes(uri, SIZE_LIMIT), uri), None, reading))
