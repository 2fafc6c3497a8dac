"""Writes sets of other formats as Boxwright reads them; hotcoco reads COCO, Pascal VOC and YOLO."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.config import ANNOTATIONS_FILE
from boxwright.dataset.annotations.parsing import IMAGE_EXTENSIONS
from boxwright.errors import DataError, UsageError, shorten
from boxwright.storage import unsafe_key, write_json


@dataclass(frozen=True)
class ConvertSummary:
    """Counts of what was written; `crowds` are regions around many objects at once, which are not trained on."""

    images: int
    boxes: int
    classes: tuple[str, ...]
    crowds: int


def convert_dataset(source: Path, out_dir: Path, kind: str, images: Path | None = None) -> ConvertSummary:
    """Writes `annotations.json` with corner boxes in pixels, and `images/`.

    Images are linked where the file system can, copied otherwise. `out_dir` appears whole or not at all.

    Args:
        source: for "coco" the JSON file; for "voc" the folder with Annotations/ and JPEGImages/; for "yolo" the
            folder with data.yaml and the label files, in it or in its labels/.
        out_dir: a new or empty folder.
        kind: one of `SOURCES`.
        images: folder of the images; where the format has it, if unset.

    Raises:
        UsageError: `kind` is unknown, `source` is missing, or `out_dir` is not empty.
        DataError: the set cannot be read, or an image that it names is not there.
    """
    if kind not in SOURCES:
        raise UsageError(f"--from {kind!a} is unknown; expected one of {', '.join(SOURCES)}")
    if not source.exists():
        raise UsageError(f"{source} does not exist; expected a {kind} set")
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise UsageError(f"{out_dir} already exists; give a new or empty folder")
    read, folders = SOURCES[kind]
    found = _first_folder([images] if images else [_base(source) / name for name in folders], source)
    dataset = _read(read, source, found)
    document, crowds = _corners(dataset)
    _write(document, found, out_dir)
    names = tuple(category["name"] for category in document["categories"])
    return ConvertSummary(len(document["images"]), len(document["annotations"]), names, crowds)


def _read_coco(source: Path, images: Path) -> Any:
    import hotcoco

    return hotcoco.COCO(str(source)).dataset


def _read_voc(source: Path, images: Path) -> Any:
    import hotcoco

    return hotcoco.COCO.from_voc(str(source)).dataset


def _read_yolo(source: Path, images: Path) -> Any:
    import hotcoco

    labels = source / "labels"
    if not labels.is_dir():
        dataset = hotcoco.COCO.from_yolo(str(source), str(images)).dataset
    else:
        # The reader wants names and labels in one folder; the usual layout has the labels in their own.
        with tempfile.TemporaryDirectory() as scratch:
            for path in (*source.glob("*.yaml"), *labels.glob("*.txt")):
                shutil.copyfile(path, Path(scratch, "data.yaml" if path.suffix == ".yaml" else path.name))
            dataset = hotcoco.COCO.from_yolo(scratch, str(images)).dataset
    _give_extensions(dataset["images"], images)
    return dataset


SOURCES: dict[str, tuple[Callable[[Path, Path], Any], tuple[str, ...]]] = {
    "coco": (_read_coco, ("images", ".")),
    "voc": (_read_voc, ("JPEGImages", "images", ".")),
    "yolo": (_read_yolo, ("images", ".")),
}


def _base(source: Path) -> Path:
    return source if source.is_dir() else source.parent


def _first_folder(folders: list[Path], source: Path) -> Path:
    for folder in folders:
        if folder.is_dir():
            return folder
    raise UsageError(f"{source}: no folder of images; expected {folders[0]}, or give --images")


def _read(read: Callable[[Path, Path], Any], source: Path, images: Path) -> dict[str, Any]:
    try:
        dataset: dict[str, Any] = read(source, images)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{source}: not readable: {shorten(str(error), 300)}") from error
    if not dataset.get("images"):
        raise DataError(f"{source}: no image in it; is it the right folder or file?")
    return dataset


def _give_extensions(records: list[dict[str, Any]], images: Path) -> None:
    """YOLO names an image by its label file only."""
    by_stem = {path.stem: path.name for path in sorted(images.iterdir()) if path.suffix.lower() in IMAGE_EXTENSIONS}
    for record in records:
        record["file_name"] = by_stem.get(record["file_name"], record["file_name"])


def _corners(dataset: dict[str, Any]) -> tuple[dict[str, Any], int]:
    regions = dataset.get("annotations", [])
    boxes = [box for box in regions if box.get("bbox")]
    document = {
        "images": [{key: image[key] for key in ("file_name", "height", "width", "id")} for image in dataset["images"]],
        "annotations": [
            {"image_id": box["image_id"], "bbox": [x, y, x + width, y + height], "category_id": box["category_id"]}
            | ({"iscrowd": 1} if box.get("iscrowd") else {})
            for box in boxes
            for x, y, width, height in [box["bbox"]]
        ],
        "categories": [{"id": category["id"], "name": category["name"]} for category in dataset.get("categories", [])],
    }
    return document, sum(bool(box.get("iscrowd")) for box in boxes)


def _write(document: dict[str, Any], images: Path, out_dir: Path) -> None:
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out_dir.name}-", dir=out_dir.parent) as scratch:
        # A folder of its own inside: mkdtemp's is private to its owner, the dataset is not.
        whole = Path(scratch) / "set"
        for image in document["images"]:
            _bring(images, image["file_name"], whole / "images")
        write_json(whole / ANNOTATIONS_FILE, document)
        os.replace(whole, out_dir)


def _bring(images: Path, name: str, folder: Path) -> None:
    if reason := unsafe_key(name):
        raise DataError(f"file_name {shorten(name)} {reason}")
    source, target = images / name, folder / name
    if not source.is_file():
        raise DataError(f"{source} does not exist; put it there, give --images, or take it out of the set")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
