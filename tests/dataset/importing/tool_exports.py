"""Makers of small exports of labelling tools, drawn anew: one image `p0.jpg` with one bolt."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import tinyset
from foreign import picture, write

from boxwright.dataset.examples.tfrecord import encode_example, write_record

SHARES = (0.125, 1 / 6, 0.375, 0.5)


def manifest_line(name: str = "s3://bucket/set/p0.jpg", *boxes: dict[str, Any], **changes: Any) -> str:
    found = list(boxes) or [{"class_id": 1, "left": 20, "top": 20, "width": 40, "height": 40}]
    record = {
        "source-ref": name,
        "labels": {"image_size": [{"width": 160, "height": 120, "depth": 3}], "annotations": found},
        "labels-metadata": {
            "objects": [{"confidence": 0.0}],
            "class-map": {"1": "bolt", "0": "nut"},
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "creation-date": "2024-01-01T00:00:00",
            "job-name": "x",
        },
    }
    return json.dumps(record | changes)


def ground_truth(folder: Path) -> None:
    picture(folder / "images" / "p0.jpg")
    write(folder / "output.manifest", manifest_line() + "\n")


def csv(folder: Path) -> None:
    picture(folder / "images" / "p0.jpg")
    rows = "filename,width,height,class,xmin,ymin,xmax,ymax\np0.jpg,160,120,bolt,20,20,60,60\n"
    write(folder / "train_labels.csv", rows)


def cvat(folder: Path) -> None:
    picture(folder / "images" / "p0.jpg")
    meta = "<meta><task><labels><label><name>bolt</name></label></labels></task></meta>"
    box = '<box label="bolt" occluded="0" xtl="20.00" ytl="20.00" xbr="60.00" ybr="60.00" z_order="0"></box>'
    image = f'<image id="0" name="p0.jpg" width="160" height="120">{box}</image>'
    write(folder / "annotations.xml", f"<annotations><version>1.1</version>{meta}{image}</annotations>")


def label_studio(folder: Path) -> None:
    picture(folder / "p0.jpg")
    write(folder / "export.json", json.dumps([studio_task([studio_region()])]))


def studio_region(kind: str = "rectanglelabels", **value: Any) -> dict[str, Any]:
    box = {"x": 12.5, "y": 100 / 6, "width": 25, "height": 100 / 3, "rotation": 0, kind: ["bolt"]} | value
    return {"id": "a", "type": kind, "original_width": 160, "original_height": 120, "value": box}


def studio_task(result: list[Any], image: str = "/data/upload/1/5f8a1c2d-p0.jpg", **more: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "data": {"image": image},
        "annotations": [{"id": 1, "completed_by": 1, "was_cancelled": False, "result": result} | more],
        "predictions": [],
    }


def labelme(folder: Path, **changes: Any) -> None:
    picture(folder / "p0.jpg")
    write(folder / "p0.json", json.dumps(labelme_document([shape()]) | changes))


def shape(kind: str = "rectangle", points: Any = ((20, 20), (60, 60)), label: Any = "bolt") -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}}


def labelme_document(shapes: list[Any], path: str = "..\\set\\p0.jpg") -> dict[str, Any]:
    document = {"version": "5.2.1", "flags": {}, "shapes": shapes, "imagePath": path, "imageData": None}
    return document | {"imageHeight": 120, "imageWidth": 160}


def create_ml(folder: Path) -> None:
    picture(folder / "p0.jpg")
    box = {"label": "bolt", "coordinates": {"x": 40, "y": 40, "width": 40, "height": 40}}
    write(folder / "_annotations.createml.json", json.dumps([{"image": "p0.jpg", "annotations": [box]}]))


def open_images(folder: Path) -> None:
    picture(folder / "images" / "p0.jpg")
    header = (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
    )
    rows = [f"p0,xclick,/m/01bl,1,0.125,0.375,{1 / 6},0.5,0,0,0,0,0", "other,xclick,/m/01bl,1,0,1,0,1,0,0,0,0,0"]
    write(folder / "train-annotations-bbox.csv", "\n".join([header, *rows]))
    write(folder / "class-descriptions-boxable.csv", "/m/01bl,bolt\n/m/01nu,nut\n")


def tfrecord(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.record-00000-of-00001").open("wb") as file:
        write_record(file, example())
    write(folder / "label_map.pbtxt", "item {\n  id: 1\n  name: 'bolt'\n}\nitem { name: \"nut\" id: 2 }\n")


def example(**changes: Any) -> bytes:
    buffer = io.BytesIO()
    tinyset.picture(0, 160, 120).save(buffer, "JPEG")
    features: dict[str, Any] = {
        "image/encoded": ("bytes_list", [buffer.getvalue()]),
        "image/filename": ("bytes_list", ["p0.jpg"]),
        "image/height": ("int64_list", [120]),
        "image/width": ("int64_list", [160]),
        "image/object/bbox/xmin": ("float_list", [SHARES[0]]),
        "image/object/bbox/ymin": ("float_list", [SHARES[1]]),
        "image/object/bbox/xmax": ("float_list", [SHARES[2]]),
        "image/object/bbox/ymax": ("float_list", [SHARES[3]]),
        "image/object/class/label": ("int64_list", [1]),
    }
    return encode_example(features | {name.replace("__", "/"): value for name, value in changes.items()})


MAKERS = {
    "ground-truth": ground_truth,
    "csv": csv,
    "cvat": cvat,
    "label-studio": label_studio,
    "labelme": labelme,
    "createml": create_ml,
    "open-images": open_images,
    "tfrecord": tfrecord,
}
