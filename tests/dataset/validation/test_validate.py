"""The rules, through Great Expectations as a run uses it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import tinyset
from seaweed import Seaweed

from boxwright.config import RunConfig, parse_config
from boxwright.dataset.validation.validate import ValidationSummary, validate_annotations
from boxwright.errors import DataError, UsageError


def config(training: Path | str, **others: Any) -> RunConfig:
    return parse_config({"training": str(training), "output": "unused", **{k: str(v) for k, v in others.items()}})


def validate(tmp_path: Path, content: dict[str, Any]) -> ValidationSummary:
    return validate_annotations(config(tinyset.write(tmp_path / "set", content)), tmp_path / "out")


def bad_records(tmp_path: Path, run: RunConfig) -> tuple[str, list[dict[str, Any]]]:
    """The error's text and the report's findings."""
    with pytest.raises(DataError) as caught:
        validate_annotations(run, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "validation_report.json").read_text())
    assert report["ok"] is False and "\n" not in str(caught.value)
    assert str(tmp_path / "out" / "validation_report.json") in str(caught.value)
    return str(caught.value), report["findings"]


def test_a_good_dataset(tmp_path: Path) -> None:
    summary = validate(tmp_path, tinyset.document())
    assert summary.failed == 0 and summary.splits["training"]["boxes"] == 6
    report = json.loads(Path(summary.report).read_text())
    assert report["ok"] and report["findings"] == report["dropped"] == [] and report["fingerprint"] is None
    assert report["rules"]["box_without_area"] == {"severity": "error", "threshold": None, "checked": 6, "failed": 0}
    assert report["rules"]["image_missing"]["checked"] == 3
    assert summary.checked == sum(rule["checked"] for rule in report["rules"].values())
    assert report["splits"]["training"] == {
        "annotations": f"{tmp_path}/set/annotations.json", "images": 3, "boxes": 6, "images_without_boxes": 0,
        "files_in_images": 3, "unused_files": 0, "bbox_format": "corners", "classes": {"cat": 3, "dog": 3},
        "impossible_boxes": {
            "boxes": 6, "corners": 0, "coco": 3, "normalised": 6, "yxyx": 3, "width_height_swapped": 3
        },
    }  # fmt: skip


def test_great_expectations_result_and_data_docs_are_beside_the_report(tmp_path: Path) -> None:
    content = tinyset.document(200)
    for box in content["annotations"][:100]:
        box["bbox"] = [9, 9, 9, 9]
    bad_records(tmp_path, config(tinyset.write(tmp_path / "set", content)))
    result = json.loads((tmp_path / "out" / "great_expectations.json").read_text())
    outcomes = {found["expectation_config"]["meta"]["check"]: found for found in result["annotations"]["results"]}
    failed = outcomes["annotations-box_without_area"]
    assert not failed["success"] and failed["result"]["unexpected_count"] == 100
    assert len(failed["result"]["partial_unexpected_list"]) == 20 and "unexpected_list" not in failed["result"]
    pages = list((tmp_path / "out" / "data_docs").rglob("*.html"))
    assert {page.name for page in pages} >= {"index.html", "dataset-annotations.html", "dataset-images.html"}
    for page in pages:
        text = page.read_text()
        # A link may lead elsewhere; nothing is fetched from there by itself.
        assert not re.search(r"<(script|img|iframe)[^>]+src=.?(https?:)?//|<link[^>]+href=.?(https?:)?//", text)
    assert any("box_without_area" in page.read_text() for page in pages)


def test_every_bad_record_is_reported_and_ten_are_shown(tmp_path: Path) -> None:
    content = tinyset.document(150)
    for box in content["annotations"]:
        box["bbox"] = [30, 20, 40, 20]
    text, records = bad_records(tmp_path, config(tinyset.write(tmp_path / "set", content)))
    assert [r["index"] for r in records if r["rule"] == "box_without_area"] == list(range(300))
    assert "300 bad records" in text and text.count("annotations[") == 10


def test_a_pixel_over_the_edge_is_taken(tmp_path: Path) -> None:
    content = tinyset.document()
    content["annotations"][0]["bbox"] = [-1, -1, 41, 20]
    assert validate(tmp_path, content).failed == 0


def test_missing_and_empty_files_come_from_the_listing(tmp_path: Path) -> None:
    folder = tinyset.write(tmp_path / "set")
    (folder / "images" / "p0.jpg").unlink()
    (folder / "images" / "p1.png").write_bytes(b"")
    (folder / "images" / "p2.jpg").write_bytes(b"not read here")
    _, records = bad_records(tmp_path, config(folder))
    assert [(r["index"], r["file"], r["rule"]) for r in records] == [
        (0, "p0.jpg", "image_missing"),
        (1, "p1.png", "image_empty"),
    ]


def test_structure_and_rules_of_all_splits_are_in_one_report(tmp_path: Path) -> None:
    broken, unnamed = tinyset.document(), tinyset.document()
    broken["images"][0]["file_name"] = "../p0.jpg"
    broken["annotations"][2]["bbox"] = [20, 2, 1, 25]
    (tmp_path / "training" / "images").mkdir(parents=True)
    (tmp_path / "training" / "annotations.json").write_text(json.dumps(broken))
    for image in broken["images"][1:]:
        (tmp_path / "training" / "images" / image["file_name"]).write_bytes(b"x")
    unnamed["annotations"][1]["category_id"] = 9
    del unnamed["categories"]
    tinyset.write(tmp_path / "validation", unnamed)
    run = config(tmp_path / "training", validation=tmp_path / "validation", test=tmp_path / "nowhere")
    text, records = bad_records(tmp_path, run)
    assert {(r["split"], r["list"], r["index"], r["rule"]) for r in records if r["severity"] == "error"} == {
        ("training", "images", 0, "file_name_unsafe"),
        ("training", "annotations", 2, "box_without_area"),
        ("validation", "annotations", 1, "category_id_unknown"),
        ("test", "file", None, "file_unreadable"),
    }
    assert "4 bad records" in text and "nowhere/annotations.json does not exist" in text


@pytest.mark.parametrize("key", ["images", "annotations"])
def test_empty_dataset(tmp_path: Path, key: str) -> None:
    content = {**tinyset.document(), "annotations": [], "categories": [], key: []}
    text, [record] = bad_records(tmp_path, config(tinyset.write(tmp_path / "set", content)))
    assert record["rule"] == "dataset_empty" and record["list"] == key


def test_validation_without_boxes_is_taken(tmp_path: Path) -> None:
    tinyset.write(tmp_path / "b", {**tinyset.document(), "annotations": []})
    run = config(tinyset.write(tmp_path / "a"), validation=tmp_path / "b")
    assert validate_annotations(run, tmp_path / "out").splits["validation"]["boxes"] == 0


def test_classes_that_differ_between_splits(tmp_path: Path) -> None:
    other = tinyset.document()
    other["categories"][0]["name"] = "kitten"
    run = config(tinyset.write(tmp_path / "a"), validation=tinyset.write(tmp_path / "b", other))
    text, [record] = bad_records(tmp_path, run)
    assert record["split"] == "validation" and "kitten" in text


def test_s3(tmp_path: Path, s3: Seaweed) -> None:
    tinyset.write(tmp_path / "set")
    uri = s3.make_bucket("validation")
    s3.put_tree(tmp_path, f"{uri}/deep")
    assert validate_annotations(config(f"{uri}/deep/set/"), tmp_path / "out").splits["training"]["images"] == 3
    s3.client().delete_object(Bucket="validation", Key="deep/set/images/p1.png")
    _, [record] = bad_records(tmp_path, config(f"{uri}/deep/set"))
    assert record["file"] == "p1.png"
    with pytest.raises(UsageError, match="no-such-bucket"):
        validate_annotations(config("s3://no-such-bucket/set"), tmp_path / "out")


def test_blood_cells_have_two_boxes_without_area(tmp_path: Path, bccd: Path) -> None:
    splits = {"validation": bccd / "validation", "test": bccd / "test"}
    text, records = bad_records(tmp_path, config(bccd / "train", **splits))
    assert [(r["split"], r["index"], r["file"], r["rule"]) for r in records] == [
        ("training", 2287, "BloodImage_00343.jpg", "box_without_area"),
        ("validation", 886, "BloodImage_00338.jpg", "box_without_area"),
    ]
    assert "2 bad records" in text and "2287" in text and "886" in text


def test_blood_cells_pass_with_the_clean_file(tmp_path: Path, bccd: Path) -> None:
    run = config(
        bccd / "train", validation=bccd / "validation", test=bccd / "test", annotations_file="annotations.clean.json"
    )
    summary = validate_annotations(run, tmp_path / "out")
    assert json.loads(Path(summary.report).read_text())["findings"] == []
    assert {split: counts["boxes"] for split, counts in summary.splits.items()} == {
        "training": 2804,
        "validation": 1137,
        "test": 945,
    }
    assert summary.splits["test"]["annotations"].endswith("/test/annotations.json")
    assert summary.splits["training"]["annotations"].endswith("/annotations.clean.json")


@pytest.mark.parametrize("on_class_change", ["extend", "keep"])
def test_old_classes_without_labels_are_no_error_where_they_are_kept(tmp_path: Path, on_class_change: str) -> None:
    content = tinyset.document()
    dog = next(one["id"] for one in content["categories"] if one["name"] == "dog")
    content["annotations"] = [box for box in content["annotations"] if box["category_id"] != dog]
    training = tinyset.write(tmp_path / "training", content)
    test = tinyset.write(tmp_path / "test", tinyset.document())
    run = config(training, test=test, on_class_change=on_class_change)
    if on_class_change == "extend":
        assert {one["rule"] for one in bad_records(tmp_path, run)[1]} == {"class_not_in_training"}
        return
    report = json.loads(Path(validate_annotations(run, tmp_path / "out").report).read_text())
    assert {one["severity"] for one in report["findings"]} == {"warning"}
    named = run.model_copy(
        update={
            "data_validation": run.data_validation.model_copy(update={"severities": {"class_not_in_training": "error"}})
        }
    )
    assert "class_not_in_training" in bad_records(tmp_path, named)[0]
