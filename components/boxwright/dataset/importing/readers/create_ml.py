"""Apple's Create ML: a JSON list of images, with boxes by their centre and size in pixels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from boxwright.dataset.importing.source import (
    BrokenError,
    Reading,
    SourceImage,
    SourceObject,
    SourceSet,
    head_of,
    number,
    parts_of,
    read_json,
    shown,
)
from boxwright.errors import shorten

_EMPTY = re.compile(rb'"annotations?"\s*:\s*\[\s*\]\s*[,}]')
_BY = "a list of images with annotations"
_NAMES = ("image", "imagefilename", "filename")


def recognise(reading: Reading) -> str | None:
    """Why this looks like Create ML, or None."""
    return reading.recognised(_is_create_ml, _BY, ".json")


def _is_create_ml(path: Path) -> bool:
    head = head_of(path)
    named = any(f'"{name}"'.encode() in head for name in _NAMES)
    # Where no image of a file has an object, its lists are empty; those of Label Studio's tasks have data beside them.
    empty = b'"data"' not in head and _EMPTY.search(head) is not None
    return head.startswith(b"[") and named and (b'"coordinates"' in head or empty)


def read(reading: Reading) -> SourceSet:
    """Reads all files of a set, a split each."""
    images: list[SourceImage] = []
    for file in reading.chosen(_is_create_ml, _BY, ".json"):
        try:
            records = read_json(reading.tree.path(file))
        except BrokenError as error:
            raise BrokenError(f"{shown(file)}: {error}") from None
        if not isinstance(records, list):
            raise BrokenError(f"{shown(file)}: expected a list of images, got {type(records).__name__}")
        reading.account.went_in.files += 1
        split = reading.split_of_file(file)
        for index, record in enumerate(records):
            reading.account.went_in.images += 1
            where = f"{shown(file)}: [{index}]"
            try:
                images.append(_image(record, where, split, reading))
            except BrokenError as error:
                reading.account.broken(str(error), where, images=1)
    labels = sorted({found.label for image in images for found in image.objects})
    return SourceSet(images, dict.fromkeys(labels))


def _image(record: Any, where: str, split: str | None, reading: Reading) -> SourceImage:
    if not isinstance(record, dict):
        raise BrokenError(f"expected an object, got {shorten(record)}")
    name = next((record[key] for key in _NAMES if isinstance(record.get(key), str)), None)
    boxes = record.get("annotations", record.get("annotation"))
    if name is None or not parts_of(name) or not isinstance(boxes, list):
        raise BrokenError(f"expected image and a list annotations, got {shorten(record)}")
    image = SourceImage(name, where, f"{where}: annotations[{{}}]", split=split)
    for position, box in enumerate(boxes):
        reading.account.went_in.boxes += 1
        try:
            image.objects.append(_object(box, position, reading))
        except BrokenError as error:
            reading.account.broken(str(error), image.place_at(position), boxes=1, of=image)
    return image


def _object(box: Any, position: int, reading: Reading) -> SourceObject:
    written = box.get("label") if isinstance(box, dict) else None
    if (label := reading.class_name(written)) is None:
        raise BrokenError(f"expected a label, got {shorten(written)}")
    given = box.get("coordinates")
    if not isinstance(given, dict):
        raise BrokenError(f"expected coordinates, got {shorten(given)}")
    x, y, width, height = (number(given.get(key), key) for key in ("x", "y", "width", "height"))
    return SourceObject(label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2), position)
