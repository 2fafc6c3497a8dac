"""YOLO sets in the layouts and with the files that tools leave."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from foreign import BOX, YOLO_LINE, convert, picture, refused, write, yolo

from boxwright.errors import DataError


@pytest.mark.parametrize(
    "names",
    [
        "names: [bolt, nut]  # two\n",
        "nc: 2\nnames:\n- bolt\n- nut\n",
        "names:\n  - bolt\n  - nut\n",
        "names:\n  0: bolt\n  1: nut\n",
        "names: {0: \"bolt\", 1: 'nut'}\n",
        "names: [\n  bolt,\n  nut,\n]\n",
        "%YAML 1.2\n---\nnames: &n [bolt, nut]\ncopy: *n\n...\n",
        '{"names": ["bolt", "nut"]}',
        "\ufeffnames: [bolt, nut]\r\n",
        "path: /nowhere\ntrain: images\nval: images\nnames: [bolt, nut]\n",
        "train: !!python/object:os.system {}\nnames: [bolt, nut]\n",
    ],
)
def test_any_yaml(tmp_path: Path, names: str) -> None:
    found = convert(yolo(tmp_path / "set", names))
    assert found.boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": []} and list(found.classes.values()) == ["bolt", "nut"]


def test_names_that_yaml_would_change(tmp_path: Path) -> None:
    found = convert(yolo(tmp_path / "set", "names: [no, 007, null, 2024-01-01, '1e3', ~]\n"))
    assert list(found.classes.values()) == ["no", "007", "null", "2024-01-01", "1e3", "~"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("names: [bolt, nut\n", "data.yaml: not YAML at line"),
        ("names: [bolt]\nnames: [nut]\n", "the key 'names' is there twice, again at line 2"),
        ("names: []\n", "expected the names of the classes, got none"),
        ("names: [bolt, '']\n", "names[1]: expected the name of a class, got ''"),
        ("names: {a: bolt}\n", "expected the number of a class, got 'a'"),
        ("names: [[bolt]]\n", "expected the name of a class"),
        ("names: &a [*a]\n", "expected the name of a class"),
    ],
)
def test_broken_names(tmp_path: Path, names: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        convert(yolo(tmp_path / "set", names), kind="yolo")
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["classes.txt", "obj.names", "coco.names"])
def test_names_in_lists(tmp_path: Path, name: str) -> None:
    source = yolo(tmp_path / "set", "")
    write(source / name, "bolt\r\nnut\r\n\r\n")
    assert list(convert(source).classes.values()) == ["bolt", "nut"]


def test_no_names(tmp_path: Path) -> None:
    source = yolo(tmp_path / "set", "")
    write(source / "labels" / "p1.txt", YOLO_LINE.replace("0 ", "2 ", 1))
    found = convert(source)
    assert list(found.classes.values()) == ["class_0", "class_1", "class_2"] and "no data.yaml" in found.said


def test_yml_is_read_too(tmp_path: Path) -> None:
    source = yolo(tmp_path / "set")
    (source / "data.yaml").rename(source / "dataset.yml")
    assert list(convert(source).classes.values()) == ["bolt", "nut"]


@pytest.mark.parametrize(
    ("images", "labels"), [("images", "labels"), ("", ""), ("Images", "Labels"), ("obj_train_data",) * 2]
)
def test_layouts(tmp_path: Path, images: str, labels: str) -> None:
    found = convert(yolo(tmp_path / "set", images=images, labels=labels))
    assert found.boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": []} and "yolo, as data.yaml" in found.said


def splits(folder: Path, layout: str, names: str, *words: str) -> Path:
    for number, word in enumerate(words):
        images, labels = (layout.format(kind=kind, split=word) for kind in ("images", "labels"))
        picture(folder / images / "p0.jpg", number)
        write(folder / labels / "p0.txt", YOLO_LINE)
    write(folder / "data.yaml", names)
    return folder


ULTRALYTICS = "path: ../datasets/x\ntrain: images/train\nval: images/val\ntest:\nnames: {0: bolt, 1: nut}\n"
ROBOFLOW = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\nnames: ['bolt', 'nut']\n"


def test_splits_of_ultralytics(tmp_path: Path) -> None:
    source = splits(tmp_path / "set", "{kind}/{split}", ULTRALYTICS, "train", "val")
    found = convert(source, split="validation")
    assert found.converted.images == {"training": 1, "validation": 1} and found.of("p0.jpg") == [("bolt", BOX)]
    assert "broken" not in found.said
    alone = convert(source, images=source / "images" / "train")
    assert alone.converted.images == {"": 1} and alone.of("p0.jpg") == [("bolt", BOX)]
    assert "labels/val/p0.txt" in alone.said


def test_splits_of_roboflow(tmp_path: Path) -> None:
    source = splits(tmp_path / "set", "{split}/{kind}", ROBOFLOW, "train", "valid", "test")
    found = convert(source, split="validation")
    assert found.converted.images == {"training": 1, "validation": 1, "test": 1}
    alone = convert(source / "train")
    assert alone.of("p0.jpg") == [("bolt", BOX)] and "class names are from above the source: ../data.yaml" in alone.said


def test_splits_by_names_that_only_the_yaml_knows(tmp_path: Path) -> None:
    names = "train: images/a\nval: images/b\nnames: [bolt, nut]\n"
    found = convert(splits(tmp_path / "set", "{kind}/{split}", names, "a", "b"), split="validation")
    assert found.converted.images == {"training": 1, "validation": 1}


def test_splits_by_lists_of_files(tmp_path: Path) -> None:
    source = yolo(tmp_path / "set", "train: train.txt\nval: val.txt\nnames: [bolt, nut]\n")
    write(source / "train.txt", "./images/p0.jpg\n")
    write(source / "val.txt", "/home/me/set/images/p1.jpg\n")
    found = convert(source, split="training")
    assert set(found.boxes) == {"p0.jpg"} and found.converted.images == {"training": 1, "validation": 1}


def test_images_without_label_files_are_negatives(tmp_path: Path) -> None:
    source = yolo(tmp_path / "set")
    picture(source / "images" / "p2.jpg", 2)
    found = convert(source)
    assert found.of("p2.jpg") == [] and found.converted.account.came_out.negatives == 2


@pytest.mark.parametrize(
    ("line", "box", "words"),
    [
        (YOLO_LINE + " 0.91", BOX, "confidence"),
        ("0 0.125 0.25 0.375 0.25 0.375 0.5", (20, 30, 60, 60), "box made from a polygon"),
        ("0 0.125 0.25 0.375 0.25 0.375 0.5 0.125 0.5", (20, 30, 60, 60), "box made from a polygon"),
        ("0 0.125 0.25 0.375 0.25 0.375 0.5 0.9", (20, 30, 60, 60), "the polygon is kept"),
        (YOLO_LINE.replace(" ", "\t"), BOX, ""),
        ("\ufeff" + YOLO_LINE, BOX, ""),
        (YOLO_LINE.replace("0 ", "0.0 ", 1), BOX, ""),
        ("\n\n  " + YOLO_LINE + "  \r\n", BOX, ""),
    ],
)
def test_lines(tmp_path: Path, line: str, box: tuple[float, ...], words: str) -> None:
    source = yolo(tmp_path / "set")
    write(source / "labels" / "p0.txt", line)
    found = convert(source)
    assert found.of("p0.jpg") == [("bolt", box)] and words in found.said


def test_keypoints(tmp_path: Path) -> None:
    source = yolo(tmp_path / "set", "kpt_shape: [2, 3]\nnames: [bolt]\n")
    write(source / "labels" / "p0.txt", YOLO_LINE + " 0.1 0.1 2 0.2 0.2 1")
    found = convert(source)
    assert found.of("p0.jpg") == [("bolt", BOX)] and "keypoints left out" in found.said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("7 0.5 0.5 0.1 0.1", "labels/p0.txt: line 2: class 7 has no name; data.yaml has 2 names"),
        ("-1 0.5 0.5 0.1 0.1", "expected the number of a class first, got '-1'"),
        ("gear 0.5 0.5 0.1 0.1", "expected the number of a class first, got 'gear'"),
        ("0 0.5 0.5 0.1", "expected class x y width height, or class and a polygon, got 4 columns"),
        ("0 0.5 0.5 nan 0.1", "as a finite number, got 'nan'"),
        ("0 0,5 0,5 0,1 0,1", "as a finite number, got '0,5'"),
        ("0 320 240 50 50", "expected a share of the image from 0 to 1, got '320'; pixels?"),
        ("0 0.5 0.5 1e999 0.1", "as a finite number"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: str, words: str) -> None:
    source = yolo(tmp_path / "set")
    write(source / "labels" / "p0.txt", f"{YOLO_LINE}\n{line}\n")
    with pytest.raises(DataError) as caught:
        convert(source)
    assert words in str(caught.value)
    dropped = convert(source, on_invalid="drop")
    assert dropped.of("p0.jpg") == [("bolt", BOX)] and "broken (1)" in dropped.said and "[1 box less]" in dropped.said


def test_label_files_without_an_image_are_lost_objects(tmp_path: Path) -> None:
    source = yolo(tmp_path / "set")
    write(source / "labels" / "P1.txt", YOLO_LINE)
    write(source / "labels" / "q.txt", f"{YOLO_LINE}\n{YOLO_LINE}")
    with pytest.raises(DataError) as caught:
        convert(source)
    assert "labels/q.txt: no image goes with this label file" in str(caught.value)
    assert "labels/P1.txt: no image goes with this label file; did you mean that of images/p1.jpg" in str(caught.value)


def test_other_files_are_ignored_by_name(tmp_path: Path) -> None:
    source = yolo(tmp_path / "set")
    write(source / "README.roboflow.txt", "Exported on a day\nwith 0.5 of it")
    write(source / "labels" / "classes.txt", "bolt\nnut\n")
    write(source / "labels.cache", b"\0\1")
    write(source / "images" / "._p0.jpg", b"\0\5\x16\7")
    write(source / "labels" / "._p0.txt", b"\0\5\x16\7")
    write(source / "__MACOSX" / "images" / "._p1.jpg", b"\0")
    write(source / "images" / ".DS_Store", b"\0")
    found = convert(source)
    assert set(found.boxes) == {"p0.jpg", "p1.jpg"} and "README.roboflow.txt" in found.said
    assert "images/._p0.jpg" in found.said and "__MACOSX" in found.said


def test_a_folder_that_holds_itself_what_is_written(tmp_path: Path) -> None:
    source = yolo(tmp_path / "set")
    out = source / "converted"
    from boxwright.dataset.importing.conversion import convert_dataset

    convert_dataset(source, out)
    assert sorted(path.name for path in (out / "images").iterdir()) == ["p0.jpg", "p1.jpg"]
    shutil.rmtree(out)


def test_an_empty_folder_and_an_unknown_one(tmp_path: Path) -> None:
    from boxwright.errors import UsageError

    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="not recognised as any of"):
        convert(tmp_path / "empty")
    with pytest.raises(DataError, match="no image in it"):
        convert(tmp_path / "empty", kind="yolo")


def test_names_in_a_file_elsewhere_and_all_else_where_the_images_are(tmp_path: Path) -> None:
    yolo(tmp_path / "data", images="images/a", labels="labels/a")
    (tmp_path / "configs").mkdir()
    names = (tmp_path / "data" / "data.yaml").rename(tmp_path / "configs" / "data.yaml")
    refused(names, "no image in it", "--images FOLDER")
    found = convert(names, images=tmp_path / "data")
    assert found.of("a/p0.jpg") == [("bolt", BOX)]
    refused(names, "none of", "has a file of labels", "--images", images=tmp_path / "data" / "images")
