"""TFRecord files of TensorFlow's Object Detection API: the images themselves, with boxes in shares of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from boxwright.dataset.examples import BrokenRecordError, decode_example, read_records
from boxwright.dataset.importing.source import (
    BrokenError,
    Reading,
    SourceImage,
    SourceObject,
    SourceSet,
    head_of,
    parts_of,
    read_text,
    shown,
)

_NAME = re.compile(r"(\.(tf)?records?|\.tfrec)(-\d+-of-\d+)?(\.gz)?$|-\d{5}-of-\d{5}$", re.I)
_TEXT = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_COMMENT = re.compile(rf"({_TEXT})|#[^\n]*")
_ITEM = re.compile(rf"item\s*:?\s*\{{((?:{_TEXT}|[^}}\"'])*)\}}")
_GZIP = b"\x1f\x8b"
_ID = re.compile(r"\bid\s*:\s*(\d+)")
_LABEL = re.compile(r"\b(?:display_name|name)\s*:\s*([\"'])((?:\\.|(?!\1).)*)\1")
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def recognise(reading: Reading) -> str | None:
    """Why this looks like the Object Detection API's records, or None."""
    for name in _files(reading):
        try:
            with reading.tree.path(name).open("rb") as file:
                first = next(iter(read_records(file)), b"")
        except (OSError, BrokenRecordError):
            first = b""
        if b"image/encoded" in first:
            return f"{shown(name)} has records with image/encoded"
        if _is_compressed(reading.tree.path(name)):
            return f"{shown(name)} is a compressed file of records"
    return None


def _is_compressed(path: Path) -> bool:
    return head_of(path, len(_GZIP)) == _GZIP


def is_record_file(name: str) -> bool:
    """Whether a file is one of records by its name: `train.record-00000-of-00010`, `a.tfrecord`."""
    return _NAME.search(name) is not None


def _files(reading: Reading) -> list[str]:
    candidates = reading.tree.files if reading.file is None else [reading.file]
    return list(filter(is_record_file, candidates))


@dataclass(frozen=True)
class _Bytes:
    """The encoded image of a record, read again when it is written, so that only one is in memory."""

    path: Path
    index: int
    start: int

    def __call__(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.start)
            data = next(iter(read_records(file)))
        value = decode_example(data)["image/encoded"][0]
        return value if isinstance(value, bytes) else b""


def read(reading: Reading) -> SourceSet:
    """Reads all records of a set, in the splits that the files are named after."""
    label_map = _label_map(reading)
    images: list[SourceImage] = []
    for file in _files(reading):
        reading.account.went_in.files += 1
        split = reading.split_of_file(file)
        images += _read_file(reading, file, split, label_map)
    used = {found.label for image in images for found in image.objects}
    listed = [label_map[key] for key in sorted(label_map)]
    labels: dict[str, int | None] = {label_map[key]: key for key in sorted(label_map)}
    if used - set(listed):
        labels = dict.fromkeys([*listed, *sorted(used - set(listed))])
    return SourceSet(images, labels, frame="raw")


def _read_file(reading: Reading, file: str, split: str | None, label_map: Mapping[int, str]) -> Iterator[SourceImage]:
    path, start = reading.tree.path(file), 0
    if _is_compressed(path):
        reading.account.broken("compressed with gzip; decompress it first", shown(file))
        return
    try:
        with path.open("rb") as opened:
            for index, data in enumerate(read_records(opened)):
                reading.account.went_in.images += 1
                try:
                    image = _image(data, file, index, reading, label_map)
                    image.split, image.content = split, _Bytes(path, index, start)
                    yield image
                except BrokenError as error:
                    reading.account.broken(str(error), f"{shown(file)}: record {index}", images=1)
                start = opened.tell()
    except (OSError, BrokenRecordError) as error:
        reading.account.broken(str(error), shown(file))


def _image(data: bytes, file: str, index: int, reading: Reading, label_map: Mapping[int, str]) -> SourceImage:
    where = f"{shown(file)}: record {index}"
    try:
        features = decode_example(data)
    except BrokenRecordError as error:
        raise BrokenError(str(error)) from None
    encoded = features.get("image/encoded")
    if not encoded or not isinstance(encoded[0], bytes) or not encoded[0]:
        raise BrokenError(f"expected image/encoded, got the features {', '.join(sorted(map(shown, features)))[:200]}")
    names = _texts(features.get("image/filename") or features.get("image/source_id") or [])
    parts = parts_of(names[0]) if names else []
    kind = "png" if encoded[0].startswith(b"\x89PNG") else "jpg"
    name = parts[-1] if parts else f"{PurePosixPath(file).stem}-{index:06}.{kind}"
    image = SourceImage(name, where, f"{where}: object {{}}", normalised=True, out_name=name)
    sides = [features.get(f"image/object/bbox/{side}") or [] for side in _SIDES]
    count = max(map(len, sides))
    reading.account.went_in.boxes += count
    labels = _labels(features, count, label_map, where, reading)
    crowds = _crowds(features, count, where, reading)
    if not count and features.get("image/object/class/label"):
        reading.account.noted("classes of objects without boxes, ignored", where)
    if any(len(values) != count for values in sides) or len(labels) != count:
        _name_lengths(reading, image, count, [len(values) for values in sides], len(labels))
        return image
    for position, bbox in enumerate(zip(*sides, strict=True)):
        xmin, ymin, xmax, ymax = (float(value) for value in bbox)
        if not all(abs(value) < 10 for value in (xmin, ymin, xmax, ymax)):
            reading.account.broken(
                "expected shares of the image from 0 to 1", image.place_at(position), boxes=1, of=image
            )
            continue
        label = labels[position]
        if label is None:
            reading.account.broken("a class without class/text and without an entry in a label map (.pbtxt)",
                                   image.place_at(position), boxes=1, of=image)  # fmt: skip
            continue
        image.objects.append(SourceObject(label, (xmin, ymin, xmax, ymax), position, position in crowds))
    return image


def _crowds(features: Mapping[str, Sequence[object]], count: int, where: str, reading: Reading) -> set[int]:
    """Positions of what stands around many objects, or is marked as difficult."""
    found: set[int] = set()
    for name in ("is_crowd", "group_of", "difficult"):
        marked = {
            at for at, value in enumerate(features.get(f"image/object/{name}") or ()) if value == 1 and at < count
        }
        found |= marked
        if name == "difficult":
            for at in sorted(marked):
                reading.account.changed("marked as difficult: neither trained on nor counted (a crowd)",
                                        f"{where}: object {at}")  # fmt: skip
    return found


def _name_lengths(reading: Reading, image: SourceImage, count: int, sides: Sequence[int], labels: int) -> None:
    """Names a record whose lists do not fit each other."""
    lengths = ", ".join(map(str, sides))
    reading.account.broken(
        f"lists of {lengths} corners and {labels} classes do not fit", image.where, boxes=count, of=image
    )


def _texts(values: Sequence[object]) -> list[str]:
    return [value.decode("utf-8", "replace") for value in values if isinstance(value, bytes)]


def _labels(
    features: Mapping[str, Sequence[object]], count: int, label_map: Mapping[int, str], where: str, reading: Reading
) -> list[str | None]:
    texts = _texts(features.get("image/object/class/text") or [])
    numbers = features.get("image/object/class/label") or []
    mapped = [label_map.get(value) if isinstance(value, int) else None for value in numbers]
    if len(texts) == count and all(reading.class_name(text) for text in texts):
        for text, name in zip(texts, mapped, strict=False):
            if name is not None and name != text.strip():
                reason = f"class/text is {shown(text)} where the label map has {shown(name)}; the text is taken"
                reading.account.noted(reason, where)
        return [text.strip() for text in texts]
    return list(mapped)


def _label_map(reading: Reading) -> dict[int, str]:
    """Names by id, from the label maps beside the records."""
    found: dict[int, str] = {}
    for name in reading.tree.ending(".pbtxt"):
        try:
            text = read_text(reading.tree.path(name))
        except BrokenError as error:
            raise BrokenError(f"{shown(name)}: {error}") from None
        for item in _ITEM.findall(_COMMENT.sub(r"\1", text)):
            key, labels = _ID.search(item), {match[0]: match[2] for match in _LABEL.finditer(item)}
            shown_first = sorted(labels, key=lambda words: not words.startswith("display_name"))
            if key and labels:
                found[int(key[1])] = re.sub(r"\\(.)", r"\1", labels[shown_first[0]])
    return found
