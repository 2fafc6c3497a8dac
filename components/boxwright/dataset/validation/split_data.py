"""One split's annotations file in memory, as validation reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.annotations import (
    UNKNOWN,
    BoxColumns,
    CategoryColumns,
    ImageColumns,
    Malformed,
    Numbers,
    box_columns,
    category_columns,
    file_of,
    image_columns,
    raw_id,
)
from boxwright.errors import shorten


@dataclass
class SplitData:
    """One split's annotations file in memory.

    Attributes:
        name: of the split.
        document: the file as JSON gives it, with the lists of records.
        listing: bytes of each file below images/ by its relative path; None where it was not listed.
        owners: for each box the row of its image, -1 where it has none.
        reading: how the boxes are read; None where they cannot be.
    """

    name: str
    document: dict[str, Any]
    listing: Mapping[str, int] | None = None
    reading: str | None = "corners"
    images: ImageColumns = field(init=False)
    boxes: BoxColumns = field(init=False)
    categories: CategoryColumns = field(init=False)
    owners: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.images = image_columns(self.document["images"])
        self.boxes = box_columns(self.document["annotations"])
        self.categories = category_columns(self.document.get("categories", []))
        self.owners = _first_rows(self.images.ids, self.boxes.image_ids)

    @property
    def is_named(self) -> bool:
        """Whether the file has `categories`."""
        return "categories" in self.document

    def malformed(self, table: str) -> Mapping[int, Malformed]:
        """The records of a list that could not be read, by index."""
        columns: dict[str, ImageColumns | BoxColumns | CategoryColumns] = {
            "images": self.images,
            "annotations": self.boxes,
            "categories": self.categories,
        }
        return columns[table].malformed

    def sizes(self) -> Numbers:
        """Width and height of each box's image, shape (n, 2); NaN where it has none."""
        return np.vstack([self.images.size, np.full((1, 2), np.nan)])[self.owners]

    @cached_property
    def known_categories(self) -> str:
        """The ids in `categories`, for messages."""
        return shorten(sorted(set(self.categories.ids.tolist()) - {UNKNOWN}))

    def size_of_box(self, index: int) -> tuple[float, float]:
        """Width and height of a box's image."""
        width, height = self.images.size[self.owners[index]].tolist()
        return width, height

    def file_of_record(self, table: str, index: int) -> str | None:
        """The file name of the image that a record is of, as far as it has one, also where either is malformed."""
        record = self.document[table][index]
        if table == "images":
            return file_of(record)
        wanted = record.get("image_id") if isinstance(record, dict) and table == "annotations" else None
        return self._files.get(wanted) if isinstance(wanted, int) else None

    @cached_property
    def _files(self) -> dict[int, str | None]:
        images = reversed(self.document["images"])
        return {found: file_of(image) for image in images if (found := raw_id(image)) is not None}


def _first_rows(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of `wanted` the first row of `ids` that has it, -1 where none has."""
    import pandas as pd  # type: ignore[import-untyped]

    index = pd.Series(np.arange(len(ids)), index=ids)
    index = index[~index.index.duplicated() & (index.index != UNKNOWN)]
    position = index.index.get_indexer(wanted)
    rows: NDArray[np.int64] = np.append(index.to_numpy(np.int64), UNKNOWN)[position]
    return rows
