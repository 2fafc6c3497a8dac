"""Writes a set of Boxwright's as COCO, Pascal VOC or YOLO, so that it comes back the same."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from boxwright.config import ANNOTATIONS_FILE
from boxwright.dataset.annotations import Annotations, BBox, Box, ImageRecord, load_annotations, splits_below
from boxwright.dataset.importing.output.writing import appearing, link_or_copy, write_document
from boxwright.dataset.importing.source import Account, place, shown
from boxwright.errors import DataError, UsageError, did_you_mean
from boxwright.storage import write_atomic

_SHORT_SPLITS = {"training": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class _Target:
    """One split on its way out: its annotations, the folder of its images, and where it goes."""

    annotations: Annotations
    images: Path
    folder: Path
    split: str
    account: Account


def export_dataset(source: Path, out_dir: Path, kind: str, strict: bool = False) -> Account:
    """Writes every split of a set in another format. Images are linked where the file system can.

    Args:
        source: a folder in Boxwright's format, or of such folders for its splits.
        out_dir: a new or empty folder.
        kind: one of `EXPORTS`.
        strict: whether anything that the format cannot say is an error.

    Returns:
        What went in and out, and what the format cannot say.

    Raises:
        UsageError: `kind` is unknown, or `out_dir` holds something.
        DataError: the set is broken, or an image is missing; or a loss with `strict`.
    """
    if kind not in EXPORTS:
        near = did_you_mean(kind, EXPORTS)
        raise UsageError(f"--to {kind!a} is unknown{near}; expected one of {', '.join(EXPORTS)}")
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise UsageError(f"{out_dir} already exists; give a new or empty folder")
    account = Account(str(source))
    with appearing(out_dir) as whole:
        folders = splits_below(str(source))
        found = {split: load_annotations(Path(folder, ANNOTATIONS_FILE)) for split, folder in folders.items()}
        for split, annotations in found.items():
            _count(annotations, account)
            target = _Target(
                annotations, Path(folders[split], "images"), whole, split if len(found) > 1 else "", account
            )
            EXPORTS[kind](target)
        if kind == "yolo":
            _write_yaml(whole, list(found), next(iter(found.values())).classes)
        if strict:
            account.raise_if_lost()
        account.check_balance()
    return account


def _count(annotations: Annotations, account: Account) -> None:
    for side in (account.went_in, account.came_out):
        side.files += 1
        side.images += len(annotations.images)
        side.boxes += len(annotations.boxes)
        side.classes = max(side.classes, len(annotations.categories))
        side.negatives += sum(not boxes for boxes in annotations.boxes_by_image.values())


def _bring(target: _Target, image: ImageRecord, folder: Path) -> None:
    source = target.images / image.file_name
    if not source.is_file():
        raise DataError(f"{source} does not exist; put it there, or take it out of the set")
    (folder / image.file_name).parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(source, folder / image.file_name)


def _to_coco(target: _Target) -> None:
    found, folder = target.annotations, target.folder / target.split
    for image in found.images:
        _bring(target, image, folder / "images")
    write_document(
        folder / ANNOTATIONS_FILE,
        {
            "images": (
                {"id": image.id, "file_name": image.file_name, "width": image.width, "height": image.height}
                for image in found.images
            ),
            "annotations": (
                {
                    "id": number,
                    "image_id": box.image_id,
                    "category_id": box.category_id,
                    "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                    "area": (xmax - xmin) * (ymax - ymin),
                    "iscrowd": int(box.crowd),
                }
                for number, box in enumerate(found.boxes, 1)
                for xmin, ymin, xmax, ymax in [box.bbox]
            ),
            "categories": ({"id": key, "name": found.categories[key]} for key in found.category_ids),
        },
    )


def _to_voc(target: _Target) -> None:
    found, folder = target.annotations, target.folder / target.split
    stems: dict[str, str] = {}
    for image in found.images:
        _bring(target, image, folder / "JPEGImages")
        stem = PurePosixPath(image.file_name).with_suffix("").as_posix()
        if (other := stems.setdefault(stem, image.file_name)) != image.file_name:
            raise DataError(f"{image.file_name} and {other} would have one XML file; rename one")
        root = ET.Element("annotation")
        _add(root, "filename", image.file_name)
        size = ET.SubElement(root, "size")
        for name, value in (("width", image.width), ("height", image.height), ("depth", 3)):
            _add(size, name, value)
        for box in found.boxes_by_image[image.id]:
            if not (box.bbox[0] < box.bbox[2] and box.bbox[1] < box.bbox[3]):
                where = place(ANNOTATIONS_FILE, "annotations", box.index)
                target.account.left_out(
                    "Pascal VOC, whose last pixel is in a box, has none without area", where, boxes=1
                )
                target.account.came_out.boxes -= 1
                continue
            element = ET.SubElement(root, "object")
            _add(element, "name", found.categories[box.category_id])
            _add(element, "difficult", int(box.crowd))
            bounds = ET.SubElement(element, "bndbox")
            xmin, ymin, xmax, ymax = _from_edge(target, box)
            for name, side in (("xmin", xmin + 1), ("ymin", ymin + 1), ("xmax", xmax), ("ymax", ymax)):
                _add(bounds, name, side)
        path = folder / "Annotations" / f"{stem}.xml"
        write_atomic(path, ET.tostring(root, encoding="utf-8"))
    listed = "".join(f"{stem}\n" for stem in stems)
    write_atomic(folder / "ImageSets" / "Main" / f"{_SHORT_SPLITS.get(target.split, 'train')}.txt", listed.encode())
    _note_empty_classes(target)


def _from_edge(target: _Target, box: Box) -> BBox:
    """The box, cut at the left and upper edge: a first pixel below 1 would say that pixels are counted from 0."""
    if min(box.bbox[:2]) >= 0:
        return box.bbox
    where = place(ANNOTATIONS_FILE, "annotations", box.index)
    target.account.changed("cut at the edge of its image, as Pascal VOC has no pixel before the first", where)
    return max(0.0, box.bbox[0]), max(0.0, box.bbox[1]), box.bbox[2], box.bbox[3]


def _add(parent: ET.Element, name: str, value: Any) -> None:
    whole = isinstance(value, float) and value.is_integer()
    ET.SubElement(parent, name).text = str(int(value) if whole else value)


def _note_empty_classes(target: _Target) -> None:
    used = {box.category_id for box in target.annotations.boxes}
    for key, name in target.annotations.categories.items():
        if key not in used:
            target.account.noted(
                "Pascal VOC has no list of classes, so that one without boxes is not in it", shown(name)
            )


def _to_yolo(target: _Target) -> None:
    found, split = target.annotations, _SHORT_SPLITS.get(target.split, "")
    numbers = {key: number for number, key in enumerate(found.category_ids)}
    stems: dict[str, str] = {}
    for image in found.images:
        _bring(target, image, target.folder / "images" / split)
        stem = PurePosixPath(image.file_name).with_suffix("").as_posix()
        if (other := stems.setdefault(stem, image.file_name)) != image.file_name:
            raise DataError(f"{image.file_name} and {other} would have one label file; rename one")
        lines = []
        for box in found.boxes_by_image[image.id]:
            if box.crowd:
                where = place(ANNOTATIONS_FILE, "annotations", box.index)
                target.account.left_out("YOLO has no word for a crowd", where, boxes=1)
                target.account.came_out.boxes -= 1
                continue
            xmin, ymin, xmax, ymax = box.bbox
            shares = (
                (xmin + xmax) / 2 / image.width, (ymin + ymax) / 2 / image.height,
                (xmax - xmin) / image.width, (ymax - ymin) / image.height,
            )  # fmt: skip
            lines.append(" ".join([str(numbers[box.category_id]), *(f"{share:.12g}" for share in shares)]))
        write_atomic(target.folder / "labels" / split / f"{stem}.txt", "".join(f"{line}\n" for line in lines).encode())


def _write_yaml(folder: Path, splits: list[str], names: tuple[str, ...]) -> None:
    import yaml

    document: dict[str, Any] = {"path": "."}
    for split in splits:
        document[_SHORT_SPLITS[split]] = "/".join(["images", *([_SHORT_SPLITS[split]] if len(splits) > 1 else [])])
    document.setdefault("val", document[_SHORT_SPLITS[splits[0]]])  # Ultralytics asks for one
    text = yaml.safe_dump(document | {"names": dict(enumerate(names))}, allow_unicode=True, sort_keys=False)
    write_atomic(folder / "data.yaml", text.encode())


EXPORTS: Mapping[str, Callable[[_Target], None]] = {"coco": _to_coco, "voc": _to_voc, "yolo": _to_yolo}
