"""The CSV of the TensorFlow tutorials: a row an object, with the columns of `xml_to_csv.py` in any order.

Without a header it is the same columns in their usual order, keras-retinanet's (path, x1, y1, x2, y2, class; five empty
columns stand for a negative), Make Sense's (class, x, y, width, height, image and its size), or Google AutoML's (set,
path, class, and corners in shares of the image). A table of names and numbers from 0 on is keras-retinanet's list of
classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from boxwright.dataset.importing.source import (
    BrokenError,
    Reading,
    SourceImage,
    SourceObject,
    SourceSet,
    class_name,
    corners,
    first_rows,
    is_picture,
    number,
    parts_of,
    read_rows,
    shown,
    size_of,
    split_named,
    whole,
)

_COLUMNS = {
    "filename": ("filename", "file_name", "file", "image", "image_path", "path", "image_name", "img", "image_id"),
    "class": ("class", "class_name", "label", "name", "category", "label_name"),
    "xmin": ("xmin", "x_min", "x1", "left"),
    "ymin": ("ymin", "y_min", "y1", "top"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
    "width": ("width", "image_width", "img_width"),
    "height": ("height", "image_height", "img_height"),
    "split": ("split", "subset", "set", "usage"),
}
# A corner and a size, where there are no two corners.
_SIZED = {
    "xmin": ("x", "bbox_x", "left", "xmin", "x_min", "x1"),
    "ymin": ("y", "bbox_y", "top", "ymin", "y_min", "y1"),
    "box width": ("w", "bbox_width", "box_width", "bbox_w", "width"),
    "box height": ("h", "bbox_height", "box_height", "bbox_h", "height"),
}
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_NOTHING = ("", "nan", "none", "null", "na")  # what is written for an empty cell
_NEEDED = ("filename", "class", *_SIDES)
_TUTORIAL = ("filename", "width", "height", "class", *_SIDES)
_RETINANET = ("filename", *_SIDES, "class")
_MAKE_SENSE = ("class", "xmin", "ymin", "box width", "box height", "filename", "width", "height")
_AUTOML = {"split": 0, "filename": 1, "class": 2, "xmin": 3, "ymin": 4, "xmax": 7, "ymax": 8}
_AUTOML_SETS = ("TRAIN", "VALIDATION", "TEST", "UNASSIGNED", "")


@dataclass(frozen=True)
class _Columns:
    """Where each column is, whether the first row names them, their number, and the names of those not read."""

    at: dict[str, int]
    header: bool
    count: int
    unread: tuple[str, ...] = ()


def recognise(reading: Reading) -> str | None:
    """Why this looks like such a CSV, or None."""
    return reading.recognised(
        lambda path: _columns(path) is not None, "columns for a file, a class and corners", ".csv"
    )


def _columns(path: Path) -> _Columns | None:
    first, second = [*first_rows(path, 2), [], []][:2]
    return _named_columns(first, second) or _usual_columns(first)


def _named_columns(header: list[str], row: list[str]) -> _Columns | None:
    """The columns that a header names; of several for the class the first one whose values are not numbers."""
    lowered = ["_".join(re.split(r"[\s_-]+", cell.lower())) for cell in header]

    def found(names: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
        at: dict[str, int] = {}
        for column, known in names.items():
            places = [lowered.index(name) for name in known if name in lowered]
            if column == "class":
                places.sort(key=lambda place: place < len(row) and _are_numbers(row[place : place + 1]))
            at |= {column: places[0]} if places else {}
        return at

    at = found(_COLUMNS)
    if not set(_SIDES) <= set(at):
        sized = found(_SIZED)
        if set(sized) != set(_SIZED) or {"xmax", "ymax"} & set(at):
            return None
        taken = set(sized.values())
        at = {column: place for column, place in at.items() if place not in taken} | sized
    if not {"filename", "class", "xmin", "ymin"} <= set(at):
        return None
    unread = tuple(name for place, name in enumerate(header) if name and place not in at.values())
    return _Columns(at, True, len(header), unread)


def _usual_columns(first: list[str]) -> _Columns | None:
    """The columns of a file without a header."""
    if len(first) == len(_RETINANET) and is_picture(first[0]) and (not any(first[1:]) or _are_numbers(first[1:5])):
        return _Columns({column: place for place, column in enumerate(_RETINANET)}, False, len(first))
    if len(first) == len(_TUTORIAL) and is_picture(first[0]) and _are_numbers([*first[1:3], *first[4:]]):
        return _Columns({column: place for place, column in enumerate(_TUTORIAL)}, False, len(first))
    if len(first) == len(_MAKE_SENSE) and is_picture(first[5]) and _are_numbers([*first[1:5], *first[6:]]):
        return _Columns({column: place for place, column in enumerate(_MAKE_SENSE)}, False, len(first))
    if len(first) >= 9 and first[0].upper() in _AUTOML_SETS and is_picture(first[1]):
        return _Columns(_AUTOML, False, 11)
    return None


def _are_numbers(cells: list[str]) -> bool:
    try:
        return bool([number(cell) for cell in cells])
    except BrokenError:
        return False


def read(reading: Reading) -> SourceSet:
    """Reads all files with such columns, a split each."""
    images: dict[tuple[str | None, str, str], SourceImage] = {}
    listed: dict[str, None] = {}
    for file in reading.candidates(".csv"):
        columns = _columns(reading.tree.path(file))
        if columns is None:
            if reading.file is not None:
                raise BrokenError(f"{shown(file)}: expected the columns {', '.join(_NEEDED)}")
            if classes := _class_list(reading.tree.path(file)):
                listed |= dict.fromkeys(classes)
                continue
            reading.account.noted("a CSV without columns for a file, a class and corners, ignored", shown(file))
            continue
        reading.account.went_in.files += 1
        split = reading.split_of_file(file)
        _read_file(reading, file, columns, split, images)
    reading.account.went_in.images = len(images)
    labels = sorted({found.label for image in images.values() for found in image.objects})
    return SourceSet(list(images.values()), dict.fromkeys([*listed, *labels]), frame="raw")


def _class_list(path: Path) -> list[str]:
    """The names in a list of classes, in the order of their numbers; none where a file is not one."""
    try:
        rows = [row for _, row in read_rows(path)]
    except BrokenError:
        return []
    pairs = [(whole(row[1]), class_name(row[0])) for row in rows if len(row) == 2]
    named = {number_: name for number_, name in pairs if number_ is not None and name is not None}
    is_list = len(named) == len(rows) and sorted(named) == list(range(len(rows)))
    return [named[number_] for number_ in sorted(named)] if is_list else []


def _read_file(
    reading: Reading,
    file: str,
    columns: _Columns,
    split: str | None,
    images: dict[tuple[str | None, str, str], SourceImage],
) -> None:
    account = reading.account
    if columns.unread:
        account.noted(f"columns that are not read: {shown(', '.join(columns.unread))}", shown(file))
    if "box width" in columns.at:
        account.changed("boxes are a corner and a size by the names of their columns", shown(file))
    try:
        for position, (line, cells) in enumerate(read_rows(reading.tree.path(file))):
            if not position and columns.header:
                continue
            row = {column: cells[at] if at < len(cells) else "" for column, at in columns.at.items()}
            where = f"{shown(file)}: line {line}"
            is_named = bool(parts_of(row["filename"]))
            if not is_named or any(cells[columns.count :]) or len(cells) <= max(columns.at.values()):
                expected = f"{columns.count} columns, got {len(cells)}" if is_named else "the name of an image"
                account.went_in.boxes += 1
                account.broken(f"expected {expected}", where, boxes=1)
                continue
            own = split_named(row.get("split", "")) or split
            key = (own, file if own is None else "", row["filename"])
            if key not in images:
                images[key] = SourceImage(row["filename"], where, f"{shown(file)}: line {{}}", split=own)
                images[key].size = size_of(row.get("width"), row.get("height"))
            _read_row(reading, row, line, images[key])
    except BrokenError as error:
        account.broken(str(error), shown(file))


def _read_row(reading: Reading, row: dict[str, str], line: int, image: SourceImage) -> None:
    sides = [row[side] for side in ("xmin", "ymin", *(_SIDES[2:] if "xmax" in row else ("box width", "box height")))]
    if all(cell.lower() in _NOTHING for cell in (row["class"], *sides)):
        return  # a negative
    reading.account.went_in.boxes += 1
    where = image.place_at(line)
    try:
        if (label := reading.class_name(row["class"])) is None:
            raise BrokenError("expected the name of a class")
        xmin, ymin, xmax, ymax = (number(side, "each corner") for side in sides)
    except BrokenError as error:
        reading.account.broken(str(error), where, boxes=1, of=image)
        return
    bbox = (xmin, ymin, xmax, ymax) if "xmax" in row else corners(xmin, ymin, xmax, ymax)
    image.objects.append(SourceObject(label, bbox, line))
