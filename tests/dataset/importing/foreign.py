"""Small sets as other tools write them, and the conversion of one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import tinyset

from boxwright.dataset.annotations.reading import load_annotations
from boxwright.dataset.importing.conversion import Converted, ConvertOptions, convert_dataset
from boxwright.errors import DataError

WIDTH, HEIGHT = 160, 120
BOX = (20.0, 20.0, 60.0, 60.0)
YOLO_LINE = "0 0.25 0.333333333 0.25 0.333333333"


@dataclass
class Result:
    """What a conversion wrote: by image, `(class, box)` of its objects; and all that was said about it."""

    converted: Converted
    folder: Path
    boxes: dict[str, list[tuple[str, tuple[float, ...]]]]
    classes: dict[int, str]
    said: str

    def of(self, name: str) -> list[tuple[str, tuple[float, ...]]]:
        return self.boxes[name]


def convert(source: Path, split: str = "", **options: Any) -> Result:
    """Converts `source` and reads back what was written, of one split."""
    base = source if source.is_dir() else source.parent
    out = next(path for number in count() if not (path := base.parent / f"{base.name}-out{number}").exists())
    converted = convert_dataset(source, out, ConvertOptions(**options))
    folder = out / split if split else out
    found = load_annotations(folder / "annotations.json")
    boxes: dict[str, list[tuple[str, tuple[float, ...]]]] = {}
    for image in found.images:
        assert (folder / "images" / image.file_name).is_file()
        own = found.boxes_by_image[image.id]
        boxes[image.file_name] = [
            (found.categories[box.category_id], tuple(round(side, 3) for side in box.bbox)) for box in own
        ]
    said = "\n".join([converted.account.recognised, *map(str, converted.account.remarks)])
    return Result(converted, folder, boxes, found.categories, said)


def refused(source: Path, *words: str, **options: Any) -> None:
    """Converts what has to be refused with all these words."""
    with pytest.raises(DataError) as caught:
        convert(source, **options)
    for word in words:
        assert word in str(caught.value)


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT), orientation: int = 1) -> Path:
    """A picture on disk, as stored of `size`, in the format of its extension."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    tinyset.picture(seed, *size).save(path, **({"exif": exif} if orientation != 1 else {}))
    return path


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text, encoding="utf-8")
    return path


def coco(names: list[str], **changes: Any) -> dict[str, Any]:
    """A COCO document with one bolt in each image."""
    return {
        "images": [{"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [20, 20, 40, 40], "area": 1600, "iscrowd": 0}
            for i in range(len(names))
        ],
        "categories": [{"id": 1, "name": "bolt"}, {"id": 2, "name": "nut"}],
    } | changes


def write_coco(folder: Path, document: dict[str, Any], name: str = "annotations.json") -> Path:
    """The file, and below images/ a picture for each image that it names."""
    for number, image in enumerate(document["images"]):
        if isinstance(image, dict) and isinstance(image.get("file_name"), str):
            picture(folder / "images" / image["file_name"], number)
    return write(folder / name, json.dumps(document))


def voc(objects: str, filename: str = "p0.jpg", size: str | None = None) -> str:
    if size is None:
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><folder>x</folder><filename>{filename}</filename>{size}{objects}</annotation>"


def voc_object(name: str = "bolt", box: tuple[Any, ...] = (21, 21, 60, 60), more: str = "") -> str:
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>"


def yolo(folder: Path, names: str = "names: [bolt, nut]\n", images: str = "images", labels: str = "labels") -> Path:
    """Two images, of which p0 has a bolt and p1 none."""
    for number in range(2):
        picture(folder / images / f"p{number}.jpg", number)
    write(folder / labels / "p0.txt", YOLO_LINE + "\n")
    write(folder / labels / "p1.txt", "")
    if names:
        write(folder / "data.yaml", names)
    return folder
