"""Sets as people reported them to the makers of labelling tools, drawn anew: each comes in, or its fault is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from foreign import BOX, YOLO_LINE, coco, convert, picture, voc, voc_object, write, yolo
from tool_exports import studio_region, studio_task

from boxwright.errors import DataError


@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        (
            "..\\..\\label-studio\\label-studio\\media\\upload\\4\\cb0618f6-a_1742.58_b.png",
            "images/cb0618f6-a_1742.58_b.png",
        ),
        ("images/1/942a5a02-1669.208194.jpg", "images/942a5a02-1669.208194.jpg"),
        ("data/local-files/?d=shop/p0.jpg", "images/p0.jpg"),
        ("/label-studio/data/upload/12/942a5a02-p0.jpg", "images/p0.jpg"),
    ],
)
def test_file_names_of_label_studios_coco(tmp_path: Path, written: str, on_disk: str) -> None:
    picture(tmp_path / "set" / on_disk)
    found = convert(write(tmp_path / "set" / "result.json", json.dumps(coco([written]))))
    assert found.boxes == {on_disk.removeprefix("images/"): [("bolt", BOX)]}


def test_a_task_with_a_windows_path(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "images" / "0.png")
    tasks = [studio_task([studio_region()], "/data/local-files/?d=\\images\\0.png")]
    assert [*convert(write(tmp_path / "set" / "fixed.json", json.dumps(tasks))).boxes.values()] == [[("bolt", BOX)]]


@pytest.mark.parametrize(
    ("name", "on_disk"),
    [("brick-front", "brick-front.png"), ("first.last-1", "first.last-1.jpg"), ("timg", "timg.jpg")],
)
def test_voc_names_without_extension_and_sizes_of_zero(tmp_path: Path, name: str, on_disk: str) -> None:
    picture(tmp_path / "set" / on_disk)
    size = "<size><width>0</width><height>0</height><depth>3</depth></size>"
    write(tmp_path / "set" / f"{name}.xml", voc(voc_object(), name, size))
    assert convert(tmp_path / "set").boxes == {on_disk: [("bolt", BOX)]}


def test_a_jpeg_called_png_is_kept_under_its_name(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg").rename(tmp_path / "set" / "p0.png")
    write(tmp_path / "set" / "p0.xml", voc(voc_object(), "p0.png", "<size><width>0</width><height>0</height></size>"))
    assert convert(tmp_path / "set").boxes == {"p0.png": [("bolt", BOX)]}


def test_markup_that_was_saved_without_an_extension_is_missed_by_name(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
        write(tmp_path / "set" / (f"p{number}.xml" if number else "p0"), voc(voc_object(), f"p{number}.jpg"))
    found = convert(tmp_path / "set")
    assert set(found.boxes) == {"p1.jpg"} and "no label names this image" in found.said and "p0.jpg" in found.said


def test_yolo_of_cvat_with_frames_in_capitals(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for frame in (0, 2):
        picture(folder / "obj_train_data" / f"frame_{frame:06}.PNG", frame)
        write(folder / "obj_train_data" / f"frame_{frame:06}.txt", YOLO_LINE)
    write(folder / "obj.names", "car\n")
    write(folder / "obj.data", "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    write(folder / "train.txt", "data/obj_train_data/frame_000000.PNG\ndata/obj_train_data/frame_000002.PNG\n\n")
    found = convert(folder)
    assert found.boxes == {"frame_000000.PNG": [("car", BOX)], "frame_000002.PNG": [("car", BOX)]}
    assert "broken" not in found.said


def test_yolo_of_cvat_for_ultralytics(tmp_path: Path) -> None:
    folder = yolo(
        tmp_path / "set", "path:  ./ # root\ntrain: train.txt\nnames:\n  0: person\n", "images/train", "labels/train"
    )
    write(folder / "train.txt", "images/train/p0.jpg\nimages/train/p1.jpg\n")
    assert convert(folder).boxes == {"p0.jpg": [("person", BOX)], "p1.jpg": []}


@pytest.mark.parametrize("line", ["0 0.9 0.5 1.0371 0.1", "0 1.0301 0.5 0.1 0.1", "0 0.5 0.5 1.857923 1.873129"])
def test_shares_above_1_are_kept_and_named(tmp_path: Path, line: str) -> None:
    folder = yolo(tmp_path / "set")
    write(folder / "labels" / "p0.txt", f"{YOLO_LINE}\n{line}\n")
    found = convert(folder)
    assert len(found.of("p0.jpg")) == 2 and "box_outside_image: labels/p0.txt: line 2" in found.said


def test_one_label_that_an_export_makes_two(tmp_path: Path) -> None:
    document = coco(["p0.jpg", "p1.jpg"])
    document["categories"] = [
        {"id": 0, "name": "car-parts", "supercategory": "none"},
        {"id": 1, "name": "car", "supercategory": "car-parts"},
    ]
    document["annotations"].pop()
    for number in range(2):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
    found = convert(write(tmp_path / "set" / "_annotations.coco.json", json.dumps(document)))
    assert list(found.classes.values()) == ["car"] and found.of("p1.jpg") == [] and "car-parts" in found.said


def test_masks_of_fewer_than_three_points_are_named(tmp_path: Path) -> None:
    document = coco(["p0.jpg"])
    document["annotations"][0] |= {"bbox": [], "segmentation": [[20, 20]]}
    picture(tmp_path / "set" / "p0.jpg")
    with pytest.raises(DataError, match=r"annotations\[0\]: expected pairs of coordinates"):
        convert(write(tmp_path / "set" / "a.json", json.dumps(document)))


def test_a_file_without_annotations_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "set" / "image_info_test.json", json.dumps({"images": [], "categories": []}))
    with pytest.raises(DataError, match=r"image_info_test.json: expected a list annotations, got nothing"):
        convert(source, kind="coco")
