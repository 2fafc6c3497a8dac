"""The records of an annotations file as numpy columns: no Python object a box, so that COCO's size takes seconds.

A list whose records are all well formed is read column by column. Where one is not, each record is read by itself, by
the same functions that read a file for training; what is not well formed is NaN (or -1 for ids) in the columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.annotations.parsing import (
    Malformed,
    read_box,
    read_category,
    read_image,
)

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]
UNKNOWN = -1


@dataclass(frozen=True)
class ImageColumns:
    """The list `images`, one row a record: `size` is (width, height) in pixels, shape (n, 2)."""

    ids: Integers
    names: list[str | None]
    size: Numbers
    malformed: dict[int, Malformed] = field(default_factory=dict)


@dataclass(frozen=True)
class BoxColumns:
    """The list `annotations`, one row a record: `bbox` as the file has it, shape (n, 4)."""

    image_ids: Integers
    category_ids: Integers
    bbox: Numbers
    malformed: dict[int, Malformed] = field(default_factory=dict)


@dataclass(frozen=True)
class CategoryColumns:
    """The list `categories`, one row a record."""

    ids: Integers
    names: list[str | None]
    malformed: dict[int, Malformed] = field(default_factory=dict)


def image_columns(records: list[Any]) -> ImageColumns:
    """Reads the list `images`."""
    found, malformed = _each(records, read_image)
    sizes = [(image.width, image.height) if image else (np.nan, np.nan) for image in found]
    return ImageColumns(
        np.array([image.id if image else UNKNOWN for image in found], np.int64),
        [image.file_name if image else None for image in found],
        np.array(sizes, np.float64).reshape(-1, 2),
        malformed,
    )


def category_columns(records: list[Any]) -> CategoryColumns:
    """Reads the list `categories`."""
    found, malformed = _each(records, read_category)
    ids = np.array([category[0] if category else UNKNOWN for category in found], np.int64)
    return CategoryColumns(ids, [category[1] if category else None for category in found], malformed)


def box_columns(records: list[Any]) -> BoxColumns:
    """Reads the list `annotations`."""
    if columns := _well_formed_boxes(records):
        return columns
    found, malformed = _each(records, read_box)
    return BoxColumns(
        np.array([box.image_id if box else UNKNOWN for box in found], np.int64),
        np.array([box.category_id if box else UNKNOWN for box in found], np.int64),
        np.array([box.bbox if box else (np.nan,) * 4 for box in found], np.float64).reshape(-1, 4),
        malformed,
    )


def optional_ids(records: list[Any]) -> NDArray[Any] | None:
    """The ids that annotations may have, which nothing reads; None where there are none.

    Text comes as its ASCII form; what cannot be an id is None in the result.
    """
    values = [record.get("id") if isinstance(record, dict) else None for record in records]
    kinds = set(map(type, values))
    if kinds <= {type(None)}:
        return None
    if kinds != {int}:
        values = [_plain_id(value) for value in values]
    return np.array(values, dtype=object)


def _plain_id(value: Any) -> int | str | None:
    # pandas hashes text as UTF-8, which half a surrogate pair is not.
    return value if type(value) is int else ascii(value) if isinstance(value, str) else None


def _each(records: list[Any], read: Callable[[int, Any], Any]) -> tuple[list[Any], dict[int, Malformed]]:
    found: list[Any] = []
    malformed: dict[int, Malformed] = {}
    for index, record in enumerate(records):
        try:
            found.append(read(index, record))
        except Malformed as problem:
            malformed[index] = problem
            found.append(None)
    return found, malformed


def _well_formed_boxes(records: list[Any]) -> BoxColumns | None:
    """The columns, or None where a record is not as `read_box` wants it."""
    if set(map(type, records)) - {dict}:
        return None
    try:
        images = _ids([record["image_id"] for record in records])
        categories = _ids([record["category_id"] for record in records])
        bbox = _fours([record["bbox"] for record in records])
    except (KeyError, OverflowError):
        return None
    if images is None or categories is None or bbox is None:
        return None
    return BoxColumns(images, categories, bbox)


def _ids(values: list[Any]) -> Integers | None:
    # `type` and not `isinstance`: a bool is not an integer here.
    if set(map(type, values)) - {int}:
        return None
    ids = np.array(values, np.int64)
    return None if (ids < 0).any() else ids


def _fours(values: list[Any]) -> Numbers | None:
    if set(map(type, values)) - {list} or set(map(len, values)) - {4}:
        return None
    numbers = list(chain.from_iterable(values))
    if set(map(type, numbers)) - {int, float}:
        return None
    return np.array(numbers, np.float64).reshape(-1, 4)
