"""LabelMe: one JSON file an image, with shapes; the image may be inside of it."""

from __future__ import annotations

import base64
import binascii
import math
from pathlib import Path, PurePosixPath
from typing import Any

from boxwright.dataset.importing.source import (
    BBox,
    BrokenError,
    Reading,
    SourceImage,
    SourceObject,
    SourceSet,
    around,
    around_all,
    number,
    parts_of,
    read_json,
    shown,
    size_of,
)
from boxwright.errors import shorten

_BY = "shapes and imagePath"
_OUTLINES = ("polygon", "mask")
_WITHOUT_EXTENT = ("point", "points", "line", "linestrip")


def recognise(reading: Reading) -> str | None:
    """Why this looks like LabelMe, or None."""
    return reading.recognised(_is_labelme, _BY, ".json")


def _is_labelme(path: Path) -> bool:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            ends = file.read(65536)
            file.seek(max(0, size - 4096))
            ends += file.read()  # behind the image, where it is in the file
        ends = ends.replace(b"\0", b"")  # of UTF-16
    except OSError:
        return False
    return b'"shapes"' in ends and b'"imagePath"' in ends


def read(reading: Reading) -> SourceSet:
    """Reads all files of a set, in the splits of its folders."""
    images = []
    for file in reading.chosen(_is_labelme, _BY, ".json"):
        reading.account.went_in.images += 1
        reading.account.went_in.files += 1
        try:
            images.append(_image(file, reading))
        except BrokenError as error:
            reading.account.broken(str(error), shown(file), images=1)
    labels = sorted({found.label for image in images for found in image.objects})
    return SourceSet(images, dict.fromkeys(labels), frozenset(("_background_", "__ignore__")))


def _image(file: str, reading: Reading) -> SourceImage:
    document = read_json(reading.tree.path(file))
    shapes = document.get("shapes") if isinstance(document, dict) else None
    if not isinstance(shapes, list):
        raise BrokenError(f"expected an object with a list shapes, got {shorten(document)}")
    stem = PurePosixPath(file).stem
    path = document.get("imagePath")
    name = path if isinstance(path, str) and parts_of(path) else stem
    image = SourceImage(name, shown(file), f"{shown(file)}: shapes[{{}}]", stand_ins=(stem,))
    image.size = size_of(document.get("imageWidth"), document.get("imageHeight"))
    image.split = reading.tree.split_of(file.rpartition("/")[0])
    if isinstance(data := document.get("imageData"), str) and data:
        image.content = _Content(data)
    _note_flags(document.get("flags"), image.where, reading)
    first: dict[tuple[str, str], SourceObject] = {}
    for position, shape in enumerate(shapes):
        reading.account.went_in.boxes += 1
        where = image.place_at(position)
        try:
            found = _object(shape, position, image, reading)
        except BrokenError as error:
            reading.account.broken(str(error), where, boxes=1, of=image)
            continue
        if found is None:
            continue
        group = _group_of(shape, found.label)
        if group is not None and (earlier := first.setdefault(group, found)) is not found:
            earlier.bbox = around_all([earlier.bbox, found.bbox])
            reading.account.went_in.boxes -= 1
            reading.account.changed("outlines of one label and group_id are one object; box around them", where)
            continue
        image.objects.append(found)
    return image


def _note_flags(flags: Any, where: str, reading: Reading) -> None:
    for flag, value in flags.items() if isinstance(flags, dict) else ():
        if value is True:
            reading.account.noted("a flag says something of the image and is not an object, ignored",
                                  f"{where}: {shown(str(flag))}")  # fmt: skip


def _group_of(shape: dict[str, Any], label: str) -> tuple[str, str] | None:
    """What all outlines of one object have in common; LabelMe's own converters put those of a group together."""
    group = shape.get("group_id")
    is_outline = (shape.get("shape_type") or "polygon") in _OUTLINES
    return (label, str(group)) if is_outline and isinstance(group, int | str) and group != "" else None


class _Content:
    """The bytes of an image that is written as base64."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self) -> bytes:
        try:
            return base64.b64decode(self._text)
        except (binascii.Error, ValueError):
            raise BrokenError("imageData is not base64") from None


def _object(shape: Any, position: int, image: SourceImage, reading: Reading) -> SourceObject | None:
    where = image.place_at(position)
    if not isinstance(shape, dict):
        raise BrokenError(f"expected a shape, got {shorten(shape)}")
    if (label := reading.class_name(shape.get("label"))) is None:
        raise BrokenError(f"expected a label, got {shorten(shape.get('label'))}")
    kind = shape.get("shape_type") or "polygon"
    points = shape.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise BrokenError(f"expected points, got {shorten(points)}")
    if kind in _WITHOUT_EXTENT:
        reading.account.left_out(f"a {kind} has no extent", where, boxes=1, of=image)
        return None
    return SourceObject(label, _bbox(kind, points, where, reading), position)


def _bbox(kind: str, points: list[list[Any]], where: str, reading: Reading) -> BBox:
    bbox = around(side for point in points for side in point)
    if kind == "rectangle" and len(points) == 2:
        return bbox
    reading.account.changed(f"box made from a {shown(str(kind), 40)}", where)
    if kind == "circle" and len(points) == 2:
        (x, y), edge = ([number(side, "a coordinate") for side in point] for point in points)
        radius = math.dist((x, y), edge)
        return x - radius, y - radius, x + radius, y + radius
    if kind == "mask":  # its points are the first and last pixel
        return bbox[0], bbox[1], bbox[2] + 1, bbox[3] + 1
    return bbox
