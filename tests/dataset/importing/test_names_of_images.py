"""Names and folders of images: links, equal names in different folders, splits that the source has or lacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from foreign import BOX, YOLO_LINE, coco, convert, picture, voc, voc_object, write, write_coco, yolo
from tool_exports import example

from boxwright.dataset.examples.tfrecord import write_record
from boxwright.dataset.importing.conversion import convert_dataset
from boxwright.dataset.importing.output.export import export_dataset
from boxwright.errors import UsageError


def test_splits_without_training_keep_equal_names_apart(tmp_path: Path) -> None:
    for split in ("valid", "test"):
        yolo(tmp_path / "set" / split, names="")
    write(tmp_path / "set" / "data.yaml", "names: [bolt, nut]\n")
    found = convert(tmp_path / "set", "validation")
    assert found.boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": []}
    assert found.converted.images == {"validation": 2, "test": 2} and found.converted.account.came_out.images == 4
    export_dataset(found.folder.parent, tmp_path / "back", "yolo")
    assert convert(tmp_path / "back", "test").boxes == found.boxes


def test_images_outside_of_the_only_split_are_training(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    yolo(folder, names="", images="images/val", labels="labels/val")
    found = convert(folder, "training")
    assert found.converted.images == {"training": 2, "validation": 2}
    assert "in no split of the source; taken for training" in found.said


def test_equal_names_in_different_folders(tmp_path: Path) -> None:
    for number, site in enumerate(("left", "right")):
        picture(tmp_path / "set" / site / "images" / "p0.jpg", number)
        write(tmp_path / "set" / site / "labels" / "p0.txt", f"{number}{YOLO_LINE[1:]}")
    write(tmp_path / "set" / "data.yaml", "names: [bolt, nut]\n")
    found = convert(tmp_path / "set")
    assert found.boxes == {"left/images/p0.jpg": [("bolt", BOX)], "right/images/p0.jpg": [("nut", BOX)]}
    assert "several images have this name" in found.said


def test_markup_finds_the_image_of_its_own_folder(tmp_path: Path) -> None:
    for number, site in enumerate(("left", "right")):
        picture(tmp_path / "set" / "JPEGImages" / site / "p0.jpg", number)
        write(tmp_path / "set" / "Annotations" / site / "p0.xml", voc(voc_object(("bolt", "nut")[number])))
    assert convert(tmp_path / "set").boxes == {"left/p0.jpg": [("bolt", BOX)], "right/p0.jpg": [("nut", BOX)]}


def test_records_of_one_name_are_told_apart_by_numbers(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for shard in range(2):
        with (tmp_path / "set" / f"all.record-{shard:05}-of-00002").open("wb") as file:
            write_record(file, example())
    write(tmp_path / "set" / "label_map.pbtxt", "item { id: 1 name: 'bolt' }")
    found = convert(tmp_path / "set")
    assert found.boxes == {"p0.jpg": [("bolt", BOX)], "p0-2.jpg": [("bolt", BOX)]}


def test_a_linked_folder_of_images(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "p0.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "images").symlink_to(tmp_path / "elsewhere")
    write(tmp_path / "set" / "a.json", json.dumps(coco(["p0.jpg"])))
    assert convert(tmp_path / "set").boxes == {"p0.jpg": [("bolt", BOX)]}


def test_linked_folders_of_labels_and_a_circle(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "store")
    (tmp_path / "set").mkdir()
    for name in ("images", "labels", "data.yaml"):
        (tmp_path / "set" / name).symlink_to(folder / name)
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set")
    found = convert(tmp_path / "set")
    assert found.boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": []}
    assert "a link to a folder that is read under its own name, not gone into [" not in found.said
    assert "not gone into: again" in found.said


def test_one_file_of_two_names_is_one_image(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    picture(folder / "pool" / "x1.jpg")
    (folder / "images").mkdir()
    (folder / "images" / "p0.jpg").symlink_to(Path("..", "pool", "x1.jpg"))
    write(folder / "labels" / "p0.txt", YOLO_LINE)
    write(folder / "data.yaml", "names: [bolt]\n")
    found = convert(folder)
    assert found.boxes == {"p0.jpg": [("bolt", BOX)]} and "another name of a picture, by a link" in found.said


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    write_coco(tmp_path / "set", coco(["p0.jpg", "p1.jpg"]))
    (tmp_path / "set" / "images" / "p1.jpg").unlink()
    (tmp_path / "set" / "images" / "p1.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = convert(tmp_path / "set", on_invalid="drop")
    assert set(found.boxes) == {"p0.jpg"} and "cannot be read: No such file" in found.said


def test_pictures_of_folders_that_no_label_names_are_counted(tmp_path: Path) -> None:
    write_coco(tmp_path / "set", coco(["p0.jpg"]))
    for number in range(3):
        picture(tmp_path / "set" / "later" / f"n{number}.jpg", number)
    found = convert(tmp_path / "set")
    assert "left out (1): no label names an image of this folder: later (3 images)" in found.said


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_set_of_one_split_has_no_splits(tmp_path: Path, split: str) -> None:
    yolo(tmp_path / "set" / split)
    assert convert_dataset(tmp_path / "set", tmp_path / "out").images == {"": 2}


@pytest.mark.parametrize(
    ("written", "on_disk", "words"),
    [
        ("a%20b.jpg", "a b.jpg", "the name is taken as percent-encoded: a.json: images[0]: a%20b.jpg"),
        ("a%20b.jpg", "a%20b.jpg", ""),
        ("https://host.example/x/a%20b.jpg?signature=1", "a b.jpg", ""),
        ("a?d=1.jpg", "a?d=1.jpg", ""),
        ("p0.jpg ", "p0.jpg", ""),
    ],
)
def test_names_of_servers(tmp_path: Path, written: str, on_disk: str, words: str) -> None:
    picture(tmp_path / "set" / on_disk)
    found = convert(write(tmp_path / "set" / "a.json", json.dumps(coco([written]))))
    assert found.boxes == {on_disk: [("bolt", BOX)]} and words in found.said


def test_classes_that_look_alike_are_noted(tmp_path: Path) -> None:
    document = coco(["p0.jpg"], categories=[{"id": 1, "name": "caf\u00e9"}, {"id": 2, "name": "Cafe\u0301"}])
    said = convert(write_coco(tmp_path / "set", document)).said
    assert "classes whose names differ in case or Unicode form only: caf\u00e9 and Cafe\u0301" in said


def test_what_is_not_recognised_says_what_is_there(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
    write(tmp_path / "set" / "notes.md", "x")
    with pytest.raises(UsageError, match="not recognised as any of .*; it has 2 .jpg, 1 .md; give --from"):
        convert_dataset(tmp_path / "set", tmp_path / "out")
