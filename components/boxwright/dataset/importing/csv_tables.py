"""The CSV of the TensorFlow tutorials: a row an object, with the columns of `xml_to_csv.py` in any order.

Without a header, it is keras-retinanet's: path, x1, y1, x2, y2, class; five empty columns stand for a negative.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from boxwright.dataset.importing.numbers import number, size_of
from boxwright.dataset.importing.reading import Reading
from boxwright.dataset.importing.records import BrokenError, SourceImage, SourceObject, SourceSet, shown
from boxwright.dataset.importing.texts import read_rows
from boxwright.dataset.importing.tree import is_picture, parts_of, split_named, split_of

Rows = Iterator[tuple[int, dict[str, str]]]
_COLUMNS = {
    "filename": ("filename", "file_name", "file", "image", "image_path", "path", "image_name", "img", "image_id"),
    "class": ("class", "label", "name", "class_name", "category"),
    "xmin": ("xmin", "x_min", "x1", "left"),
    "ymin": ("ymin", "y_min", "y1", "top"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
    "width": ("width", "image_width", "img_width"),
    "height": ("height", "image_height", "img_height"),
}
_NEEDED = ("filename", "class", "xmin", "ymin", "xmax", "ymax")
_BARE = ("filename", "xmin", "ymin", "xmax", "ymax", "class")


def recognise(reading: Reading) -> str | None:
    """Why this looks like such a CSV, or None."""
    for name in reading.candidates(".csv"):
        if _columns(reading.tree.path(name)) is not None:
            return f"{shown(name)} has columns for a file, a class and corners"
    return None


def _columns(path: Path) -> dict[str, int] | None:
    """The position of each column; with `header` 1 where the first row names them."""
    try:
        _, first = next(iter(read_rows(path)), (0, []))
    except BrokenError:
        return None
    lowered = [cell.lower() for cell in first]
    found = {
        column: next(lowered.index(name) for name in names if name in lowered)
        for column, names in _COLUMNS.items()
        if any(name in lowered for name in names)
    }
    if all(column in found for column in _NEEDED):
        return found | {"header": 1}
    if len(first) == 6 and is_picture(first[0]) and (not any(first[1:]) or _are_numbers(first[1:5])):
        return {column: index for index, column in enumerate(_BARE)} | {"header": 0}
    return None


def _are_numbers(cells: list[str]) -> bool:
    try:
        return bool([number(cell) for cell in cells])
    except BrokenError:
        return False


def read(reading: Reading) -> SourceSet:
    """Reads all files with such columns, a split each."""
    images: dict[tuple[str | None, str, str], SourceImage] = {}
    for file in reading.candidates(".csv"):
        columns = _columns(reading.tree.path(file))
        if columns is None:
            if reading.file is not None:
                raise BrokenError(f"{shown(file)}: expected the columns {', '.join(_NEEDED)}")
            reading.account.noted("a CSV without columns for a file, a class and corners, ignored", shown(file))
            continue
        reading.account.went_in.files += 1
        split = None
        if reading.file is None:
            split = split_named(file.rpartition("/")[2]) or split_of(file.rpartition("/")[0])
        _read_file(reading, file, columns, split, images)
    reading.account.went_in.images = len(images)
    labels = sorted({found.label for image in images.values() for found in image.objects})
    return SourceSet(list(images.values()), dict.fromkeys(labels), frame="raw")


def _read_file(
    reading: Reading,
    file: str,
    columns: dict[str, int],
    split: str | None,
    images: dict[tuple[str | None, str, str], SourceImage],
) -> None:
    account = reading.account
    try:
        for position, (line, cells) in enumerate(read_rows(reading.tree.path(file))):
            if position < columns["header"]:
                continue
            row = {column: cells[at] if at < len(cells) else "" for column, at in columns.items() if column != "header"}
            where = f"{shown(file)}: line {line}"
            if not parts_of(row["filename"]):
                account.went_in.boxes += 1
                account.broken("expected the name of an image", where, boxes=1)
                continue
            key = (split, file if split is None else "", row["filename"])
            if key not in images:
                images[key] = SourceImage(row["filename"], where, f"{shown(file)}: line {{}}", split=split)
                images[key].size = size_of(row.get("width"), row.get("height"))
            _read_row(reading, row, line, images[key])
    except BrokenError as error:
        account.broken(str(error), shown(file))


def _read_row(reading: Reading, row: dict[str, str], line: int, image: SourceImage) -> None:
    sides = [row[side] for side in ("xmin", "ymin", "xmax", "ymax")]
    if not row["class"] and not any(sides):
        return  # a negative
    reading.account.went_in.boxes += 1
    where = image.object_at.format(line)
    try:
        if not row["class"] or not row["class"].isprintable():
            raise BrokenError("expected the name of a class")
        xmin, ymin, xmax, ymax = (number(side, "each corner") for side in sides)
    except BrokenError as error:
        reading.account.broken(str(error), where, boxes=1)
        return
    image.objects.append(SourceObject(row["class"], (xmin, ymin, xmax, ymax), line))
