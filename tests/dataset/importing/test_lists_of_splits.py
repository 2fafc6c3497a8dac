"""Splits that files and lists beside a set tell, wherever they lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from foreign import BOX, YOLO_LINE, convert, picture, refused, voc, voc_object, write, yolo

SPLITS = {"training": 1, "validation": 1}


def pair(folder: Path, images: str, labels: str) -> Path:
    """Images a and b with a bolt each; `{}` in the folders stands for their names."""
    for number, name in enumerate("ab"):
        picture(folder / images.format(name) / f"{name}.jpg", number)
        write(folder / labels.format(name) / f"{name}.txt", YOLO_LINE)
    return folder


@pytest.mark.parametrize("prefix", ["", "../", "project-name/", "/home/me/set/", "C:\\set\\"])
@pytest.mark.parametrize("top", ["", "top/"])
def test_folders_that_only_the_yaml_tells_apart(tmp_path: Path, prefix: str, top: str) -> None:
    folder = pair(tmp_path / "set" / top, "images/{}", "labels/{}")
    write(folder / "data.yaml", f"train: {prefix}images/a\nval: {prefix}images/b\nnames: [bolt]\n")
    assert convert(tmp_path / "set", "validation").converted.images == SPLITS


def test_a_split_without_an_image_is_named(tmp_path: Path) -> None:
    folder = pair(tmp_path / "set", "images/{}", "labels/{}")
    write(folder / "data.yaml", "train: images/a\nval: images/b\ntest: gone.txt\nnames: [bolt]\n")
    said = convert(folder, "training").said
    assert "a split without an image here: data.yaml: test: gone.txt" in said


def test_lists_of_darknet_in_three_folders(tmp_path: Path) -> None:
    folder = pair(tmp_path / "set", "data/obj", "data/obj")
    write(folder / "data" / "obj.names", "bolt\n")
    write(folder / "data" / "train.txt", "data/obj/a.jpg\n")
    write(folder / "data" / "valid.txt", "data/obj/b.jpg\n")
    data = "classes=1\ntrain=data/train.txt\nvalid=data/valid.txt\nnames=data/obj.names\n"
    write(folder / "cfg" / "obj.data", data)
    found = convert(folder, "validation")
    assert found.converted.images == SPLITS and [*found.boxes.values()] == [[("bolt", BOX)]]


def test_lists_that_no_file_names(tmp_path: Path) -> None:
    folder = pair(tmp_path / "set", "images", "labels")
    write(folder / "classes.txt", "bolt\n")
    write(folder / "train.txt", "images/a.jpg\n")
    write(folder / "val.txt", "images/b.jpg\n")
    assert convert(folder, "validation").boxes == {"b.jpg": [("bolt", BOX)]}


@pytest.mark.parametrize("extension", ["txt", "TXT"])
def test_labels_with_the_prefix_of_an_upload(tmp_path: Path, extension: str) -> None:
    folder = tmp_path / "set"
    picture(folder / "images" / "p0.jpg")
    write(folder / "labels" / f"5f8a1c2d-p0.{extension}", YOLO_LINE)
    write(folder / "classes.txt", "bolt\n")
    found = convert(folder)
    assert found.boxes == {"p0.jpg": [("bolt", BOX)]} and "the prefix of an upload" in found.said
    picture(folder / "images" / "5f8a1c2d-p0.jpg", 1)
    assert convert(folder).boxes == {"p0.jpg": [], "5f8a1c2d-p0.jpg": [("bolt", BOX)]}


def test_a_class_in_a_gap_of_the_names(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set", "names: {0: bolt, 2: nut}\n")
    write(folder / "labels" / "p0.txt", YOLO_LINE.replace("0 ", "1 ", 1))
    refused(folder, "class 1 has no name; data.yaml has 2 names, of [0, 2]")
    write(folder / "labels" / "p0.txt", YOLO_LINE.replace("0 ", "2 ", 1))
    assert convert(folder).of("p0.jpg") == [("nut", BOX)]


def marked(folder: Path, *names: str) -> Path:
    """Images with a file of Pascal VOC each."""
    for number, name in enumerate(names):
        picture(folder / "images" / f"{name}.jpg", number)
        write(folder / "annotations" / f"{name}.xml", voc(voc_object(), f"{name}.jpg"))
    return folder


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("./images/{}.jpg ./annotations/{}.xml", ""),
        ("{}", ""),
        ("{} 1 1 1", "annotations/"),
        ("images/{}.jpg", "splits/"),
    ],
)
def test_lists_of_markup_outside_of_image_sets(tmp_path: Path, line: str, place: str) -> None:
    folder = marked(tmp_path / "set", "a 1", "b")
    for list_name, name in (("train", "a 1"), ("valid", "b")):
        write(folder / f"{place}{list_name}.txt", line.replace("{}", name) + "\n")
    found = convert(folder, "validation")
    assert found.converted.images == SPLITS and found.boxes == {"b.jpg": [("bolt", BOX)]}


def test_lists_of_other_tasks_do_not_count(tmp_path: Path) -> None:
    folder = marked(tmp_path / "set", "a", "b")
    for list_name, name in (("Main/train", "a"), ("Main/val", "b"), ("Layout/train", "b"), ("Segmentation/val", "a")):
        write(folder / "ImageSets" / f"{list_name}.txt", f"{name}\n")
    found = convert(folder, "validation")
    assert set(found.boxes) == {"b.jpg"} and "listed for" not in found.said


def test_a_text_that_is_called_like_a_split_and_lists_nothing(tmp_path: Path) -> None:
    folder = marked(tmp_path / "set", "a", "b")
    write(folder / "train.txt", "how we trained\n")
    assert set(convert(folder).boxes) == {"a.jpg", "b.jpg"}
