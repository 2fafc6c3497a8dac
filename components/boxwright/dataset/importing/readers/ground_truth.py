"""SageMaker Ground Truth: augmented manifests of object detection, JSON Lines with an image each.

A line has the image at `source-ref`, the boxes at the label attribute, and at `<attribute>-metadata` the names of the
classes, the confidences, and why a line failed; see "Bounding box job output" in its developer guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boxwright.dataset.importing.source import (
    BrokenError,
    Reading,
    SourceImage,
    SourceObject,
    SourceSet,
    corners,
    head_of,
    number,
    parse_json,
    read_text,
    shown,
    size_of,
    whole,
)
from boxwright.errors import shorten

_BY = "lines with source-ref"
_SUFFIXES = (".manifest", ".jsonl", ".json", ".lst", ".jsonlines")
_BOXES = "groundtruth/object-detection"
_METADATA = "-metadata"
_TOLD_BY = 1 << 16  # bytes


def recognise(reading: Reading) -> str | None:
    """Why this looks like Ground Truth's manifests, or None."""
    return reading.recognised(_is_manifest, _BY, *_SUFFIXES)


def _is_manifest(path: Path) -> bool:
    head = head_of(path, _TOLD_BY)
    return head.startswith(b"{") and b'"source-ref"' in head


def read(reading: Reading) -> SourceSet:
    """Reads all manifests, a split each."""
    images: list[SourceImage] = []
    classes: dict[int, str] = {}
    for file in reading.chosen(_is_manifest, _BY, *_SUFFIXES):
        reading.account.went_in.files += 1
        split = reading.split_of_file(file)
        images += _read_lines(reading, file, split, classes)
    named = [name for _, name in sorted(classes.items())]
    others = sorted({found.label for image in images for found in image.objects} - set(named))
    return SourceSet(images, dict.fromkeys([*named, *others]))


def _read_lines(reading: Reading, file: str, split: str | None, classes: dict[int, str]) -> Iterator[SourceImage]:
    try:
        text = read_text(reading.tree.path(file))
    except BrokenError as error:
        raise BrokenError(f"{shown(file)}: {error}") from None
    account = reading.account
    for line_number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        account.went_in.images += 1
        where = f"{shown(file)}: line {line_number}"
        try:
            record = _record(line)
            attribute = _attribute(record, where, reading)
        except BrokenError as error:
            account.broken(str(error), where, images=1)
            continue
        if attribute is None:
            account.left_out(f"no boxes of workers in this line{_kinds_of(record)}, so that it is not known whether it "
                             "is a negative", where, images=1)  # fmt: skip
            continue
        image = SourceImage(record["source-ref"], where, f"{where}: annotations[{{}}]", split=split)
        try:
            _read_boxes(record, attribute, image, classes, reading)
        except BrokenError as error:
            account.broken(str(error), where, images=1, boxes=len(image.objects))
            continue
        yield image


def _record(line: str) -> dict[str, Any]:
    record = parse_json(line)
    if not isinstance(record, dict) or not isinstance(record.get("source-ref"), str):
        raise BrokenError(f"expected an object with source-ref, got {shorten(record)}")
    return record


def _kinds_of(record: dict[str, Any]) -> str:
    """What else than boxes a line has, as it calls it."""
    kinds = {str(value["type"]) for key, value in record.items()
             if key.endswith(_METADATA) and isinstance(value, dict) and value.get("type")}  # fmt: skip
    others = sorted(kinds - {_BOXES})
    return f", only {shown(', '.join(others))}" if others else ""


def _attribute(record: dict[str, Any], where: str, reading: Reading) -> str | None:
    """The label attribute with boxes; the newest of several, as where labels were adjusted."""
    found = []
    for key, value in record.items():
        metadata = record.get(f"{key}{_METADATA}")
        if isinstance(value, dict) and "annotations" in value:
            date = metadata.get("creation-date") if isinstance(metadata, dict) else None
            found.append((date if isinstance(date, str) else "", key))
    for key, metadata in record.items():
        if key.endswith(_METADATA) and isinstance(metadata, dict) and metadata.get("failure-reason"):
            reason = shorten(metadata["failure-reason"])
            reading.account.noted(f"{shown(key)} tells a failure", f"{where}: {reason}")
            found = [(date, name) for date, name in found if f"{name}{_METADATA}" != key]
    rejected = [key for key, value in record.items() if key.endswith(_METADATA) and isinstance(value, dict)
                and str(value.get("class-name", "")).lower() in ("reject", "rejected")]  # fmt: skip
    if rejected:
        reading.account.noted("rejected by a worker", where)
        return None
    if len(found) > 1:
        reading.account.noted(f"several label attributes; the newest, {shown(max(found)[1])}, is taken", where)
    return max(found)[1] if found else None


def _read_boxes(
    record: dict[str, Any], attribute: str, image: SourceImage, classes: dict[int, str], reading: Reading
) -> None:
    labels, metadata = record[attribute], record.get(f"{attribute}{_METADATA}")
    names = metadata.get("class-map") if isinstance(metadata, dict) else None
    names = names if isinstance(names, dict) else {}
    sizes = labels.get("image_size")
    if isinstance(sizes, list) and sizes and isinstance(sizes[0], dict):
        image.size = size_of(sizes[0].get("width"), sizes[0].get("height"))
    if not isinstance(labels["annotations"], list):
        raise BrokenError(f"expected a list annotations, got {shorten(labels['annotations'])}")
    for index, box in enumerate(labels["annotations"]):
        reading.account.went_in.boxes += 1
        try:
            if not isinstance(box, dict):
                raise BrokenError(f"expected an object, got {shorten(box)}")
            label = _label(box.get("class_id"), names, classes, image.where, reading)
            left, top, width, height = (number(box.get(key), key) for key in ("left", "top", "width", "height"))
        except BrokenError as error:
            reading.account.broken(str(error), image.place_at(index), boxes=1, of=image)
            continue
        image.objects.append(SourceObject(label, corners(left, top, width, height), index))


def _label(class_id: Any, names: dict[str, Any], classes: dict[int, str], where: str, reading: Reading) -> str:
    """The name of a class by its line's own map; jobs of one manifest may count their classes in their own way."""
    key = whole(class_id)
    if key is None or key < 0:
        raise BrokenError(f"expected class_id, got {shorten(class_id)}")
    if names.get(str(key)) is None and key in classes:
        return classes[key]
    if (name := reading.class_name(names.get(str(key)))) is None:
        raise BrokenError(f"class_id {key} has no name in class-map, which has {shorten(sorted(names))}")
    if (earlier := classes.setdefault(key, name)) != name:
        reason = f"class_id {key} is {shown(name)} in this line and {shown(earlier)} in others; each is read by its own"
        reading.account.noted(reason, where)
    return name
