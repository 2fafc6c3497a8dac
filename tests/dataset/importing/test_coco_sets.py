"""COCO files as tools write them: nothing in them is lost or taken for something else without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import BOX, coco, convert, picture, write, write_coco
from pycocotools import mask as masks

from boxwright.errors import DataError

POLYGON = [[20, 20, 60, 20, 60, 60, 20, 60]]


def changed(path: Path, where: str, index: int, **fields: Any) -> Path:
    """One bolt in each of two images, and one record changed; a field of `...` is taken out."""
    document = coco(["p0.jpg", "p1.jpg"])
    record = document[where][index]
    for name, value in fields.items():
        if value is ...:
            del record[name]
        else:
            record[name] = value
    for name in ("p0.jpg", "p1.jpg"):
        picture(path / "images" / name)
    return write(path / "annotations.json", json.dumps(document))


def uncompressed() -> dict[str, Any]:
    pixels = np.zeros((120, 160), np.uint8, order="F")
    pixels[20:60, 20:60] = 1
    flat = pixels.flatten(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    return {"size": [120, 160], "counts": np.diff([0, *edges.tolist(), flat.size]).tolist()}


def compressed() -> dict[str, Any]:
    pixels = np.zeros((120, 160), np.uint8, order="F")
    pixels[20:60, 20:60] = 1
    packed = masks.encode(pixels)
    return {"size": [120, 160], "counts": packed["counts"].decode()}


@pytest.mark.parametrize("head", [b"\xef\xbb\xbf", b"", b"\xff\xfe"])
def test_marks_of_byte_order(tmp_path: Path, head: bytes) -> None:
    source = write_coco(tmp_path / "set", coco(["p0.jpg", "p1.jpg"]))
    text = source.read_text()
    source.write_bytes(head + text.encode("utf-16-le" if head == b"\xff\xfe" else "utf-8"))
    assert convert(source).boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": [("bolt", BOX)]}


@pytest.mark.parametrize(
    "extra",
    [
        {"info": {"year": "2024"}},
        {"info": None},
        {"licenses": "CC BY"},
        {"info": [], "licenses": {}, "type": 3, "score": float("nan")},
    ],
)
def test_fields_that_play_no_part_are_not_looked_at(tmp_path: Path, extra: dict[str, Any]) -> None:
    document = coco(["p0.jpg"], **extra)
    document["images"][0] |= {"license": "x", "date_captured": 7, "extra": {"name": []}, "flickr_url": None}
    document["annotations"][0] |= {"area": "large", "id": "a-1", "score": "high", "keypoints": "none", "attributes": 1}
    document["categories"][0] |= {"supercategory": 3, "skeleton": "?"}
    assert convert(write_coco(tmp_path / "set", document)).boxes == {"p0.jpg": [("bolt", BOX)]}


@pytest.mark.parametrize(
    "segmentation",
    [POLYGON, POLYGON[0], [[20, 20, 60, 20, 60, 60], [20, 30, 20, 60, 40, 60]], uncompressed(), compressed()],
)
@pytest.mark.parametrize("bbox", [..., None, []])
def test_boxes_are_made_from_the_segmentation_and_counted(tmp_path: Path, segmentation: Any, bbox: Any) -> None:
    found = convert(changed(tmp_path / "set", "annotations", 0, bbox=bbox, segmentation=segmentation))
    assert found.of("p0.jpg") == [("bolt", BOX)]
    assert "changed (1): box made from the segmentation" in found.said and "annotations[0]" in found.said


@pytest.mark.parametrize("segmentation", [..., [], None, {}, [[]]])
def test_an_object_without_any_outline_is_left_out_by_name(tmp_path: Path, segmentation: Any) -> None:
    source = changed(tmp_path / "set", "annotations", 0, bbox=..., segmentation=[])
    found = convert(source)
    assert found.of("p0.jpg") == [] and "left out (1): no bbox and no segmentation [1 box less]" in found.said
    assert "annotations.json: annotations[0]" in found.said
    with pytest.raises(DataError, match="no bbox and no segmentation"):
        convert(source, strict=True)


@pytest.mark.parametrize(
    ("where", "index", "fields", "words"),
    [
        ("images", 1, {"file_name": "p0.jpg"}, "images[1]: file_name p0.jpg is that of images[0] already"),
        ("images", 1, {"file_name": "./p0.jpg"}, "images[1]: file_name ./p0.jpg is that of images[0] already"),
        ("images", 1, {"id": 0}, "images[1] p1.jpg: id 0 is that of images[0] already"),
        ("images", 1, {"id": ...}, "images[1]: expected id"),
        ("images", 1, {"file_name": 7}, "images[1]: expected file_name, got 7"),
        ("images", 1, {"file_name": "P1.JPG"}, "image P1.JPG does not exist; did you mean p1.jpg?"),
        ("images", 1, {"file_name": "p1.png"}, "image p1.png does not exist; did you mean p1.jpg?"),
        ("images", 1, {"file_name": "q.jpg"}, "image q.jpg does not exist; put it there"),
        ("images", 1, {"file_name": "../../../etc/passwd"}, "image ../../../etc/passwd does not exist"),
        ("annotations", 1, {"image_id": 9}, "annotations[1]: image_id 9 is that of no image"),
        ("annotations", 1, {"category_id": 9}, "annotations[1]: category_id 9 is that of no category"),
        (
            "annotations",
            1,
            {"bbox": [1, 2, 3]},
            "annotations[1]: expected bbox as [x, y, width, height], got [1, 2, 3]",
        ),
        ("annotations", 1, {"bbox": [1, 2, 3, float("nan")]}, "finite number, got nan"),
        ("annotations", 1, {"bbox": [1, 2, 3, 10**400]}, "finite number, got 1000"),
        ("annotations", 1, {"bbox": ..., "segmentation": [[1, 2, 3]]}, "expected pairs of coordinates"),
        ("annotations", 1, {"bbox": ..., "segmentation": {"size": [1, 1], "counts": "~"}}, "expected a mask's counts"),
        ("categories", 1, {"id": 1}, "categories[1]: id 1 is that of bolt already"),
        ("categories", 1, {"name": None}, "categories[1]: expected an id and a name"),
    ],
)
def test_broken_records_are_named(tmp_path: Path, where: str, index: int, fields: dict[str, Any], words: str) -> None:
    source = changed(tmp_path / "set", where, index, **fields)
    with pytest.raises(DataError) as caught:
        convert(source)
    assert words in str(caught.value) and "\n" not in str(caught.value) and str(source) in str(caught.value)
    dropped = convert(source, on_invalid="drop")
    assert "p0.jpg" in dropped.boxes and "broken (" in dropped.said


def test_ids_as_text_and_numbers_are_the_same(tmp_path: Path) -> None:
    document = coco(["p0.jpg"])
    document["images"][0]["id"] = "17"
    document["annotations"][0] |= {"image_id": 17, "category_id": "1", "bbox": ["20", "20.0", 40, 40]}
    assert convert(write_coco(tmp_path / "set", document)).boxes == {"p0.jpg": [("bolt", BOX)]}


def test_ids_that_are_no_numbers(tmp_path: Path) -> None:
    document = coco(["p0.jpg"])
    document["images"][0]["id"] = document["annotations"][0]["image_id"] = "5f-uuid"
    document["categories"][0]["id"] = document["annotations"][0]["category_id"] = "cat-a"
    found = convert(write_coco(tmp_path / "set", document))
    assert found.boxes == {"p0.jpg": [("bolt", BOX)]} and "numbered anew" in found.said


@pytest.mark.parametrize(
    "written",
    [
        "images\\p0.jpg",
        "./p0.jpg",
        "/home/me/set/images/p0.jpg",
        "C:\\x\\images\\p0.jpg",
        "https://host/a/p0.jpg?x=1",
        "s3://bucket/images/p0.jpg",
        "s3://b]x/p0.jpg",
    ],
)
def test_images_are_found_by_what_other_systems_call_them(tmp_path: Path, written: str) -> None:
    picture(tmp_path / "set" / "images" / "p0.jpg")
    found = convert(write(tmp_path / "set" / "a.json", json.dumps(coco([written]))))
    assert [name.rpartition("/")[2] for name in found.boxes] == ["p0.jpg"]


def test_equal_names_in_several_folders(tmp_path: Path) -> None:
    document = coco(["a/p.jpg", "b/p.jpg"])
    assert set(convert(write_coco(tmp_path / "set", document)).boxes) == {"a/p.jpg", "b/p.jpg"}
    document["images"][1]["file_name"] = "c/p.jpg"
    source = write(tmp_path / "set" / "annotations.json", json.dumps(document))
    with pytest.raises(DataError, match="c/p.jpg may be images/a/p.jpg or images/b/p.jpg"):
        convert(source)


def test_crowds_and_classes_of_groups(tmp_path: Path) -> None:
    document = coco(["p0.jpg"])
    document["annotations"][0]["iscrowd"] = 1
    document["categories"] = [
        {"id": 0, "name": "parts", "supercategory": "none"},
        {"id": 1, "name": "bolt", "supercategory": "parts"},
        {"id": 4, "name": "nut", "supercategory": "parts"},
    ]
    found = convert(write_coco(tmp_path / "set", document))
    assert found.converted.crowds == 1 and found.classes == {1: "bolt", 4: "nut"}
    assert "only groups others, left out: parts" in found.said and "without boxes, kept: nut" in found.said


def test_two_categories_of_one_name_are_joined_by_name(tmp_path: Path) -> None:
    document = coco(["p0.jpg", "p1.jpg"])
    document["categories"][1]["name"] = "bolt"
    document["annotations"][1]["category_id"] = 2
    found = convert(write_coco(tmp_path / "set", document))
    assert found.classes == {1: "bolt"} and "category 2 is called bolt like 1" in found.said


def test_no_categories(tmp_path: Path) -> None:
    document = coco(["p0.jpg"], categories=None)
    found = convert(write_coco(tmp_path / "set", document))
    assert found.classes == {1: "class_1"} and "no categories" in found.said


@pytest.mark.parametrize(
    "size", [{}, {"width": 0, "height": 0}, {"width": None, "height": "x"}, {"width": "160", "height": 120.0}]
)
def test_sizes_come_from_the_files_where_there_are_none(tmp_path: Path, size: dict[str, Any]) -> None:
    document = coco(["p0.jpg"])
    document["images"][0] = {"id": 0, "file_name": "p0.jpg"} | size
    found = convert(write_coco(tmp_path / "set", document))
    written = json.loads((found.folder / "annotations.json").read_text())["images"][0]
    assert (written["width"], written["height"]) == (160, 120) and found.of("p0.jpg") == [("bolt", BOX)]


def test_a_published_set_in_one_call(tmp_path: Path) -> None:
    folder = tmp_path / "coco"
    for split, first in (("train2017", 0), ("val2017", 10)):
        names = [f"{number:012}.jpg" for number in range(first, first + 2)]
        for number, name in enumerate(names):
            picture(folder / split / name, first + number)
        write(folder / "annotations" / f"instances_{split}.json", json.dumps(coco(names)))
        write(folder / "annotations" / f"captions_{split}.json", json.dumps(coco(names)))
        write(folder / "annotations" / f"person_keypoints_{split}.json", json.dumps(coco(names)))
    found = convert(folder, split="training")
    assert found.converted.images == {"training": 2, "validation": 2}
    assert set(found.boxes) == {"000000000000.jpg", "000000000001.jpg"}
    assert "captions_train2017.json" in found.said and "person_keypoints_val2017.json" in found.said


def test_roboflow_splits(tmp_path: Path) -> None:
    folder = tmp_path / "robo"
    for split in ("train", "valid", "test"):
        picture(folder / split / "p0.jpg", 7)
        write(folder / split / "_annotations.coco.json", json.dumps(coco(["p0.jpg"])))
    found = convert(folder, split="test")
    assert found.converted.images == {"training": 1, "validation": 1, "test": 1} and set(found.boxes) == {"p0.jpg"}
    assert convert(folder / "train").converted.images == {"": 1}


def test_pictures_that_no_record_names(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "set", coco(["p0.jpg"]))
    picture(source.parent / "images" / "p9.jpg")
    assert "does not name this image: images/p9.jpg" in convert(source).said
    assert "left out (1): no label names this image" in convert(source.parent).said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"images": [', "not JSON at line 1, column 13"),
        ("[]", "expected an object with images, annotations, categories, got list"),
        ('{"images": {}, "annotations": []}', "expected a list images, got dict"),
        ('{"images": []}', "expected a list annotations, got nothing"),
        (b"\xff{}", "not UTF-8 at byte 0"),
        ("[" * 100_000, "not usable JSON"),
        ('{"images": [], "annotations": []}', "no image in it"),
    ],
)
def test_files_that_are_no_coco(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(DataError, match=words.replace("[", r"\[")):
        convert(write(tmp_path / "set" / "a.json", text), kind="coco")
