"""Going on without bad records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tinyset

from boxwright.config import RunConfig, parse_config
from boxwright.dataset.annotations.reading import load_annotations
from boxwright.dataset.examples.build import dropped_records
from boxwright.dataset.snapshot.download import download_dataset
from boxwright.dataset.validation.dropping import read_cleaned
from boxwright.dataset.validation.findings import Report
from boxwright.dataset.validation.validate import validate_annotations
from boxwright.errors import DataError


def config(folder: Path, **settings: Any) -> RunConfig:
    return parse_config({"training": str(folder), "output": "x", "data_validation": {"on_invalid": "drop", **settings}})


def validated(tmp_path: Path, content: dict[str, Any], **settings: Any) -> tuple[RunConfig, Report]:
    run = config(tinyset.write(tmp_path / "set", content), **settings)
    validate_annotations(run, tmp_path / "out")
    return run, Report.read(tmp_path / "out" / "validation_report.json")


def dropped(report: Report) -> list[tuple[str, int, str | None, str]]:
    return [(record.list, record.index, record.file, record.reason) for record in report.dropped]


def test_a_box_goes_and_its_image_stays(tmp_path: Path) -> None:
    content = tinyset.document(20)
    content["annotations"][5]["bbox"] = [9, 9, 9, 9]
    content["annotations"][6]["category_id"] = 99
    run, report = validated(tmp_path, content)
    assert dropped(report) == [
        ("annotations", 6, "p3.png", "category_id_unknown"),
        ("annotations", 5, "p2.jpg", "box_without_area"),
    ]
    assert report.to_dict()["ok"] and len(report.findings) == 2 and not report.errors
    cleaned = read_cleaned(run, report)["training"]
    assert len(cleaned.images) == 20
    assert [box.index for box in cleaned.boxes] == [index for index in range(40) if index not in (5, 6)]


def test_an_image_takes_its_boxes_along(tmp_path: Path) -> None:
    content = tinyset.document(20)
    tinyset.write(tmp_path / "set", content)
    content["images"][4]["width"] = 0
    (tmp_path / "set" / "images" / "p7.png").unlink()
    (tmp_path / "set" / "annotations.json").write_text(json.dumps(content))
    run = config(tmp_path / "set")
    validate_annotations(run, tmp_path / "out")
    report = Report.read(tmp_path / "out" / "validation_report.json")
    assert dropped(report) == [
        ("images", 4, "p4.jpg", "wrong_type"),
        ("images", 7, "p7.png", "image_missing"),
        ("annotations", 8, "p4.jpg", "images[4] is dropped"),
        ("annotations", 9, "p4.jpg", "images[4] is dropped"),
        ("annotations", 14, "p7.png", "images[7] is dropped"),
        ("annotations", 15, "p7.png", "images[7] is dropped"),
    ]
    cleaned = read_cleaned(run, report)["training"]
    assert len(cleaned.images) == 18 and len(cleaned.boxes) == 36


def test_what_was_dropped_goes_along_with_the_dataset(tmp_path: Path) -> None:
    content = tinyset.document(20)
    content["annotations"][5]["bbox"] = [9, 9, 9, 9]
    run, _ = validated(tmp_path, content)
    download_dataset(run, tmp_path / "dataset", tmp_path / "out" / "validation_report.json")
    [record] = dropped_records(tmp_path / "dataset")
    assert (record.split, record.list, record.index) == ("training", "annotations", 5)
    assert len(load_annotations(tmp_path / "dataset" / "training" / "annotations.json").boxes) == 39
    assert dropped_records(tmp_path / "set") == ()


@pytest.mark.parametrize("key", ["id", "file_name"])
def test_of_images_that_share_an_id_or_a_file_none_stays(tmp_path: Path, key: str) -> None:
    content = tinyset.document(30)
    content["images"][8][key] = content["images"][2][key]
    run, report = validated(tmp_path, content, severities={"image_id_unknown": "error"})
    assert [record.index for record in report.dropped if record.list == "images"] == [8, 2]
    assert {record.index for record in report.dropped if record.list == "annotations"} == {4, 5, 16, 17}
    assert len(read_cleaned(run, report)["training"].boxes) == 56


def test_coco_boxes_become_corners(tmp_path: Path) -> None:
    content = tinyset.document(20)
    for box in content["annotations"]:
        box["bbox"] = [25, 5, 15, 25]
    content["annotations"][0]["bbox"] = [25, 5, 0, 25]
    run, report = validated(tmp_path, content, bbox_format="auto")
    cleaned = read_cleaned(run, report)["training"]
    assert report.splits["training"]["bbox_format"] == "coco"
    assert cleaned.boxes[0].index == 1 and cleaned.boxes[0].bbox == (25, 5, 40, 30)
    assert len(cleaned.boxes) == 39


@pytest.mark.parametrize(("bad", "most", "passes"), [(3, 0.1, True), (4, 0.1, False), (40, 1, False), (39, 1, True)])
def test_too_many(tmp_path: Path, bad: int, most: float, passes: bool) -> None:
    content = tinyset.document(15 if bad < 30 else 20)
    for box in content["annotations"][:bad]:
        box["bbox"] = [30, 25, 40, 25]
    if passes:
        assert len(validated(tmp_path, content, max_drop_share=most)[1].dropped) == bad
        return
    with pytest.raises(DataError, match="1 bad record: training: file: too_much_dropped.*max_drop_share"):
        validated(tmp_path, content, max_drop_share=most)
    assert json.loads((tmp_path / "out" / "validation_report.json").read_text())["ok"] is False


def test_what_is_no_record_cannot_be_dropped(tmp_path: Path) -> None:
    content = tinyset.document(20)
    content["categories"].append({"id": 3, "name": "lion"})
    with pytest.raises(DataError, match=r"categories\[2\]: id_not_unique"):
        validated(tmp_path, content)


def test_a_format_mistake_is_not_dropped_box_by_box(tmp_path: Path) -> None:
    content = tinyset.document(20)
    for box in content["annotations"]:
        box["bbox"] = [20, 15, 10, 10]
    with pytest.raises(DataError, match="1 bad record: training: annotations: format_coco"):
        validated(tmp_path, content, severities={"box_duplicate": "off"})


def test_a_report_can_be_read_again_and_nothing_else(tmp_path: Path) -> None:
    content = tinyset.document(20)
    content["annotations"][5]["bbox"] = [9, 9, 9, float("nan")]
    _, report = validated(tmp_path, content)
    report.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "out" / "validation_report.json").read_bytes()
    (tmp_path / "other.json").write_text('{"settings": {}}')
    for name in ("other.json", "missing.json"):
        with pytest.raises(DataError, match="expected a validation report"):
            Report.read(tmp_path / name)
