"""Reads the structure of an annotations file, going on after each fault so that one pass names all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from components.dataset.records import Annotations, BBox, Box, Fault, ImageRecord, shorten
from components.errors import DataError
from components.storage import unsafe_key

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png")
RULE = "record is well formed"
_LARGEST_ID = 2**63 - 1
_LARGEST_SIDE = 65_535


class _Invalid(ValueError):
    """A value that cannot be used; args are the value and the advice."""


def scan_annotations(data: bytes, source: str) -> tuple[Annotations, list[Fault]]:
    """Reads what can be read.

    Args:
        data: the file, untrusted.
        source: its name in errors.

    Returns:
        The well-formed records, and a fault for every other one. Boxes may hold NaN or infinity, and ids that
        `categories` lacks: these are left to the caller's rules. All ids refer to images that are there.

    Raises:
        DataError: the bytes are no JSON object with the lists images and annotations.
    """
    document = _load(data, source)
    faults: list[Fault] = []
    images = _each(document["images"], "images", _image, faults)
    categories = _each(document.get("categories", []), "categories", _category, faults)
    boxes = _each(document["annotations"], "annotations", _box, faults)

    good_images = _unique(images, "images", (("id", lambda i: i.id), ("file_name", lambda i: i.file_name)), faults)
    good_categories = _unique(categories, "categories", (("id", lambda c: c[0]), ("name", lambda c: c[1])), faults)
    # An image with a fault is reported once, not again for each of its boxes.
    declared = {_raw_id(record) for record in document["images"]}
    good_boxes = [box for _, box in boxes if _refers(box, declared, faults)]

    usable = {image.id for image in good_images}
    named = "categories" in document
    names = dict(good_categories) if named else {box.category_id: f"class_{box.category_id}" for box in good_boxes}
    annotations = Annotations(
        tuple(good_images), tuple(box for box in good_boxes if box.image_id in usable), names, named=named
    )
    return annotations, faults


def _load(data: bytes, source: str) -> dict[str, Any]:
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{source}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}; is it complete?"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}: not usable JSON: {shorten(str(error))}") from None
    if not isinstance(document, dict):
        raise DataError(f"{source}: expected an object with images and annotations, got {type(document).__name__}")
    for key in ("images", "annotations", *(("categories",) if "categories" in document else ())):
        if not isinstance(document.get(key), list):
            got = type(document[key]).__name__ if key in document else "nothing"
            raise DataError(f"{source}: expected a list {key}, got {got}; the keys are {shorten(sorted(document))}")
    return document


def _each(
    records: list[Any], where: str, read: Callable[[int, dict[str, Any]], Any], faults: list[Fault]
) -> list[tuple[int, Any]]:
    good = []
    for index, record in enumerate(records):
        try:
            if not isinstance(record, dict):
                raise _Invalid(record, "expected an object")
            good.append((index, read(index, record)))
        except _Invalid as error:
            value, advice = error.args
            file = record.get("file_name") if isinstance(record, dict) else None
            faults.append(Fault(RULE, where, index, value, advice, file if isinstance(file, str) else None))
    return good


def _image(_: int, record: dict[str, Any]) -> ImageRecord:
    return ImageRecord(
        id=_integer(record, "id", 0, _LARGEST_ID),
        file_name=_file_name(record),
        width=_integer(record, "width", 1, _LARGEST_SIDE),
        height=_integer(record, "height", 1, _LARGEST_SIDE),
    )


def _category(_: int, record: dict[str, Any]) -> tuple[int, str]:
    name = record.get("name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise _Invalid(name, "name must be printable text that is not empty")
    return _integer(record, "id", 0, _LARGEST_ID), name


def _box(index: int, record: dict[str, Any]) -> Box:
    return Box(
        index=index,
        image_id=_integer(record, "image_id", 0, _LARGEST_ID),
        bbox=_bbox(record),
        category_id=_integer(record, "category_id", 0, _LARGEST_ID),
    )


def _integer(record: dict[str, Any], key: str, least: int, most: int) -> int:
    value = record.get(key)
    # bool is an int in Python, not in JSON.
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        got = value if key in record else record
        raise _Invalid(got, f"{key} must be an integer from {least} to {most}")
    return value


def _bbox(record: dict[str, Any]) -> BBox:
    value = record.get("bbox")
    if isinstance(value, list) and len(value) == 4 and all(_is_number(number) for number in value):
        xmin, ymin, xmax, ymax = (_to_float(number) for number in value)
        return xmin, ymin, xmax, ymax
    raise _Invalid(
        value if "bbox" in record else record, "bbox must be four numbers [xmin, ymin, xmax, ymax] in pixels"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _to_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _file_name(record: dict[str, Any]) -> str:
    name = record.get("file_name")
    if not isinstance(name, str):
        raise _Invalid(name if "file_name" in record else record, "file_name must be text, relative to images/")
    if reason := unsafe_key(name):
        raise _Invalid(name, f"file_name {reason}")
    if PurePosixPath(name).suffix.lower() not in IMAGE_EXTENSIONS:
        raise _Invalid(name, f"file_name must end in {', '.join(IMAGE_EXTENSIONS)}; convert the image")
    return name


def _unique(
    records: list[tuple[int, Any]], where: str, keys: tuple[tuple[str, Callable[[Any], Any]], ...], faults: list[Fault]
) -> list[Any]:
    good, seen = [], [dict[Any, int]() for _ in keys]
    for index, record in records:
        clash = False
        for (name, key), first in zip(keys, seen, strict=True):
            earlier = first.setdefault(key(record), index)
            if earlier != index:
                clash = True
                advice = f"{name} is that of {where}[{earlier}] already; give each its own"
                faults.append(Fault(RULE, where, index, key(record), advice))
        if not clash:
            good.append(record)
    return good


def _raw_id(record: Any) -> Any:
    value = record.get("id") if isinstance(record, dict) else None
    return value if isinstance(value, int) else None


def _refers(box: Box, declared: set[Any], faults: list[Fault]) -> bool:
    if box.image_id in declared:
        return True
    advice = "image_id is that of no image; correct it or add the image"
    faults.append(Fault(RULE, "annotations", box.index, box.image_id, advice))
    return False
