"""Measures of the rules about records: one number for each record of a list, and facts for the advice.

NaN stands for "not asked": a box without a size is not asked whether it is small, so that one fault is found once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.annotations import UNKNOWN, Numbers, corners_of, optional_ids, raw_id
from boxwright.dataset.validation.model_input import SMALL, ModelInput, TileAdvice, tiles_for
from boxwright.dataset.validation.split_data import SplitData

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

_GEOMETRY = ("smallest_side", "overhang", "input_width", "input_height", "cover")
_FAR = 1e9  # stands for infinity, which JSON does not have


@dataclass
class Records:
    """One list of one split, as the measures see it.

    Attributes:
        split: with the reading of its boxes.
        table: name of the list: "images", "annotations" or "categories".
        category_ids: the ids that categories have; None where any will do.
        model_input: the size at which the model sees boxes.
        tolerance: pixels that a box may reach over its image's edge.
    """

    split: SplitData
    table: str
    category_ids: Sequence[int] | None
    model_input: ModelInput
    tolerance: float
    _twins: dict[str, NDArray[np.int64]] = field(init=False, default_factory=dict)

    def __len__(self) -> int:
        return len(self.split.document.get(self.table, ()))

    @cached_property
    def ids(self) -> NDArray[Any]:
        """The id of each record: -1, or None among objects, where it has none."""
        if self.table == "annotations":
            ids = optional_ids(self.split.document["annotations"])
            # A file that gives its boxes no ids at all has no two alike.
            return np.arange(len(self)) if ids is None else ids
        return self.split.images.ids if self.table == "images" else self.split.categories.ids

    @property
    def names(self) -> NDArray[Any]:
        """The `file_name` of each image or the `name` of each category; None where it has none."""
        columns = self.split.images if self.table == "images" else self.split.categories
        return np.array(columns.names, dtype=object)

    @cached_property
    def box_values(self) -> pd.DataFrame:
        """The numbers, the image and the category of each box: what copies have in common."""
        import pandas as pd

        boxes = self.split.boxes
        # Adding zero makes one of the two zeros that floats have.
        return pd.DataFrame(boxes.bbox + 0.0).assign(image=boxes.image_ids, category=boxes.category_ids)

    def first_twin(self, what: str, index: int) -> str:
        """The place of the first record whose `what` ("ids", "names" or "box_values") is that of record `index`."""
        import pandas as pd

        if what not in self._twins:
            frame = pd.DataFrame(getattr(self, what))
            groups = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup()
            self._twins[what] = pd.Series(np.arange(len(frame))).groupby(groups).transform("min").to_numpy()
        return f"{self.table}[{int(self._twins[what][index])}]"

    @property
    def input_sides(self) -> Numbers:
        """Width and height of each sound box in pixels of the model's input, `(n, 2)`; NaN for the others."""
        return np.column_stack([self.geometry["input_width"], self.geometry["input_height"]])

    @cached_property
    def geometry(self) -> dict[str, Numbers]:
        """The size and place of each box, by the name of the measure; not asked where the boxes cannot be read."""
        bbox, size = self.split.boxes.bbox, self.split.sizes()
        if self.split.reading is None:
            return {name: np.full(len(bbox), np.nan) for name in _GEOMETRY}
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.isfinite(bbox).all(axis=1, keepdims=True)
            corners = np.where(finite, corners_of(bbox, self.split.reading), np.nan)
            low, high = corners[:, :2], corners[:, 2:]
            sides = np.clip(high - low, -_FAR, _FAR)
            smallest = sides.min(axis=1)
            overhang = np.maximum(-low, high - size).max(axis=1)
            # Within the tolerance, and yet nothing of it is left when it is cut at the edge.
            overhang[((low >= size) | (high <= 0)).any(axis=1) & (smallest > 0)] = _FAR
            sound = (smallest > 0) & (overhang <= self.tolerance)
            inside = np.where(sound[:, None], np.minimum(high, size) - np.maximum(low, 0), np.nan)
            of_input, cover = inside * self.model_input.scales(size), (inside / size).prod(axis=1)
        return {
            "smallest_side": smallest,
            "overhang": np.clip(overhang, -_FAR, _FAR),
            "input_width": of_input[:, 0],
            "input_height": of_input[:, 1],
            "cover": cover,
        }

    @cached_property
    def box_counts(self) -> Numbers:
        """The number of boxes of each image; not asked where its id could not be read."""
        import pandas as pd

        ids = pd.Series(self.split.images.ids)
        found = ids.map(pd.Series(self.split.boxes.image_ids).value_counts()).fillna(0)
        return np.where(ids == UNKNOWN, np.nan, found)

    @cached_property
    def tile_advice(self) -> TileAdvice | None:
        """Tiles that would show the small boxes of the split large enough."""
        smallest = self.geometry["smallest_side"]
        small = self.input_sides.min(axis=1) < SMALL
        return tiles_for(smallest[small], self.split.sizes()[small], self.model_input)


# --- any list ---


def id_copies(records: Records) -> Numbers:
    """1 where an earlier record has the same id, 0 elsewhere."""
    return _copies(records.ids)


def name_copies(records: Records) -> Numbers:
    """1 where an earlier image has the same `file_name`, or an earlier category the same `name`; 0 elsewhere."""
    return _copies(records.names)


def who_has_the_id(records: Records, index: int) -> str:
    """The record that has an id already."""
    return f"id is that of {records.first_twin('ids', index)} already"


def who_has_the_file(records: Records, index: int) -> str:
    """The image that has a `file_name` already."""
    return f"file_name is that of {records.first_twin('names', index)} already"


def who_has_the_name(records: Records, index: int) -> str:
    """The category that has a name already."""
    return f"name is that of {records.first_twin('names', index)} already"


# --- images ---


def listed(records: Records) -> Numbers:
    """1 where the file is below images/, 0 where it is not."""
    sizes = _listed_sizes(records)
    return np.where(np.isnan(sizes), np.nan, sizes >= 0)


def listed_bytes(records: Records) -> Numbers:
    """The size of the file, where there is one."""
    sizes = _listed_sizes(records)
    return np.where(sizes >= 0, sizes, np.nan)


def _listed_sizes(records: Records) -> Numbers:
    """Bytes of each image's file: -1 where there is none, NaN where nothing is known."""
    names, listing = records.split.images.names, records.split.listing
    if listing is None:
        return np.full(len(names), np.nan)
    return np.array([np.nan if name is None else listing.get(name, UNKNOWN) for name in names], np.float64)


def boxes_of_image(records: Records) -> Numbers:
    """The number of boxes of each image."""
    return records.box_counts


def count_of_boxes(records: Records, index: int) -> str:
    """The number of boxes of an image."""
    return f"it has {records.box_counts[index]:.0f} boxes"


# --- boxes ---


def image_known(records: Records) -> Numbers:
    """1 where `image_id` is that of an image, 0 where it is not."""
    images = records.split.document["images"]
    declared = [found for record in images if (found := raw_id(record)) is not None]
    known = np.isin(records.split.boxes.image_ids, np.array(declared, np.int64))
    return np.where(_well_formed(records), known, np.nan)


def category_known(records: Records) -> Numbers:
    """1 where `category_id` is that of a category, 0 where it is not."""
    well_formed = _well_formed(records)
    if records.category_ids is None:
        return np.where(well_formed, 1.0, np.nan)
    known = np.isin(records.split.boxes.category_ids, np.array(records.category_ids, np.int64))
    return np.where(well_formed, known, np.nan)


def known_categories(records: Records, index: int) -> str:
    """The ids that a box may have."""
    return f"the ids are {records.split.known_categories}"


def finite_numbers(records: Records) -> Numbers:
    """The number of finite numbers in `bbox`, of four."""
    return np.where(_well_formed(records), np.isfinite(records.split.boxes.bbox).sum(axis=1), np.nan)


def box_copies(records: Records) -> Numbers:
    """1 where an earlier box has the same image, category and numbers; 0 elsewhere."""
    usable = np.isfinite(records.split.boxes.bbox).all(axis=1)
    return np.where(usable, records.box_values.duplicated().to_numpy(), np.nan)


def first_of_copies(records: Records, index: int) -> str:
    """The box that a copy is one of."""
    return f"it is a copy of {records.first_twin('box_values', index)} already"


def smallest_side(records: Records) -> Numbers:
    """The shorter side of each box in pixels of the image."""
    return records.geometry["smallest_side"]


def overhang(records: Records) -> Numbers:
    """The distance in pixels by which each box extends beyond its image; negative if it is inside."""
    return records.geometry["overhang"]


def image_of_box(records: Records, index: int) -> str:
    """The size of the image that a box is in."""
    width, height = records.split.size_of_box(index)
    return f"the image has {width:.0f} x {height:.0f} pixels"


def input_side(records: Records) -> Numbers:
    """The shorter side of each sound box in pixels of the model's input."""
    return np.asarray(records.input_sides.min(axis=1))


def tiles_that_help(records: Records, index: int) -> str:
    """The size of a box at the model's input, and the tiles that would make it larger."""
    side = float(records.geometry["smallest_side"][index])
    told = f"its shorter side is {records.input_sides[index].min():.1f} pixels at {records.model_input}"
    advice = records.tile_advice
    if advice is None:
        return told
    width, height = records.split.size_of_box(index)
    tiled = replace(records.model_input, tile_size=advice.tile_size)
    larger = side * float(tiled.scales(np.array([[width, height]])).min())
    return (
        f"{told}; tile_size={advice.tile_size} would make it {larger:.0f}, with {advice.views} looks at an image in "
        "place of one"
    )


def cover(records: Records) -> Numbers:
    """The share of its image that each sound box covers."""
    return records.geometry["cover"]


def _well_formed(records: Records) -> NDArray[np.bool_]:
    return np.asarray(records.split.boxes.image_ids != UNKNOWN, np.bool_)


def _copies(values: NDArray[Any]) -> Numbers:
    """1 for each value that an earlier row has, 0 for the others, NaN for unknown ones."""
    import pandas as pd

    unknown = values == UNKNOWN if values.dtype.kind == "i" else pd.isna(values)
    return np.where(unknown, np.nan, pd.Series(values).duplicated().to_numpy())
