"""Which label file goes with which picture of a YOLO set, and what becomes of pictures and files that go with none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from foreign import BOX, YOLO_LINE, convert, picture, refused, write, yolo


def test_masks_with_the_names_of_images_are_no_images(tmp_path: Path) -> None:
    yolo(tmp_path / "set")
    for number in range(2):
        picture(tmp_path / "set" / "masks" / f"p{number}.png", 5 + number)
    found = convert(tmp_path / "set")
    assert found.boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": []}
    said = "left out (2): a picture without labels of its own, with the name of one that has some [2 images less]"
    assert f"{said}: masks/p0.png: labels/p0.txt" in found.said


def test_images_of_two_cameras_share_their_labels(tmp_path: Path) -> None:
    for number, folder in enumerate(("rgb", "ir")):
        picture(tmp_path / "set" / folder / "p0.jpg", number)
    write(tmp_path / "set" / "labels" / "p0.txt", YOLO_LINE)
    found = convert(tmp_path / "set")
    assert found.boxes == {"ir/p0.jpg": [("class_0", BOX)], "rgb/p0.jpg": [("class_0", BOX)]}
    assert "several images have this file of labels" in found.said


def test_folders_without_any_labels_are_named(tmp_path: Path) -> None:
    yolo(tmp_path / "set")
    picture(tmp_path / "set" / "background" / "wall.jpg", 5)
    picture(tmp_path / "set" / "results.png", 6)
    found = convert(tmp_path / "set")
    assert found.of("background/wall.jpg") == [] and found.of("results.png") == []
    said = "no image of this folder has a file of labels, so that all are negatives"
    assert f"noted (2): {said}: . (1 image); background (1 image)" in found.said


def test_pictures_outside_of_the_splits(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    yolo(folder, "train: images/a\nval: images/b\nnames: [bolt, nut]\n", "images/a", "labels/a")
    picture(folder / "images" / "b" / "q.jpg", 3)
    write(folder / "labels" / "b" / "q.txt", YOLO_LINE)
    picture(folder / "runs" / "curve.png", 4)
    picture(folder / "images" / "c" / "r.jpg", 5)
    write(folder / "labels" / "c" / "r.txt", YOLO_LINE)
    found = convert(folder, "training")
    assert set(found.boxes) == {"a/p0.jpg", "a/p1.jpg", "c/r.jpg"}
    assert "in no split of the set, and without labels [1 image less]: runs/curve.png" in found.said
    assert "in no split of the source; taken for training: labels/c/r.txt" in found.said


def test_labels_without_a_layout_are_found_by_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for number, name in enumerate(("p0", "p1", "p2")):
        picture(folder / "shots" / f"{name}.jpg", number)
    write(folder / "export" / "obj_train_data" / "p0.txt", YOLO_LINE)
    write(folder / "export" / "obj.names", "bolt\n")
    found = convert(folder)
    assert found.boxes == {"shots/p0.jpg": [("bolt", BOX)], "shots/p1.jpg": [], "shots/p2.jpg": []}
    assert "labels found by their name alone, as their folder does not tell: export/obj_train_data/p0.txt" in found.said
    picture(folder / "more" / "p0.jpg", 7)
    refused(folder, "export/obj_train_data/p0.txt: no image goes with this label file")
    assert convert(folder / "export", images=folder / "shots").of("p0.jpg") == [("bolt", BOX)]


def test_predictions_are_not_taken_for_labels(tmp_path: Path) -> None:
    yolo(tmp_path / "set")
    (tmp_path / "set" / "labels" / "p1.txt").unlink()
    write(tmp_path / "set" / "runs" / "detect" / "p1.txt", f"{YOLO_LINE} 0.9")
    refused(tmp_path / "set", "runs/detect/p1.txt: no image goes with this label file; did you mean that of images/p1")


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("0 0.25 0.5 0.25 0.5 0.2 0.4 1 0.3 0.5 1", True),
        ("0 0.25 0.5 0.25 0.5 0.9 0.9 1 0.1 0.1 0 0.2 0.2 1", True),
        ("0 0.25 0.5 0.25 0.5 0.9 0.2 1 0.9 0.9 1", False),
    ],
)
def test_keypoints_that_no_file_speaks_of(tmp_path: Path, line: str, kept: bool) -> None:
    folder = yolo(tmp_path / "set")
    write(folder / "labels" / "p0.txt", line)
    found = convert(folder)
    assert ("keypoints left out" in found.said) is kept and ("from a polygon" in found.said) is not kept
    assert (found.of("p0.jpg") == [("bolt", (20, 30, 60, 90))]) is kept


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    yolo(tmp_path / "set")
    os.mkfifo(tmp_path / "set" / "images" / "q.jpg")
    found = convert(tmp_path / "set")
    assert set(found.boxes) == {"p0.jpg", "p1.jpg"}
    assert "neither a file nor a folder, not read: images/q.jpg" in found.said
