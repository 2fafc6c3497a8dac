"""Sets as manifests, tables and records: Ground Truth, CSV, Open Images and TFRecord; how each format is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from foreign import BOX, convert, picture, write
from tool_exports import MAKERS, csv, cvat, example, ground_truth, manifest_line, open_images, tfrecord

from boxwright.dataset.examples.tfrecord import write_record
from boxwright.errors import DataError, UsageError


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
        (manifest_line(labels=None), "left out", "no boxes of workers"),
        (manifest_line(**{"check-metadata": {"class-name": "reject"}}), "left out", "rejected by a worker"),
        (
            manifest_line("s3://b/p0.jpg", {"class_id": 7, "left": 1, "top": 1, "width": 1, "height": 1}),
            "broken",
            "class_id 7 has no name in class-map",
        ),
        (manifest_line("s3://b/p0.jpg", {"class_id": 0, "left": None, "top": 1}), "broken", "expected left"),
        (manifest_line("s3://b/q.jpg"), "broken", "image s3://b/q.jpg does not exist; give --fetch"),
        ('{"source-ref": ', "broken", "not JSON at line 1, column"),
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
