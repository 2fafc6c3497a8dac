"""A corpus with one planted fault a rule: each is found, alone, at the right record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boxwright.config import RunConfig, ValidationConfig, parse_config
from boxwright.dataset.validation.findings import foremost
from boxwright.dataset.validation.rules import RULES, rules_of
from boxwright.dataset.validation.validate import examine
from boxwright.errors import UsageError

Document = dict[str, Any]
Place = tuple[str, str, int | None]


def clean(seed: int, images: int = 20) -> Document:
    """Images of 64 x 48 pixels, each with two cats and a dog anywhere in them."""
    rng = np.random.default_rng(seed)
    records = [{"id": 100 + i, "file_name": f"deep/i{seed}-{i}.jpg", "width": 64, "height": 48} for i in range(images)]
    boxes = []
    for image in records:
        for category in (3, 3, 7):
            low = rng.uniform(0, 1, 2) * (50, 34)
            high = low + rng.uniform(0.3, 1, 2) * ((64, 48) - low)
            box = [round(float(value), 2) for value in (*low, *high)]
            boxes.append({"image_id": image["id"], "bbox": box, "category_id": category})
    return {"images": records, "annotations": boxes, "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]}


def write(folder: Path, content: Document | bytes, files: dict[str, bytes] | None = None) -> Path:
    (folder / "images").mkdir(parents=True)
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "annotations.json").write_bytes(data)
    for name, body in (files if files is not None else files_of(content)).items():
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder


def files_of(content: Document | bytes) -> dict[str, bytes]:
    if isinstance(content, bytes):
        return {}
    return {str(image.get("file_name")): b"not read here" for image in content["images"] if _is_plain(image)}


def _is_plain(image: Any) -> bool:
    name = image.get("file_name") if isinstance(image, dict) else None
    return isinstance(name, str) and ".." not in name and "\n" not in name


def config(tmp_path: Path, settings: dict[str, Any] | None = None, **splits: Path) -> RunConfig:
    uris = {split: str(folder) for split, folder in splits.items()}
    return parse_config({"output": str(tmp_path), "data_validation": settings or {}, **uris})


def set_value(where: str, index: int, key: str, value: Any) -> Callable[[Document], None]:
    def plant(content: Document) -> None:
        content[where][index][key] = value

    return plant


def drop_key(where: str, index: int, key: str) -> Callable[[Document], None]:
    return lambda content: content[where][index].pop(key)


def copied(where: str, target: int, source: int, *keys: str) -> Callable[[Document], None]:
    def plant(content: Document) -> None:
        content[where][target] |= {key: content[where][source][key] for key in keys}

    return plant


def every_box(change: Callable[[float, float, float, float], list[float]]) -> Callable[[Document], None]:
    def plant(content: Document) -> None:
        for box in content["annotations"]:
            box["bbox"] = [round(value, 4) for value in change(*box["bbox"])]

    return plant


def swap_sizes(content: Document) -> None:
    for image in content["images"]:
        image["width"], image["height"] = image["height"], image["width"]


def annotation_ids(content: Document) -> None:
    for index, box in enumerate(content["annotations"]):
        box["id"] = min(index, 10)
    for index, box in enumerate(content["annotations"][12:]):
        box["id"] = 100 + index


def crowd(content: Document) -> None:
    """98 boxes more in an image of three, which is one too many, and 97 more in another."""
    for index, more in ((4, 98), (5, 97)):
        box = {"image_id": content["images"][index]["id"], "category_id": 3}
        content["annotations"] += [box | {"bbox": [1, 1 + i / 4, 20, 21 + i / 4]} for i in range(more)]


# Rule, what is planted into training, and the record that must be named.
IN_TRAINING: list[tuple[str, Callable[[Document], Any], Place]] = [
    ("dataset_empty", lambda content: content.update(annotations=[], categories=[]), ("training", "annotations", None)),
    ("missing_key", drop_key("images", 19, "width"), ("training", "images", 19)),
    ("missing_key", drop_key("annotations", 9, "category_id"), ("training", "annotations", 9)),
    ("missing_key", drop_key("categories", 1, "name"), ("training", "categories", 1)),
    ("wrong_type", set_value("images", 3, "height", "48"), ("training", "images", 3)),
    ("wrong_type", set_value("annotations", 8, "image_id", 1.5), ("training", "annotations", 8)),
    ("wrong_type", lambda content: content["annotations"].append(None), ("training", "annotations", 60)),
    ("unknown_key", set_value("annotations", 5, "ocluded", True), ("training", "annotations", 5)),
    ("unknown_key", lambda content: content.update(anotations=[]), ("training", "file", None)),
    (
        "id_not_unique",
        lambda c: c["images"].append(c["images"][2] | {"file_name": "a.png"}),
        ("training", "images", 20),
    ),
    ("id_not_unique", lambda c: c["categories"].append({"id": 3, "name": "lion"}), ("training", "categories", 2)),
    ("annotation_id_not_unique", annotation_ids, ("training", "annotations", 11)),
    ("file_name_not_unique", copied("images", 6, 1, "file_name"), ("training", "images", 6)),
    ("image_id_unknown", set_value("annotations", 7, "image_id", 9), ("training", "annotations", 7)),
    ("category_id_unknown", set_value("annotations", 7, "category_id", 9), ("training", "annotations", 7)),
    ("file_name_unsafe", set_value("images", 5, "file_name", "../i.jpg"), ("training", "images", 5)),
    ("file_name_unsafe", set_value("images", 5, "file_name", "/i.jpg"), ("training", "images", 5)),
    ("file_name_unsafe", set_value("images", 5, "file_name", "a\nb.jpg"), ("training", "images", 5)),
    ("file_extension_unknown", set_value("images", 5, "file_name", "i.gif"), ("training", "images", 5)),
    ("box_not_finite", set_value("annotations", 11, "bbox", [1, 2, float("nan"), 4]), ("training", "annotations", 11)),
    ("box_not_finite", set_value("annotations", 11, "bbox", [1, 2, 3]), ("training", "annotations", 11)),
    ("box_without_area", set_value("annotations", 12, "bbox", [20, 5, 20, 9]), ("training", "annotations", 12)),
    ("box_without_area", set_value("annotations", 12, "bbox", [5, 20, 9, 7]), ("training", "annotations", 12)),
    ("box_outside_image", set_value("annotations", 13, "bbox", [5, 5, 66, 40]), ("training", "annotations", 13)),
    ("box_outside_image", set_value("annotations", 13, "bbox", [64, 5, 65, 9]), ("training", "annotations", 13)),
    ("box_too_small", set_value("annotations", 14, "bbox", [5, 5, 5.5, 30]), ("training", "annotations", 14)),
    (
        "box_duplicate",
        copied("annotations", 16, 15, "bbox", "image_id", "category_id"),
        ("training", "annotations", 16),
    ),
    ("box_covers_image", set_value("annotations", 17, "bbox", [0, 0.5, 64, 48]), ("training", "annotations", 17)),
    ("image_crowded", crowd, ("training", "images", 4)),
    ("format_coco", every_box(lambda a, b, c, d: [a, b, c - a, d - b]), ("training", "annotations", None)),
    (
        "format_normalised",
        every_box(lambda a, b, c, d: [a / 64, b / 48, c / 64, d / 48]),
        ("training", "annotations", None),
    ),
    ("format_axes_swapped", every_box(lambda a, b, c, d: [b, a, d, c]), ("training", "annotations", None)),
    ("format_axes_swapped", swap_sizes, ("training", "annotations", None)),
    ("categories_missing", lambda content: content.pop("categories"), ("training", "categories", None)),
    ("category_name_not_unique", set_value("categories", 1, "name", "cat"), ("training", "categories", 1)),
    (
        "category_without_boxes",
        lambda content: content["categories"].insert(0, {"id": 0, "name": "objects"}),
        ("training", "categories", 0),
    ),
]


@pytest.mark.parametrize(
    ("rule", "plant", "place"), IN_TRAINING, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_planted_fault_is_found_alone(tmp_path: Path, rule: str, plant: Any, place: Place) -> None:
    content = clean(1)
    plant(content)
    report = examine(config(tmp_path, training=write(tmp_path / "set", content)), None)
    assert [(found.rule, (found.split, found.list, found.index)) for found in report.findings] == [(rule, place)]
    [found] = report.findings
    assert found.severity == RULES[rule].severity and found.advice
    assert report.rules[rule].failed == 1 and report.rules[rule].checked >= 1
    if place[1] == "annotations" and place[2] is not None and place[2] < 60 and rule != "unknown_key":
        owner = {image["id"]: image["file_name"] for image in content["images"]}
        assert found.file == owner.get(content["annotations"][place[2]]["image_id"])


def rename(content: Document) -> None:
    content["categories"][1]["name"] = "hound"


def add_class(content: Document) -> None:
    content["categories"].append({"id": 8, "name": "cow"})
    content["annotations"][4]["category_id"] = 8


@pytest.mark.parametrize(
    ("rule", "plant", "index"), [("class_names_differ", rename, 1), ("class_not_in_training", add_class, 2)]
)
def test_a_fault_between_splits(tmp_path: Path, rule: str, plant: Any, index: int) -> None:
    training, validation = clean(1), clean(2)
    plant(validation)
    folders = {"training": write(tmp_path / "a", training), "validation": write(tmp_path / "b", validation)}
    [found] = examine(config(tmp_path, **folders), None).findings
    assert (found.rule, found.split, found.list, found.index) == (rule, "validation", "categories", index)


def test_a_class_that_training_has_only_by_name(tmp_path: Path) -> None:
    training, validation = clean(1), clean(2)
    for content in (training, validation):
        content["categories"].append({"id": 8, "name": "cow"})
    validation["annotations"][4]["category_id"] = 8
    folders = {"training": write(tmp_path / "a", training), "validation": write(tmp_path / "b", validation)}
    [found] = examine(config(tmp_path, **folders), None).findings
    assert (found.rule, found.value) == ("class_not_in_training", {"id": 8, "name": "cow", "boxes": 1})


@pytest.mark.parametrize(
    ("settings", "rule", "value"),
    [
        ({"min_boxes_per_class": 21}, "class_too_few_boxes", {"id": 7, "name": "dog", "boxes": 20}),
        ({"max_imbalance": 1.9}, "class_imbalance", {"id": 7, "name": "dog", "boxes": 20}),
    ],
)
def test_thresholds_of_classes(tmp_path: Path, settings: dict[str, Any], rule: str, value: Any) -> None:
    [found] = examine(config(tmp_path, settings, training=write(tmp_path / "set", clean(1))), None).findings
    assert (found.rule, found.list, found.index, found.value) == (rule, "categories", 1, value)


@pytest.mark.parametrize("body", [b'{"images": [', b"\xff\xfe", b"[]", b'{"images": [], "annotations": 5}', b""])
def test_file_unreadable(tmp_path: Path, body: bytes) -> None:
    [found] = examine(config(tmp_path, training=write(tmp_path / "set", body)), None).findings
    assert (found.rule, found.list, found.index) == ("file_unreadable", "file", None)


@pytest.mark.parametrize(("body", "rule"), [(None, "image_missing"), (b"", "image_empty")])
def test_the_listing(tmp_path: Path, body: bytes | None, rule: str) -> None:
    content = clean(1)
    files = files_of(content)
    name = content["images"][3]["file_name"]
    files = {key: value for key, value in files.items() if key != name} | ({} if body is None else {name: body})
    report = examine(config(tmp_path, training=write(tmp_path / "set", content, files | {"more.jpg": b"x"})), None)
    [found] = report.findings
    assert (found.rule, found.list, found.index, found.file) == (rule, "images", 3, name)
    assert report.splits["training"]["unused_files"] == 1


def test_format_corners_where_coco_is_expected(tmp_path: Path) -> None:
    run = config(tmp_path, {"bbox_format": "coco"}, training=write(tmp_path / "set", clean(1)))
    [found] = examine(run, None).findings
    assert found.rule == "format_corners"


def test_format_ambiguous(tmp_path: Path) -> None:
    content = clean(1)
    every_box(lambda a, b, c, d: [a / 4, b / 4, a / 4 + 20, b / 4 + 15])(content)
    run = config(tmp_path, {"bbox_format": "auto"}, training=write(tmp_path / "set", content))
    [found] = examine(run, None).findings
    assert found.rule == "format_ambiguous" and "both corners and coco are possible" in found.advice
    assert found.value["corners"] == found.value["coco"] == 0


def test_too_much_dropped(tmp_path: Path) -> None:
    content = clean(1)
    for box in content["annotations"][:7]:
        box["bbox"] = [9, 9, 9, 9]
    run = config(tmp_path, {"on_invalid": "drop"}, training=write(tmp_path / "set", content))
    report = examine(run, None)
    [found] = report.errors
    assert (found.rule, found.value["dropped"], found.value["of"]) == ("too_much_dropped", 7, 60)


def one_image(content: Document) -> None:
    content["images"] = content["images"][:1]
    content["annotations"] = [box for box in content["annotations"] if box["image_id"] == content["images"][0]["id"]]


def test_one_image_cannot_be_held_out(tmp_path: Path) -> None:
    content = clean(1)
    one_image(content)
    training = write(tmp_path / "set", content)
    report = examine(config(tmp_path, {"severities": {"category_without_boxes": "off"}}, training=training), None)
    [found] = [found for found in report.errors if found.rule == "too_few_images"]
    assert found.value == 1 and "validation dataset" in found.advice
    validation = write(tmp_path / "other", clean(2))
    report = examine(config(tmp_path, training=training, validation=validation), None)
    assert "too_few_images" not in {found.rule for found in report.findings}


def test_copies_of_boxes_are_left_out_and_not_counted_as_lost(tmp_path: Path) -> None:
    content = clean(1)
    content["annotations"] += [dict(box) for box in content["annotations"][:30]]
    for setting in ("fail", "drop"):
        run = config(tmp_path, {"on_invalid": setting}, training=write(tmp_path / setting, content))
        report = examine(run, None)
        assert report.errors == [] and len(report.warnings) == 30
        assert [record.index for record in report.dropped] == list(range(60, 90))
        assert {record.reason for record in report.dropped} == {"box_duplicate"}
    strict = {"severities": {"box_duplicate": "error"}}
    assert len(examine(config(tmp_path, strict, training=write(tmp_path / "c", content)), None).errors) == 30


def test_what_a_system_left_behind_is_not_an_image(tmp_path: Path) -> None:
    content = clean(1)
    files = files_of(content) | {"._more.jpg": b"x", "__MACOSX/._a.jpg": b"x"}
    report = examine(config(tmp_path, training=write(tmp_path / "set", content, files)), None)
    assert report.findings == [] and report.splits["training"]["unused_files"] == 0


def test_every_rule_of_the_annotations_is_in_the_corpus() -> None:
    planted = {rule for rule, _, _ in IN_TRAINING} | {
        "class_names_differ", "class_not_in_training", "class_too_few_boxes", "class_imbalance", "class_hard_to_tell",
        "file_unreadable",
        "image_missing", "image_empty", "format_corners", "format_ambiguous", "too_much_dropped",
        "too_few_images",
    }  # fmt: skip
    images = {name for name, rule in RULES.items() if rule.scope == "images"} - {"image_missing", "image_empty"}
    assert planted == set(RULES) - images


def test_a_clean_set_gives_no_finding(tmp_path: Path) -> None:
    folders = {
        name: write(tmp_path / name, clean(seed)) for seed, name in enumerate(("training", "validation", "test"))
    }
    report = examine(config(tmp_path, **folders), None)
    assert report.findings == [] and report.to_dict()["ok"]
    assert report.rules["box_without_area"].checked == 180
    assert report.rules["class_not_in_training"].checked == 4


def test_severities_can_be_changed_and_rules_turned_off(tmp_path: Path) -> None:
    content = clean(1)
    content["annotations"][3]["bbox"] = [20, 5, 20, 9]
    content["annotations"][14]["bbox"] = [5, 5, 5.5, 30]
    settings = {"severities": {"box_without_area": "warning", "box_too_small": "off"}}
    report = examine(config(tmp_path, settings, training=write(tmp_path / "set", content)), None)
    [found] = report.findings
    assert (found.rule, found.severity) == ("box_without_area", "warning") and not report.errors
    assert "box_too_small" not in report.rules


def test_an_unknown_rule_is_refused_with_the_known_ones() -> None:
    expected = r"box_to_small is not a rule \(did you mean box_too_small\?\); valid are file_unreadable, "
    with pytest.raises(UsageError, match=expected):
        rules_of(ValidationConfig(severities={"box_to_small": "off"}))


def test_thresholds_come_from_the_settings_and_their_defaults() -> None:
    assert rules_of(ValidationConfig())["box_outside_image"].threshold == RULES["box_outside_image"].threshold == 1
    assert rules_of(ValidationConfig(box_tolerance=3))["box_outside_image"].threshold == 3


def test_a_bad_record_hides_no_other(tmp_path: Path) -> None:
    content = clean(1)
    for rule, plant, _ in IN_TRAINING:
        if rule in ("missing_key", "box_not_finite", "box_duplicate", "box_outside_image", "file_extension_unknown"):
            plant(content)
    report = examine(config(tmp_path, training=write(tmp_path / "set", content)), None)
    assert [(found.rule, found.list, found.index) for found in report.findings] == [
        ("missing_key", "images", 19),
        ("missing_key", "annotations", 9),
        ("missing_key", "categories", 1),
        ("file_extension_unknown", "images", 5),
        ("box_not_finite", "annotations", 11),
        ("box_outside_image", "annotations", 13),
        ("box_duplicate", "annotations", 16),
    ]


def test_a_rule_that_many_records_break_hides_no_other_one(tmp_path: Path) -> None:
    content = clean(1)
    for box in content["annotations"][:55]:
        box["bbox"] = [5, 5, 5.5, 30]
    set_value("annotations", 56, "ocluded", True)(content)
    set_value("annotations", 57, "bbox", [5, 5, 99, 40])(content)
    findings = examine(config(tmp_path, training=write(tmp_path / "set", content)), None).findings
    rules = {found.rule for found in findings}
    assert rules > {"box_outside_image", "unknown_key", "box_too_small"} and len(findings) > 55
    shown = foremost(findings, len(rules))
    assert {found.rule for found in shown} == rules and shown[0].rule == "box_outside_image", "the one error"
    assert foremost(findings, 1000) == sorted(findings, key=lambda found: found.severity != "error")
