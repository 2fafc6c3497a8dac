"""The lines of YOLO's label files: `class x y w h` in shares of the image, a class and a polygon, and more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from boxwright.dataset.importing.readers.yolo_names import Names
from boxwright.dataset.importing.source import (
    Account,
    BBox,
    BrokenError,
    SourceImage,
    SourceObject,
    around,
    number,
    read_text,
    share,
    shown,
    whole,
)
from boxwright.errors import shorten

_FEWEST = 5  # columns of an object
_SLACK = 0.01  # of the image, by which keypoints are outside of their box


def is_label(path: Path) -> bool:
    """Whether a text file's first line is an object."""
    try:
        with path.open("rb") as file:
            head = file.read(4096).decode("utf-8-sig", "replace")
    except OSError:
        return False
    line = next((line for line in head.splitlines() if line.strip()), "")
    fields = line.split()
    try:
        return len(fields) >= 5 and whole(fields[0]) is not None and all(0 <= float(text) <= 2 for text in fields[1:5])
    except ValueError:
        return False


def read_label(path: Path, image: SourceImage, names: Names, account: Account) -> int:
    """Adds the objects of one label file; gives the largest class number."""
    try:
        lines = read_text(path).splitlines()
    except BrokenError as error:
        account.broken(str(error), image.where)
        return -1
    top = -1
    for line_number, line in enumerate(lines, 1):
        where = image.place_at(line_number)
        fields = line.split()
        if not fields:
            continue
        if line.count(",") >= _FEWEST - 1 and (len(fields) < _FEWEST or fields[0].endswith(",")):
            account.changed("columns between commas, read like those between spaces", where)
            fields = line.replace(",", " ").split()
        account.went_in.boxes += 1
        try:
            index = _class_of(fields[0], names, where, account)
            bbox = _bbox(fields, names.keypoints, where, account)
        except BrokenError as error:
            account.broken(str(error), where, boxes=1, of=image)
            continue
        top = max(top, index)
        label = f"class_{index}" if names.names is None else names.names[index]
        image.objects.append(SourceObject(label, bbox, line_number))
    return top


def _class_of(text: str, names: Names, where: str, account: Account) -> int:
    index = whole(text)
    if index is None and text in (names.names or {}).values():
        account.changed("a class by its name, not its number", where)
        return next(index for index, name in (names.names or {}).items() if name == text)
    if index is None or index < 0:
        raise BrokenError(f"expected the number of a class first, got {shorten(text)}")
    if names.names is None:
        if index > 100_000:
            raise BrokenError(f"the class {index} is no number of a class")
        return index
    if index not in names.names:
        is_whole = sorted(names.names) == list(range(len(names.names)))
        hint = "; are they counted from 1?" if is_whole and index == len(names.names) else ""
        which = "from 0 on" if is_whole else f"of {shorten(sorted(names.names))}"
        raise BrokenError(f"class {index} has no name; {shown(names.file)} has {len(names.names)} names, {which}{hint}")
    return index


def _bbox(fields: Sequence[str], keypoints: int, where: str, account: Account) -> BBox:
    values = [share(text) for text in fields[1:5]] + [number(text, "a number") for text in fields[5:]]
    if _has_keypoints(values, keypoints):
        account.changed("keypoints left out; the box is kept", where)
        values = values[:4]
    if len(values) in (4, 5):
        if len(values) == 5:
            account.changed("a sixth column, the confidence of a prediction, left out; the box is kept", where)
        x, y, width, height = values[:4]
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(values) < 6:
        raise BrokenError(f"expected class x y width height, or class and a polygon, got {len(fields)} columns")
    if len(values) % 2:
        account.changed("a last column, the confidence of a prediction, left out; the polygon is kept", where)
        values = values[:-1]
    account.changed("box made from a polygon", where)
    return around(share(value) for value in values)


def _has_keypoints(values: Sequence[float], keypoints: int) -> bool:
    """Whether keypoints follow a box: as many as data.yaml says, or each with a visibility of 0, 1 or 2.

    An even number of values may also be a polygon with corners at the edges of its image, unless a visibility is 2.
    """
    if keypoints:
        return len(values) in (4 + keypoints, 5 + keypoints)
    flags = values[6::3]
    if len(values) <= 4 or (len(values) - 4) % 3 or not all(flag in (0, 1, 2) for flag in flags):
        return False
    return 2 in flags or len(values) % 2 == 1 or _are_inside(values[4:], values[:4])


def _are_inside(keypoints: Sequence[float], box: Sequence[float]) -> bool:
    """Whether keypoints that are marked, each with a visibility behind it, lie in a box with a centre and a size."""
    x, y, width, height = box
    marked = [(keypoints[at], keypoints[at + 1]) for at in range(0, len(keypoints), 3) if keypoints[at + 2]]
    return bool(marked) and all(
        abs(across - x) <= width / 2 + _SLACK and abs(down - y) <= height / 2 + _SLACK for across, down in marked
    )
