"""Exports of Ground Truth, CVAT, Label Studio, LabelMe, Create ML, Open Images, CSV and TFRecord, drawn anew."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
import tinyset
from foreign import BOX, convert, picture, write

from boxwright.dataset.examples.tfrecord import encode_example, write_record
from boxwright.errors import DataError, UsageError

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


@pytest.mark.parametrize("kind", MAKERS)
def test_each_is_recognised_and_read(tmp_path: Path, kind: str) -> None:
    MAKERS[kind](tmp_path / "set")
    found = convert(tmp_path / "set")
    ((name, boxes),) = found.boxes.items()
    assert name == "p0.jpg" and [label for label, _ in boxes] == ["bolt"]
    assert boxes[0][1] == pytest.approx(BOX, abs=1e-3) and found.said.startswith(f"{kind}, as ")
    assert "broken" not in found.said


@pytest.mark.parametrize("kind", ["ground-truth", "csv", "createml"])
def test_a_file_alone(tmp_path: Path, kind: str) -> None:
    MAKERS[kind](tmp_path / "set")
    file = next(path for path in (tmp_path / "set").iterdir() if path.suffix in (".manifest", ".csv", ".json"))
    assert convert(file, kind=kind).of("p0.jpg") == [("bolt", BOX)]


def test_two_formats_in_one_folder_are_asked_about(tmp_path: Path) -> None:
    cvat(tmp_path / "set")
    ground_truth(tmp_path / "set")
    with pytest.raises(UsageError, match="say with --from which to read .*ground-truth: .*cvat: "):
        convert(tmp_path / "set")
    assert convert(tmp_path / "set", kind="cvat").of("p0.jpg") == [("bolt", BOX)]


# Ground Truth


def test_manifests_are_splits(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        picture(tmp_path / "set" / split / "p0.jpg")
        write(tmp_path / "set" / f"{split}.manifest", manifest_line(f"s3://b/{split}/p0.jpg"))
    assert convert(tmp_path / "set", split="training").converted.images == {"training": 1, "validation": 1}


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        (
            manifest_line(**{"labels": None, "labels-metadata": {"failure-reason": "ClientError: x"}}),
            "left out",
            "failure",
        ),
        (manifest_line(labels=None), "left out", "no labels of workers"),
        (manifest_line(**{"check-metadata": {"class-name": "reject"}}), "left out", "rejected by a worker"),
        (
            manifest_line("s3://b/p0.jpg", {"class_id": 7, "left": 1, "top": 1, "width": 1, "height": 1}),
            "broken",
            "class_id 7 has no name in class-map",
        ),
        (manifest_line("s3://b/p0.jpg", {"class_id": 0, "left": None, "top": 1}), "broken", "expected left"),
        (manifest_line("s3://b/q.jpg"), "broken", "image s3://b/q.jpg does not exist; fetch it"),
        ('{"source-ref": ', "broken", "not JSON at column"),
        ('{"source-ref": 7}', "broken", "expected an object with source-ref"),
    ],
)
def test_manifest_lines(tmp_path: Path, line: str, kind: str, words: str) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    picture(tmp_path / "set" / "p1.jpg", 1)
    write(tmp_path / "set" / "a.manifest", manifest_line("s3://b/p1.jpg") + "\n" + line + "\n")
    found = convert(tmp_path / "set", kind="ground-truth", on_invalid="drop")
    assert any(said.startswith(kind) and "line 2" in said for said in found.said.splitlines()) and words in found.said
    assert found.of("p1.jpg") == [("bolt", BOX)]


def test_an_adjusted_label_is_the_newest(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    newer = json.loads(manifest_line("x", {"class_id": 0, "left": 1, "top": 2, "width": 3, "height": 4}))
    newer["labels-metadata"]["creation-date"] = "2025-01-01"
    line = manifest_line(**{"adjusted": newer["labels"], "adjusted-metadata": newer["labels-metadata"]})
    found = convert(write(tmp_path / "set" / "a.manifest", line).parent)
    assert found.of("p0.jpg") == [("nut", (1, 2, 4, 6))] and "the newest, adjusted, is taken" in found.said


# CSV


def test_csv_of_two_splits_with_negatives_and_other_separators(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "set" / "images" / f"p{number}.jpg", number)
    write(
        tmp_path / "set" / "train_labels.csv",
        "\ufefffilename;class;xmin;ymin;xmax;ymax\np0.jpg;bolt;20;20;60;60\np1.jpg;;;;;\n",
    )
    write(tmp_path / "set" / "test_labels.csv", 'class,xmax,xmin,ymax,ymin,filename\n"nut, large",60,20,60,20,p2.jpg\n')
    found = convert(tmp_path / "set", split="test")
    assert found.of("p2.jpg") == [("nut, large", BOX)] and found.converted.images == {"training": 2, "test": 1}
    assert found.converted.account.came_out.negatives == 1


def test_csv_without_header(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    picture(tmp_path / "set" / "p1.jpg", 1)
    source = write(tmp_path / "set" / "a.csv", "/data/p0.jpg,20,20,60,60,bolt\n/data/p1.jpg,,,,,\n")
    assert convert(source).boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": []}


def test_broken_rows(tmp_path: Path) -> None:
    csv(tmp_path / "set")
    with (tmp_path / "set" / "train_labels.csv").open("a") as file:
        file.write("p0.jpg,160,120,bolt,20,x,60,60\np0.jpg,160,120,,20,1,60,60\n,1,1,bolt,1,1,1,1\np0.jpg\n")
    with pytest.raises(DataError) as caught:
        convert(tmp_path / "set")
    for words in (
        "line 3: expected each corner",
        "line 4: expected the name of a class",
        "line 5: expected the name of an",
    ):
        assert words in str(caught.value)


# CVAT


def test_cvat_shapes_subsets_and_videos(tmp_path: Path) -> None:
    shapes = [
        '<box label="bolt" xtl="20" ytl="20" xbr="60" ybr="60" rotation="90.0"/>',
        '<polygon label="nut" points="1.5,2;30,2;30,40"/>',
        '<ellipse label="nut" cx="50" cy="50" rx="10" ry="20"/>',
        '<mask label="nut" rle="1, 2" left="5" top="6" width="7" height="8"/>',
        '<points label="nut" points="1,2"/>',
        '<tag label="nut"/>',
    ]
    picture(tmp_path / "set" / "p0.jpg")
    image = f'<image id="0" name="p0.jpg" width="160" height="120">{"".join(shapes)}</image>'
    found = convert(write(tmp_path / "set" / "annotations.xml", f"<annotations>{image}</annotations>").parent)
    assert found.of("p0.jpg") == [
        ("bolt", BOX),
        ("nut", (1.5, 2, 30, 40)),
        ("nut", (40, 30, 60, 70)),
        ("nut", (5, 6, 12, 14)),
    ]
    assert "left out (1): points has no extent [1 box less]" in found.said and "<tag> is not an object" in found.said


def test_cvat_video(tmp_path: Path) -> None:
    for frame in (0, 3):
        picture(tmp_path / "set" / "images" / f"frame_{frame:06}.PNG", frame)
    boxes = "".join(
        f'<box frame="{frame}" outside="{int(frame == 1)}" keyframe="1" xtl="20" ytl="20" xbr="60" ybr="60"/>'
        for frame in (0, 1, 3)
    )
    track = f'<track id="0" label="bolt">{boxes}</track>'
    found = convert(write(tmp_path / "set" / "annotations.xml", f"<annotations>{track}</annotations>").parent)
    assert found.boxes == {"frame_000000.PNG": [("bolt", BOX)], "frame_000003.PNG": [("bolt", BOX)]}


# Label Studio


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/1/5f8a1c2d-p0.jpg",
        "s3://b/x/p0.jpg",
        "/data/local-files/?d=x/p0.jpg",
        "https://h/p0.jpg?X-Amz=1",
        "p0.jpg",
    ],
)
def test_label_studio_names(tmp_path: Path, image: str) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    source = write(tmp_path / "set" / "e.json", json.dumps([studio_task([studio_region()], image)]))
    assert convert(source).of("p0.jpg") == [("bolt", BOX)]


def test_label_studio_regions(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    regions = [
        studio_region(rotation=90, x=37.5),
        studio_region("polygonlabels", points=[[10, 10], [20, 10], [20, 50]]),
        studio_region("ellipselabels", x=50, y=50, radiusX=10, radiusY=20),
        studio_region(rectanglelabels=["bolt", "nut"]),
        studio_region("brushlabels", rle=[1]),
        studio_region(rectanglelabels=[]) | {"type": "rectangle"},
        {"type": "choices", "value": {"choices": ["good"]}},
    ]
    source = write(tmp_path / "set" / "e.json", json.dumps([studio_task(regions)]))
    found = convert(source)
    assert found.of("p0.jpg") == [
        ("bolt", (20, 20, 60, 60)),
        ("bolt", (16, 12, 32, 60)),
        ("bolt", (64, 36, 96, 84)),
        ("bolt", BOX),
        ("nut", BOX),
    ]
    for words in ("rotated", "polygon", "ellipse", "several labels", "brushlabels have no box", "not a region"):
        assert words in found.said


def test_label_studio_tasks(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
    skipped = studio_task([], "p1.jpg", was_cancelled=True)
    negative = studio_task([], "p2.jpg")
    text = json.dumps([studio_task([studio_region()], "p0.jpg"), skipped, negative])
    found = convert(write(tmp_path / "set" / "e.json", text))
    assert found.boxes == {"p0.jpg": [("bolt", BOX)], "p2.jpg": []}
    assert "left out (1): a task without a finished annotation [1 image less]" in found.said


def test_label_studio_json_min(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    region = studio_region()["value"] | {"original_width": 160, "original_height": 120}
    text = json.dumps([{"image": "/data/upload/1/5f8a1c2d-p0.jpg", "id": 1, "label": [region], "annotator": 1}])
    assert convert(write(tmp_path / "set" / "e.json", text)).of("p0.jpg") == [("bolt", BOX)]


# LabelMe


def test_labelme_shapes(tmp_path: Path) -> None:
    shapes = [
        shape(points=((60, 60), (20, 20))),
        shape("polygon", ((1, 2), (30, 2), (30, 40))),
        shape("circle", ((50, 50), (50, 60))),
        shape("point", ((5, 5),)),
        shape("mask", ((5, 6), (20, 30))),
    ]
    picture(tmp_path / "set" / "p0.jpg")
    found = convert(write(tmp_path / "set" / "p0.json", json.dumps(labelme_document(shapes))).parent)
    boxes = [box for _, box in found.of("p0.jpg")]
    assert boxes == [BOX, (1, 2, 30, 40), (40, 40, 60, 60), (5, 6, 20, 30)]
    assert "left out (1): a point has no extent" in found.said


def test_labelme_moved_and_embedded_images(tmp_path: Path) -> None:
    labelme(tmp_path / "a", imagePath="C:\\x\\IMG_1.jpg")
    assert convert(tmp_path / "a").of("p0.jpg") == [("bolt", BOX)]
    data = base64.b64encode(picture(tmp_path / "p.jpg").read_bytes()).decode()
    labelme(tmp_path / "b", imageData=data)
    (tmp_path / "b" / "p0.jpg").unlink()
    found = convert(tmp_path / "b")
    assert found.of("p0.jpg") == [("bolt", BOX)] and "the one inside of the file is taken" in found.said


# Open Images


def test_open_images(tmp_path: Path) -> None:
    open_images(tmp_path / "set")
    found = convert(tmp_path / "set")
    assert "left out (1): no image of this id among the files [1 image less, 1 box less]" in found.said


# TFRecord


def test_tfrecord_texts_and_crowds(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for name, seed in (("train.tfrecord", "p0.jpg"), ("val.tfrecord", "p1.jpg")):
        with (tmp_path / "set" / name).open("wb") as file:
            write_record(
                file,
                example(
                    image__filename=("bytes_list", [seed]),
                    image__object__class__text=("bytes_list", ["nut & co"]),
                    image__object__is_crowd=("int64_list", [1]),
                ),
            )
    found = convert(tmp_path / "set", split="validation")
    assert [label for label, _ in found.of("p1.jpg")] == ["nut & co"] and found.converted.crowds == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image__encoded": ("bytes_list", [b""])}, "record 0: expected image/encoded"),
        ({"image__object__class__label": ("int64_list", [9])}, "without an entry in a label map"),
        ({"image__object__bbox__xmin": ("float_list", [])}, "lists of 0, 1, 1, 1 corners and 1 classes do not fit"),
        ({"image__object__bbox__xmin": ("float_list", [float("nan")])}, "expected shares of the image"),
        ({"image__encoded": ("bytes_list", [b"\xff\xd8\xff\xe0"])}, "record 0"),
    ],
)
def test_broken_records(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    tfrecord(tmp_path / "set")
    with (tmp_path / "set" / "train.record-00000-of-00001").open("wb") as file:
        write_record(file, example(**change))
    with pytest.raises(DataError) as caught:
        convert(tmp_path / "set", kind="tfrecord")
    assert words in str(caught.value)


def test_a_torn_file(tmp_path: Path) -> None:
    tfrecord(tmp_path / "set")
    path = tmp_path / "set" / "train.record-00000-of-00001"
    data = path.read_bytes()
    for broken, words in (
        (data[:-9], "ends in the middle"),
        (b"x" + data, "not a TFRecord"),
        (data[:99] + b"!" + data[100:], "checksum"),
    ):
        path.write_bytes(data + broken)
        with pytest.raises(DataError, match=words):
            convert(tmp_path / "set", kind="tfrecord")
