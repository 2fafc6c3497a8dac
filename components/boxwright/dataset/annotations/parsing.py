"""Reads the structure of an annotations file, going on after each fault so that one pass names all of them."""

from __future__ import annotations

import gc
import json
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from boxwright.dataset.annotations.records import Annotations, BBox, Box, Fault, ImageRecord
from boxwright.errors import DataError, shorten
from boxwright.storage import unsafe_key

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png")
LARGEST_ID = 2**63 - 1
_LARGEST_SIDE = 65_535


class Malformed(ValueError):
    """A record that cannot be used.

    Attributes:
        rule: name of the rule it breaks.
        value: what was found.
        advice: what was expected.
    """

    def __init__(self, rule: str, value: Any, advice: str) -> None:
        super().__init__(advice)
        self.rule, self.value, self.advice = rule, value, advice


def scan_document(document: dict[str, Any]) -> tuple[Annotations, list[Fault]]:
    """Makes records of what can be read.

    Args:
        document: as `read_document` gives it.

    Returns:
        The well-formed records, and a fault for every other one. Boxes may hold NaN or infinity, and ids that
        `categories` lacks: these are left to the caller. All image ids refer to images that are there.
    """
    faults: list[Fault] = []
    images = _each(document["images"], "images", read_image, faults)
    categories = _each(document.get("categories", []), "categories", read_category, faults)
    boxes = _each(document["annotations"], "annotations", read_box, faults)

    good_images = _unique(images, "images", (("id", lambda i: i.id), ("file_name", lambda i: i.file_name)), faults)
    good_categories = _unique(categories, "categories", (("id", lambda c: c[0]), ("name", lambda c: c[1])), faults)
    # An image with a fault is reported once, not again for each of its boxes.
    declared = {raw_id(record) for record in document["images"]}
    good_boxes = [box for _, box in boxes if _refers(box, declared, faults)]

    usable = {image.id for image in good_images}
    named = "categories" in document
    names = dict(good_categories) if named else {box.category_id: f"class_{box.category_id}" for box in good_boxes}
    annotations = Annotations(
        tuple(good_images), tuple(box for box in good_boxes if box.image_id in usable), names, named=named
    )
    return annotations, faults


def read_document(data: bytes, source: str) -> dict[str, Any]:
    """Reads the file as a whole; its records are not looked at.

    Args:
        data: the file, untrusted.
        source: its name in errors.

    Raises:
        DataError: the bytes are no JSON object with the lists images and annotations.
    """
    try:
        with _without_collection():
            document = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{source}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}; is it complete?"
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{source}: not usable JSON: {shorten(str(error) or type(error).__name__)}") from None
    if not isinstance(document, dict):
        raise DataError(f"{source}: expected an object with images and annotations, got {type(document).__name__}")
    for key in ("images", "annotations", *(("categories",) if "categories" in document else ())):
        if not isinstance(document.get(key), list):
            got = type(document[key]).__name__ if key in document else "nothing"
            raise DataError(f"{source}: expected a list {key}, got {got}; the keys are {shorten(sorted(document))}")
    return document


@contextmanager
def _without_collection() -> Iterator[None]:
    """Millions of new objects make the collector look at all of them again and again; none is garbage here."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _each(
    records: list[Any], where: str, read: Callable[[int, Any], Any], faults: list[Fault]
) -> list[tuple[int, Any]]:
    good = []
    for index, record in enumerate(records):
        try:
            good.append((index, read(index, record)))
        except Malformed as error:
            faults.append(Fault(error.rule, where, index, error.value, error.advice, file_of(record)))
    return good


def file_of(record: Any) -> str | None:
    """The file that an image record names, as far as it names one."""
    name = record.get("file_name") if isinstance(record, dict) else None
    return name if isinstance(name, str) else None


def raw_id(record: Any) -> int | None:
    """The id that a record gives, also where the record is malformed."""
    value = record.get("id") if isinstance(record, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_ID else None


def _object(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise Malformed("wrong_type", record, "expected an object")
    return record


def read_image(_: int, record: Any) -> ImageRecord:
    """An image record.

    Raises:
        Malformed: it is none.
    """
    record = _object(record)
    return ImageRecord(
        id=_integer(record, "id", 0, LARGEST_ID),
        file_name=_file_name(record),
        width=_integer(record, "width", 1, _LARGEST_SIDE),
        height=_integer(record, "height", 1, _LARGEST_SIDE),
    )


def read_category(_: int, record: Any) -> tuple[int, str]:
    """A category's id and name.

    Raises:
        Malformed: it is none.
    """
    record = _object(record)
    name = _present(record, "name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise Malformed("wrong_type", name, "name must be printable text that is not empty")
    return _integer(record, "id", 0, LARGEST_ID), name


def read_box(index: int, record: Any) -> Box:
    """A box; its numbers may be NaN or infinite.

    Raises:
        Malformed: it is none.
    """
    record = _object(record)
    return Box(
        index=index,
        image_id=_integer(record, "image_id", 0, LARGEST_ID),
        category_id=_integer(record, "category_id", 0, LARGEST_ID),
        bbox=_bbox(record),
        crowd=record.get("iscrowd") in (1, True),
    )


def _present(record: dict[str, Any], key: str) -> Any:
    if key not in record:
        raise Malformed("missing_key", record, f"expected the key {key}")
    return record[key]


def _integer(record: dict[str, Any], key: str, least: int, most: int) -> int:
    value = _present(record, key)
    # bool is an int in Python, not in JSON.
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Malformed("wrong_type", value, f"{key} must be an integer from {least} to {most}")
    return value


def _bbox(record: dict[str, Any]) -> BBox:
    value = _present(record, "bbox")
    if isinstance(value, list) and len(value) == 4 and all(_is_number(number) for number in value):
        xmin, ymin, xmax, ymax = (_to_float(number) for number in value)
        return xmin, ymin, xmax, ymax
    raise Malformed("box_not_finite", value, "bbox must be four numbers [xmin, ymin, xmax, ymax] in pixels")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _to_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _file_name(record: dict[str, Any]) -> str:
    name = _present(record, "file_name")
    if not isinstance(name, str):
        raise Malformed("wrong_type", name, "file_name must be text, relative to images/")
    if reason := unsafe_key(name):
        raise Malformed("file_name_unsafe", name, f"file_name {reason}")
    if posixpath.splitext(name)[1].lower() not in IMAGE_EXTENSIONS:
        advice = f"file_name must end in {', '.join(IMAGE_EXTENSIONS)}; convert the image"
        raise Malformed("file_extension_unknown", name, advice)
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
                faults.append(Fault(f"{name}_not_unique", where, index, key(record), advice))
        if not clash:
            good.append(record)
    return good


def _refers(box: Box, declared: set[Any], faults: list[Fault]) -> bool:
    if box.image_id in declared:
        return True
    advice = "image_id is that of no image; correct it or add the image"
    faults.append(Fault("image_id_unknown", "annotations", box.index, box.image_id, advice))
    return False
