"""What tools and people do to files of labels: each comes in right, or is named with file and record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from foreign import BOX, YOLO_LINE, coco, convert, picture, refused, voc, voc_object, write, write_coco, yolo
from tool_exports import MAKERS

from boxwright.dataset.annotations.reading import load_annotations
from boxwright.dataset.sample.generate import generate_sample

# COCO


def changed_coco(folder: Path, **annotation: Any) -> Path:
    document = coco(["p0.jpg"])
    document["annotations"][0] |= annotation
    write_coco(folder, document)
    return folder


def test_a_key_of_two_values_is_named(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "set", coco(["p0.jpg"]))
    write(source, source.read_text()[:-1] + ', "annotations": []}')
    refused(source, "annotations.json: the key 'annotations' is there twice in one object")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-8-sig"])
def test_json_in_any_unicode(tmp_path: Path, encoding: str) -> None:
    source = write_coco(tmp_path / "set", coco(["p0.jpg"]))
    source.write_bytes(source.read_text().encode(encoding))
    assert convert(tmp_path / "set").boxes == {"p0.jpg": [("bolt", BOX)]}


def test_a_rotated_box_of_cvats_coco(tmp_path: Path) -> None:
    found = convert(changed_coco(tmp_path / "set", bbox=[20, 30, 40, 20], attributes={"rotation": 90.0}))
    assert found.of("p0.jpg") == [("bolt", (30, 20, 50, 60))] and "made around a rotated one" in found.said


@pytest.mark.parametrize("side", [1e308, "1e308", float("inf"), float("nan"), True, None])
def test_numbers_that_are_none(tmp_path: Path, side: Any) -> None:
    refused(changed_coco(tmp_path / "set", bbox=[side, 1, side, 1]), "annotations[0]: expected each number of bbox")


def test_an_empty_box_beside_a_polygon(tmp_path: Path) -> None:
    outline = [[20, 20, 60, 20, 60, 60]]
    found = convert(changed_coco(tmp_path / "set", bbox=[0, 0, 0, 0], segmentation=outline))
    assert found.of("p0.jpg") == [("bolt", BOX)] and "as bbox has no area" in found.said


def test_images_that_are_named_by_their_url(tmp_path: Path) -> None:
    document = coco(["p0.jpg"])
    write_coco(tmp_path / "set", document)
    del document["images"][0]["file_name"]
    document["images"][0]["coco_url"] = "http://images.example/val/p0.jpg"
    found = convert(write(tmp_path / "set" / "annotations.json", json.dumps(document)))
    assert found.boxes == {"p0.jpg": [("bolt", BOX)]} and "the name is that of coco_url" in found.said


def test_corners_in_coco_are_taken_as_corners(tmp_path: Path) -> None:
    found = convert(changed_coco(tmp_path / "set", bbox=[100, 80, 150, 110]))
    assert found.of("p0.jpg") == [("bolt", (100, 80, 150, 110))]
    assert "taken as [xmin, ymin, xmax, ymax]" in found.said
    plain = convert(changed_coco(tmp_path / "other", bbox=[100, 80, 90, 30]))
    assert plain.of("p0.jpg") == [("bolt", (100, 80, 190, 110))] and "xmin" not in plain.said


def test_boxwrights_own_sets_come_through_as_they_are(tmp_path: Path) -> None:
    generate_sample(tmp_path / "sample", images=20)
    found = convert(tmp_path / "sample", "training")
    for split in ("training", "validation", "test"):
        mine = load_annotations(tmp_path / "sample" / split / "annotations.json")
        come = load_annotations(found.folder.parent / split / "annotations.json")
        assert {box.bbox for box in come.boxes} == {box.bbox for box in mine.boxes}


def test_few_boxes_over_the_edge_make_no_corners(tmp_path: Path) -> None:
    document = coco(["p0.jpg"])
    one = document["annotations"][0]
    document["annotations"] = [one | {"id": n, "bbox": [20 + n, 20, 30, 30]} for n in range(20)]
    document["annotations"].append(one | {"id": 20, "bbox": [100, 80, 150, 110]})
    write_coco(tmp_path / "set", document)
    found = convert(tmp_path / "set")
    assert ("bolt", (20, 20, 50, 50)) in found.of("p0.jpg") and "xmin" not in found.said


def test_one_file_of_splits_has_the_images_of_its_split(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val")):
        write(tmp_path / "set" / "annotations" / f"instances_{split}2017.json", json.dumps(coco(["p0.jpg"])))
        picture(tmp_path / "set" / f"{split}2017" / "p0.jpg", number)
    found = convert(tmp_path / "set" / "annotations" / "instances_val2017.json")
    own = tmp_path / "set" / "val2017" / "p0.jpg"
    assert (found.folder / "images" / "p0.jpg").read_bytes() == own.read_bytes()


def shares_in_coco(folder: Path) -> None:
    changed_coco(folder, bbox=[0.125, 0.25, 0.25, 0.25])


def shares_in_voc(folder: Path) -> None:
    picture(folder / "p0.jpg")
    write(folder / "p0.xml", voc(voc_object(box=(0.125, 0.25, 0.375, 0.5))))


def shares_in_csv(folder: Path) -> None:
    picture(folder / "p0.jpg")
    write(folder / "a.csv", "filename,class,xmin,ymin,xmax,ymax\np0.jpg,bolt,0.125,0.25,0.375,0.5\n")


def shares_in_create_ml(folder: Path) -> None:
    MAKERS["createml"](folder)
    box = {"label": "bolt", "coordinates": {"x": 0.25, "y": 0.375, "width": 0.25, "height": 0.25}}
    write(folder / "_annotations.createml.json", json.dumps([{"image": "p0.jpg", "annotations": [box]}]))


@pytest.mark.parametrize("make", [shares_in_coco, shares_in_voc, shares_in_csv, shares_in_create_ml])
def test_shares_where_pixels_are_usual(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "set")
    found = convert(tmp_path / "set")
    assert found.boxes == {"p0.jpg": [("bolt", (20, 30, 60, 60))]}
    assert "all boxes of the set lie between 0 and 1: taken as shares" in found.said


# Pascal VOC


@pytest.mark.parametrize(
    "text",
    [
        voc(voc_object()).replace("<annotation>", '<annotation xmlns="urn:x">'),
        f"<annotations>{voc(voc_object())}</annotations>",
        voc(voc_object()).replace("object", "Object").replace("bndbox", "BndBox"),
        voc(f"<objects>{voc_object()}</objects>"),
        f'\n <?xml version="1.0" encoding="utf-8"?>{voc(voc_object())}',
        f'<?xml version="1.0" encoding="utf-16"?>{voc(voc_object())}',
    ],
    ids=["namespace", "wrapped", "case", "grouped", "space", "encoding"],
)
def test_markup_of_other_writers(tmp_path: Path, text: str) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    write(tmp_path / "set" / "p0.xml", text)
    assert convert(tmp_path / "set").boxes == {"p0.jpg": [("bolt", BOX)]}


def test_one_file_for_several_images(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
    second = voc(voc_object("nut") + "<object><name>nut</name></object>", "p1.jpg")
    write(tmp_path / "set" / "all.xml", f"<annotations>{voc(voc_object())}{second}</annotations>")
    refused(tmp_path / "set", "1 bad record: all.xml: annotation 2: object 2: expected a <bndbox>")
    found = convert(tmp_path / "set", on_invalid="drop")
    assert found.boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": [("nut", BOX)]}


def test_two_boxes_of_one_object_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    box = voc_object().removeprefix("<object><name>bolt</name>").removesuffix("</object>")
    write(tmp_path / "set" / "p0.xml", voc(f"<object><name>bolt</name>{box}{box}</object>"))
    refused(tmp_path / "set", "p0.xml: object 1: expected one <bndbox>, got 2")


def test_deleted_objects_and_names_of_each_other(tmp_path: Path) -> None:
    for number, other in enumerate(("p1.jpg", "p0.jpg")):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
        gone = voc_object("nut", more="<deleted>1</deleted>")
        write(tmp_path / "set" / f"p{number}.xml", voc(voc_object() + gone, other))
    found = convert(tmp_path / "set")
    assert found.boxes == {"p1.jpg": [("bolt", BOX)], "p0.jpg": [("bolt", BOX)]}
    assert "deleted in the tool: p0.xml: object 2" in found.said
    assert "<filename> is another image than that of the file's own name, and is taken: p0.xml: p1.jpg" in found.said


def test_lists_with_extensions_flags_and_missing_files(tmp_path: Path) -> None:
    for number, name in enumerate(("my photo", "p1", "p2")):
        picture(tmp_path / "set" / "JPEGImages" / f"{name}.jpg", number)
        write(tmp_path / "set" / "Annotations" / f"{name}.xml", voc(voc_object(), f"{name}.jpg"))
    write(tmp_path / "set" / "ImageSets" / "Main" / "train.txt", "my photo.jpg\r\nJPEGImages/p2.jpg\r\ngone\r\n")
    write(tmp_path / "set" / "ImageSets" / "Main" / "val.txt", "p1  1\n")
    found = convert(tmp_path / "set", "training")
    assert set(found.boxes) == {"my photo.jpg", "p2.jpg"} and found.converted.images["validation"] == 1
    reason = "listed, without a file of annotations [1 image less]"
    assert f"left out (1): {reason}: ImageSets/Main/train.txt: line 3: gone" in found.said


def test_lists_of_two_years(tmp_path: Path) -> None:
    for number, year in enumerate(("VOC2007", "VOC2012")):
        picture(tmp_path / "set" / year / "JPEGImages" / "p0.jpg", number)
        write(tmp_path / "set" / year / "Annotations" / "p0.xml", voc(voc_object()))
        write(tmp_path / "set" / year / "ImageSets" / "Main" / ("train.txt", "val.txt")[number], "p0\n")
    assert convert(tmp_path / "set", "training").converted.images == {"training": 1, "validation": 1}


# YOLO


@pytest.mark.parametrize(
    "names",
    ["names: |\n  bolt\n  nut\n", "names: \"['bolt', 'nut']\"\n", "names: bolt, nut\n", "names: {'0': bolt, 1: nut}\n"],
)
def test_names_in_text(tmp_path: Path, names: str) -> None:
    found = convert(yolo(tmp_path / "set", names))
    assert found.of("p0.jpg") == [("bolt", BOX)] and [*found.classes.values()] == ["bolt", "nut"]


def test_names_twice_and_in_several_files(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set", "names: [bolt, nut, bolt]\n")
    write(folder / "labels" / "classes.txt", "dog\nperson\n")
    said = convert(folder).said
    assert "changed (1): class 2 is called bolt like class 0; they are one class: data.yaml" in said
    assert "not read: the names of classes are those of data.yaml: labels/classes.txt" in said


def test_folders_with_different_names_are_not_mixed(tmp_path: Path) -> None:
    for number, names in enumerate(("bolt\nnut\n", "nut\nbolt\n")):
        folder = tmp_path / "set" / ("train", "valid")[number]
        picture(folder / "p0.jpg", number)
        write(folder / "p0.txt", YOLO_LINE)
        write(folder / "_darknet.labels", names)
    refused(tmp_path / "set", "train/_darknet.labels and valid/_darknet.labels have different names of classes")


def test_lists_of_darknet(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for number, split in enumerate(("train", "valid")):
        picture(folder / "obj" / f"{split}.jpg", number)
        write(folder / "obj" / f"{split}.txt", YOLO_LINE)
        write(folder / f"{split}.txt", f"data/obj/{split}.jpg\n" + "data/obj/gone.jpg\n" * number)
    write(folder / "obj.names", "bolt\nnut\n")
    write(folder / "obj.data", "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n")
    found = convert(folder, "validation")
    assert [*found.boxes.values()] == [[("bolt", BOX)]] and found.converted.images == {"training": 1, "validation": 1}
    assert "left out (1): an image that is listed and not there [1 image less]: valid.txt: line 2" in found.said


@pytest.mark.parametrize(
    ("line", "box", "words"),
    [
        ("0 0.5 0.5 0.2 0.2 0.45 0.45 2 0.55 0.55 2.000000", (64, 48, 96, 72), "keypoints left out"),
        ("0, 0.25, 0.25, 0.25, 0.5", (20, 0, 60, 60), "columns between commas"),
        ("bolt 0.25 0.25 0.25 0.5", (20, 0, 60, 60), "a class by its name"),
    ],
)
def test_lines_of_other_writers(tmp_path: Path, line: str, box: tuple[float, ...], words: str) -> None:
    folder = yolo(tmp_path / "set")
    write(folder / "labels" / "p0.txt", line)
    found = convert(folder)
    assert found.of("p0.jpg") == [("bolt", box)] and words in found.said


def test_classes_from_1_and_a_set_without_labels(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    write(folder / "labels" / "p0.txt", "2 0.5 0.5 0.1 0.1")
    refused(folder, "class 2 has no name", "are they counted from 1?")
    for path in (folder / "labels").iterdir():
        path.unlink()
    assert "no image has a file of labels, so that all are negatives" in convert(folder).said
