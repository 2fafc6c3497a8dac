"""Names of images and classes that only look like others, or that are not what they look like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from foreign import BOX, YOLO_LINE, coco, convert, picture, refused, voc, voc_object, write, write_coco, yolo
from tool_exports import manifest_line, studio_region, studio_task


def zipped(folder: Path, top: str) -> Path:
    """An archive of a folder's files below another one."""
    import zipfile

    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, top + path.relative_to(folder).as_posix())
    return folder.with_suffix(".zip")


@pytest.mark.parametrize("name", ["a#1.jpg", "a%20b.jpg", "a?b.jpg", "a+b.jpg", "a#1+b%20c.jpg"])
def test_keys_of_buckets_are_what_they_are(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "set" / "images" / name)
    write(tmp_path / "set" / "output.manifest", manifest_line(f"s3://bucket/x/{name}"))
    assert convert(tmp_path / "set").boxes == {name: [("bolt", BOX)]}


def test_a_hash_in_a_url(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "v.mp4#t=1.jpg")
    found = convert(write(tmp_path / "set" / "a.json", json.dumps(coco(["https://h.example/x/v.mp4#t=1.jpg"]))))
    assert found.boxes == {"v.mp4#t=1.jpg": [("bolt", BOX)]}


def test_an_image_of_another_folder_is_not_taken(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "images" / "cam1" / "0.jpg", 0)
    picture(tmp_path / "set" / "images" / "cam2" / "1.jpg", 1)
    write(tmp_path / "set" / "a.json", json.dumps(coco(["cam1/0.jpg", "cam1/1.jpg"])))
    refused(tmp_path / "set", "images[1]: image cam1/1.jpg does not exist; did you mean images/cam2/1.jpg?")


def test_pictures_without_an_extension_are_told_by_their_content(tmp_path: Path) -> None:
    for number, name in enumerate(("p0", "frame.0001", "frame.0002")):
        picture(tmp_path / "set" / "images" / f"{name}.jpg", number).rename(tmp_path / "set" / "images" / name)
    write(tmp_path / "set" / "images" / "p3", "no picture")
    source = write(tmp_path / "set" / "a.json", json.dumps(coco(["p0", "frame.0001", "frame.0002"])))
    found = convert(source)
    assert found.boxes == {f"{name}.jpg": [("bolt", BOX)] for name in ("p0", "frame.0001", "frame.0002")}
    assert "written under a name with another extension" in found.said
    write(source, json.dumps(coco(["p3"])))
    refused(source, "images[0]: image p3 does not exist")


@pytest.mark.parametrize("instead", ["", "<path>C:\\\\a b\\\\p0.jpg</path>"])
def test_markup_without_the_name_of_its_image(tmp_path: Path, instead: str) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    write(tmp_path / "set" / "p0.xml", voc(voc_object()).replace("<filename>p0.jpg</filename>", instead))
    assert convert(tmp_path / "set").boxes == {"p0.jpg": [("bolt", BOX)]}


def test_folders_with_a_colon(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "set" / f"run: {number}" / "p0.jpg", number)
        write(tmp_path / "set" / f"run: {number}" / "p0.xml", voc(voc_object()))
    found = convert(tmp_path / "set")
    assert found.boxes == {f"run: {number}/p0.jpg": [("bolt", BOX)] for number in range(2)}


@pytest.mark.parametrize("top", ["test/", "train_set/", "a/val/"])
def test_the_folder_around_a_set_is_no_split(tmp_path: Path, top: str) -> None:
    for number, split in enumerate(("train", "valid")):
        write(tmp_path / "c" / split / "_annotations.coco.json", json.dumps(coco(["p0.jpg"])))
        picture(tmp_path / "c" / split / "p0.jpg", number)
        picture(tmp_path / "y" / split / "images" / f"p{number}.jpg", number)
        write(tmp_path / "y" / split / "labels" / f"p{number}.txt", YOLO_LINE)
    write(tmp_path / "y" / "data.yaml", "train: ../train/images\nval: ../valid/images\nnames: [bolt]\n")
    for kind in "cy":
        found = convert(zipped(tmp_path / kind, top), "validation")
        assert found.converted.images == {"training": 1, "validation": 1}
        assert [*found.boxes.values()] == [[("bolt", BOX)]]


def test_an_image_of_two_splits_is_named(tmp_path: Path) -> None:
    for split, names in (("train", ["p0.jpg", "p1.jpg"]), ("val", ["p0.jpg"])):
        write(tmp_path / "set" / "annotations" / f"instances_{split}.json", json.dumps(coco(names)))
    for number in range(2):
        picture(tmp_path / "set" / "images" / f"p{number}.jpg", number)
    said = convert(tmp_path / "set", "training").said
    assert "an image of validation that is in training, too" in said
    assert "annotations/instances_val.json: images[0]: images/p0.jpg" in said


def test_an_image_in_the_folder_of_another_split_is_named(tmp_path: Path) -> None:
    for number, (split, name) in enumerate((("train", "p0.jpg"), ("val", "p1.jpg"))):
        write(tmp_path / "set" / f"{split}.json", json.dumps(coco([name])))
        picture(tmp_path / "set" / "train" / name, number)
    picture(tmp_path / "set" / "val" / "p2.jpg", 2)
    said = convert(tmp_path / "set", "training").said
    assert "an image for validation that lies in a folder for training: val.json: images[0]: train/p1.jpg" in said


@pytest.mark.parametrize("word", ["eval", "validate"])
def test_other_words_for_validation(tmp_path: Path, word: str) -> None:
    for number, split in enumerate(("train", word)):
        rows = f"filename,class,xmin,ymin,xmax,ymax\np{number}.jpg,bolt,20,20,60,60\n"
        write(tmp_path / "set" / f"{split}_labels.csv", rows)
        picture(tmp_path / "set" / f"p{number}.jpg", number)
    assert convert(tmp_path / "set", "validation").boxes == {"p1.jpg": [("bolt", BOX)]}


@pytest.mark.parametrize(
    "text",
    [
        'filename, class, xmin, ymin, xmax, ymax\np0.jpg, "hex, bolt", 20, 20, 60, 60\n',
        'File Name,Class-Name,X Min,Y Min,X Max,Y Max\np0.jpg,"hex, bolt",20,20,60,60\n',
    ],
)
def test_spaces_in_tables(tmp_path: Path, text: str) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    assert convert(write(tmp_path / "set" / "a.csv", text)).boxes == {"p0.jpg": [("hex, bolt", BOX)]}


@pytest.mark.parametrize("space", ["\u00a0", "\u3000", "\u2009"])
def test_other_spaces_become_plain_ones_by_name(tmp_path: Path, space: str) -> None:
    name = f"hex{space}bolt"
    categories = [{"id": 1, "name": name}, {"id": 2, "name": "hex bolt"}, {"id": 3, "name": "nut"}]
    document = coco(["p0.jpg", "p1.jpg"], categories=categories)
    document["annotations"][1]["category_id"] = 2
    write_coco(tmp_path / "coco", document)
    found = convert(tmp_path / "coco")
    assert found.boxes == {name: [("hex bolt", BOX)] for name in ("p0.jpg", "p1.jpg")}
    assert found.classes == {1: "hex bolt", 3: "nut"}
    assert "spaces of another kind in the name of a class" in found.said
    named = convert(yolo(tmp_path / "yolo", f"names: ['{name}', nut]\n"))
    assert named.classes == {1: "hex bolt", 2: "nut"} and named.of("p0.jpg") == [("hex bolt", BOX)]
    picture(tmp_path / "studio" / "p0.jpg")
    task = studio_task([studio_region(rectanglelabels=[name])])
    assert convert(write(tmp_path / "studio" / "e.json", json.dumps([task]))).of("p0.jpg") == [("hex bolt", BOX)]


def test_letters_without_width_are_refused_by_name(tmp_path: Path) -> None:
    document = coco(["p0.jpg"], categories=[{"id": 1, "name": "bo\u200blt"}])
    write_coco(tmp_path / "set", document)
    refused(tmp_path / "set", "categories[0]: expected an id and a name", "bo\\u200blt")


@pytest.mark.parametrize("key", [10**20, 1 << 63, -1])
def test_ids_that_validation_refuses_are_numbered_anew(tmp_path: Path, key: int) -> None:
    document: dict[str, Any] = coco(["p0.jpg", "p1.jpg"], categories=[{"id": key, "name": "bolt"}])
    document["annotations"] = [found | {"category_id": key} for found in document["annotations"]]
    write_coco(tmp_path / "set", document)
    found = convert(tmp_path / "set")
    assert found.classes == {1: "bolt"} and "they are numbered anew" in found.said


def test_classes_that_differ_by_space_around_them_are_one_and_named(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    write(tmp_path / "set" / "p0.xml", voc(voc_object("bolt") + voc_object("bolt ") + voc_object("\n  nut\n")))
    found = convert(tmp_path / "set")
    assert [label for label, _ in found.of("p0.jpg")] == ["bolt", "bolt", "nut"]
    said = "noted (1): classes whose names differ only by space around them; they are one: bolt"
    assert said in " ".join(found.said.split())

    picture(tmp_path / "tasks" / "p0.jpg")
    tasks = [studio_task([studio_region(), studio_region(rectanglelabels=[" bolt"])])]
    write(tmp_path / "tasks" / "tasks.json", json.dumps(tasks))
    assert said in " ".join(convert(tmp_path / "tasks").said.split())


@pytest.mark.parametrize("name", ["{3F2504E0-4F89}", "{}", "a{b", "%s"])
def test_braces_in_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "yolo"
    picture(folder / name / "images" / f"{name}.jpg")
    write(folder / name / "labels" / f"{name}.txt", f"{YOLO_LINE}\n{YOLO_LINE} 0.9")
    found = convert(folder)
    assert found.boxes == {f"{name}.jpg": [("class_0", BOX)] * 2}
    assert f"left out; the box is kept: {name}/labels/{name}.txt: line 2" in found.said
    picture(tmp_path / "voc" / f"{name}.jpg")
    write(tmp_path / "voc" / f"{name}.xml", voc(voc_object(box=(61, 21, 20, 60)), f"{name}.jpg"))
    assert f"corners in the wrong order, put right: {name}.xml: object 1" in convert(tmp_path / "voc").said
