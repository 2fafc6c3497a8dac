"""The records of COCO's detection format, each by itself: ids, names of files, boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from boxwright.dataset.importing.source import (
    BBox,
    BrokenError,
    around,
    around_all,
    around_mask,
    around_rotated,
    corners,
    number,
    parts_of,
    read_json,
    shown,
    whole,
)
from boxwright.errors import shorten

Id = int | str
_CORNERS = 0  # XYXY_ABS of Detectron2's BoxMode
_LARGEST_ID = (1 << 63) - 1
_LISTS = ("images", "annotations", "categories")
_OTHER_NAMES = ("path", "coco_url", "url", "flickr_url")


class FoundBox(NamedTuple):
    """The box of an annotation.

    Attributes:
        bbox: xyxy in pixels, or None where the record has none.
        made: what it was made from and why, where it is not what `bbox` says.
        written: the numbers of `bbox` where the box is what they say.
    """

    bbox: BBox | None
    made: str = ""
    written: BBox | None = None


def document_of(path: Path, file: str) -> dict[str, Any]:
    """The content of a file, which has the lists of images, annotations and categories.

    Raises:
        BrokenError: it has not; the message says what is there instead.
    """
    try:
        document = read_json(path)
    except BrokenError as error:
        raise BrokenError(f"{shown(file)}: {error}") from None
    if not isinstance(document, dict):
        raise BrokenError(f"{shown(file)}: expected an object with {', '.join(_LISTS)}, got {type(document).__name__}")
    for key in _LISTS:
        if document.get(key) is None and key == "categories":
            document[key] = []
        if not isinstance(document.get(key), list):
            got = type(document[key]).__name__ if key in document else "nothing"
            raise BrokenError(f"{shown(file)}: expected a list {key}, got {got}")
    return document


def id_of(value: Any) -> Id | None:
    """An id, the same whether it is written as a number or as text."""
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.isdecimal() and len(text) < 19 and str(int(text)) == text else text or None
    return whole(value)


def is_label_studios(document: dict[str, Any]) -> bool:
    """Whether Label Studio wrote it: its sizes are of pictures as stored, its boxes drawn on them as shown."""
    info = document.get("info")
    return isinstance(info, dict) and info.get("contributor") == "Label Studio"


def own_id(key: Id) -> int | None:
    """An id of a category that can be kept."""
    return key if isinstance(key, int) and 0 <= key <= _LARGEST_ID else None


def box_of(record: dict[str, Any]) -> FoundBox:
    """The box of an annotation: its `bbox`, or what surrounds its segmentation where that has none or no area.

    Raises:
        BrokenError: `bbox` is not four numbers.
    """
    if "segments_info" in record:
        raise BrokenError("panoptic segments are not read; give the instances of the set")
    value = record.get("bbox")
    if value is None or value == []:
        outline = _outline(record.get("segmentation"))
        return FoundBox(outline, "" if outline is None else "from the segmentation, as there is none")
    if not isinstance(value, list) or len(value) != 4:
        raise BrokenError(f"expected bbox as [x, y, width, height], got {shorten(value)}")
    x, y, width, height = [number(side, "each number of bbox") for side in value]
    if record.get("bbox_mode") == _CORNERS:
        return FoundBox((x, y, width, height), "from corners, as bbox_mode says")
    if not width or not height:
        outline = _outline(record.get("segmentation"))
        if outline is not None and outline[0] < outline[2] and outline[1] < outline[3]:
            return FoundBox(outline, "from the segmentation, as bbox has no area")
    attributes = record.get("attributes")
    if isinstance(attributes, dict) and (angle := number(attributes.get("rotation") or 0, "rotation")):
        turned = around_rotated(x + width / 2, y + height / 2, width, height, angle)
        return FoundBox(turned, "around a rotated one")
    return FoundBox(corners(x, y, width, height), written=(x, y, width, height))


def file_name_of(record: Any) -> tuple[str, str]:
    """The name of an image's file, and the field that has it.

    Raises:
        BrokenError: the record names no file, or has no id.
    """
    if not isinstance(record, dict):
        raise BrokenError(f"expected an object, got {shorten(record)}")
    field = "file_name"
    if record.get(field) is None:
        field = next((other for other in _OTHER_NAMES if isinstance(record.get(other), str)), field)
    name = record.get(field)
    if not isinstance(name, str) or not parts_of(name):
        raise BrokenError(f"expected file_name, got {shorten(name)}")
    if id_of(record.get("id")) is None:
        raise BrokenError(f"expected id, got {shorten(record.get('id'))}")
    return name, field


def _outline(segmentation: Any) -> BBox | None:
    """The box around polygons or a mask; None where there is neither."""
    if isinstance(segmentation, dict) and segmentation:
        return around_mask(segmentation)
    if isinstance(segmentation, list):
        flat = [segmentation] if segmentation and not isinstance(segmentation[0], list) else segmentation
        return around_all([around(polygon) for polygon in flat if polygon]) if any(flat) else None
    return None
