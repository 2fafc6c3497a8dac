"""The tables that the rules look at: one row a record of any split, one column of numbers a question.

NaN stands for "not asked": a box without a size is not asked whether it is small, so that one fault is found once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

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
    corners_of,
    file_of,
    image_columns,
    optional_ids,
    raw_id,
)
from boxwright.errors import shorten

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

_FAR = 1e9  # stands for infinity, which JSON does not have
_STRUCTURE = ("missing_key", "wrong_type", "file_name_unsafe", "file_extension_unknown")


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
    _twins: dict[tuple[str, str], NDArray[np.int64]] = field(init=False, default_factory=dict)

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

    def first_twin(self, table: str, column: str, index: int) -> int:
        """The first record of a list with the value that the record at `index` has, for a column of copies."""
        key = (table, column)
        if key not in self._twins:
            self._twins[key] = _first_twins(self._copied(table, column))
        return int(self._twins[key][index])

    def _copied(self, table: str, column: str) -> pd.DataFrame:
        import pandas as pd

        if column == "copies":
            return _box_frame(self.boxes)
        if table == "annotations":
            return pd.DataFrame({"id": optional_ids(self.document[table])})
        columns = self.images if table == "images" else self.categories
        return pd.DataFrame({"value": columns.ids if column == "id_copies" else columns.names})

    def file_of_box(self, index: int) -> str | None:
        """The file name of a box's image as far as it has one, also where either record is malformed."""
        record = self.document["annotations"][index]
        wanted = record.get("image_id") if isinstance(record, dict) else None
        return self._files.get(wanted) if isinstance(wanted, int) else None

    @cached_property
    def _files(self) -> dict[int, str | None]:
        images = reversed(self.document["images"])
        return {found: file_of(image) for image in images if (found := raw_id(image)) is not None}


def image_table(split: SplitData) -> pd.DataFrame:
    """The table of a split's list `images`."""
    names, listing = split.images.names, split.listing
    listed = np.full(len(names), np.nan)
    if listing is not None:
        listed = np.array([np.nan if name is None else listing.get(name, UNKNOWN) for name in names], np.float64)
    return _table(
        split,
        "images",
        id_copies=_copies(split.images.ids),
        name_copies=_copies(np.array(names, dtype=object)),
        listed=np.where(np.isnan(listed), np.nan, listed >= 0),
        listed_bytes=np.where(listed >= 0, listed, np.nan),
    )


def category_table(split: SplitData) -> pd.DataFrame:
    """The table of a split's list `categories`."""
    return _table(
        split,
        "categories",
        id_copies=_copies(split.categories.ids),
        name_copies=_copies(np.array(split.categories.names, dtype=object)),
    )


def box_table(split: SplitData, category_ids: Sequence[int] | None, input_size: int, tolerance: float) -> pd.DataFrame:
    """The table of a split's list `annotations`.

    Args:
        split: with the reading of its boxes.
        category_ids: the ids that categories have; None where any will do.
        input_size: height and width of the model's input in pixels; images are stretched to it.
        tolerance: pixels that a box may reach over its image's edge.
    """
    boxes = split.boxes
    well_formed = boxes.image_ids != UNKNOWN
    ids = optional_ids(split.document["annotations"])
    finite = np.isfinite(boxes.bbox)
    count = np.where(well_formed, finite.sum(axis=1), np.nan)
    for index, problem in boxes.malformed.items():
        if problem.rule == "box_not_finite":
            count[index] = 0
    declared = [found for record in split.document["images"] if (found := raw_id(record)) is not None]
    known = np.isin(boxes.image_ids, np.array(declared, np.int64))
    legal = np.isin(boxes.category_ids, np.array(category_ids, np.int64)) if category_ids is not None else well_formed
    return _table(
        split,
        "annotations",
        id_copies=np.zeros(len(well_formed)) if ids is None else _copies(ids),
        image_known=np.where(well_formed, known, np.nan),
        category_known=np.where(well_formed, legal, np.nan),
        finite_numbers=count,
        copies=_box_copies(boxes, np.asarray(finite.all(axis=1), np.bool_)),
        **_geometry(split, input_size, tolerance),
    )


def _table(split: SplitData, table: str, **columns: NDArray[Any]) -> pd.DataFrame:
    import pandas as pd

    problems = {name: np.zeros(len(split.document.get(table, ()))) for name in _STRUCTURE}
    for index, problem in split.malformed(table).items():
        if problem.rule in problems:
            problems[problem.rule][index] = 1
    return pd.DataFrame({**problems, **columns})


def _first_rows(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of `wanted` the first row of `ids` that has it, -1 where none has."""
    import pandas as pd

    index = pd.Series(np.arange(len(ids)), index=ids)
    index = index[~index.index.duplicated() & (index.index != UNKNOWN)]
    position = index.index.get_indexer(wanted)
    rows: NDArray[np.int64] = np.append(index.to_numpy(np.int64), UNKNOWN)[position]
    return rows


def _copies(values: NDArray[Any]) -> Numbers:
    """1 for each value that an earlier row has, 0 for the others, NaN for unknown ones."""
    import pandas as pd

    unknown = values == UNKNOWN if values.dtype.kind == "i" else pd.isna(values)
    return np.where(unknown, np.nan, pd.Series(values).duplicated().to_numpy())


def _box_copies(boxes: BoxColumns, usable: NDArray[np.bool_]) -> Numbers:
    return np.where(usable, _box_frame(boxes).duplicated().to_numpy(), np.nan)


def _box_frame(boxes: BoxColumns) -> pd.DataFrame:
    import pandas as pd

    # Adding zero makes one of the two zeros that floats have.
    return pd.DataFrame(boxes.bbox + 0.0).assign(image=boxes.image_ids, category=boxes.category_ids)


def _first_twins(frame: pd.DataFrame) -> NDArray[np.int64]:
    import pandas as pd

    groups = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup()
    first: NDArray[np.int64] = pd.Series(np.arange(len(frame))).groupby(groups).transform("min").to_numpy()
    return first


def _geometry(split: SplitData, input_size: int, tolerance: float) -> dict[str, Numbers]:
    """The columns about a box's size and place; not asked where the boxes cannot be read."""
    bbox, size = split.boxes.bbox, split.sizes()
    if split.reading is None:
        return {name: np.full(len(bbox), np.nan) for name in ("smallest_side", "overhang", "input_side", "cover")}
    with np.errstate(over="ignore", invalid="ignore"):
        corners = np.where(np.isfinite(bbox).all(axis=1, keepdims=True), corners_of(bbox, split.reading), np.nan)
        low, high = corners[:, :2], corners[:, 2:]
        sides = np.clip(high - low, -_FAR, _FAR)
        smallest = sides.min(axis=1)
        overhang = np.maximum(-low, high - size).max(axis=1)
        # Within the tolerance, and yet nothing of it is left when it is cut at the edge.
        overhang[((low >= size) | (high <= 0)).any(axis=1) & (smallest > 0)] = _FAR
        sound = (smallest > 0) & (overhang <= tolerance)
        shares = np.where(sound[:, None], (np.minimum(high, size) - np.maximum(low, 0)) / size, np.nan)
    return {
        "smallest_side": smallest,
        "overhang": np.clip(overhang, -_FAR, _FAR),
        "input_side": shares.min(axis=1) * input_size,
        "cover": shares.prod(axis=1),
    }
