"""A rule is its row: one of each kind is added to the table and nothing else, and the whole validation has it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinyset
from markup import Page
from typer.testing import CliRunner

from boxwright.cli.app import app
from boxwright.dataset.validation import rules as module
from boxwright.dataset.validation.checks import ClassCheck, FileCheck, Found, PictureCheck, RecordCheck, TwinCheck
from boxwright.dataset.validation.classes import ClassRow
from boxwright.dataset.validation.image_measures import Picture, Twins
from boxwright.dataset.validation.record_measures import Records
from boxwright.dataset.validation.rules import Rule
from boxwright.dataset.validation.split_data import SplitData


def longest_side(records: Records) -> Any:
    bbox = records.split.boxes.bbox
    return (bbox[:, 2:] - bbox[:, :2]).max(axis=1)


def width_of(records: Records) -> Any:
    return records.split.images.size[:, 0]


def letters(records: Records) -> Any:
    return np.array([len(name or "") for name in records.names], np.float64)


def boxes(row: ClassRow) -> float | None:
    return row.boxes if row.is_training else None


def info(split: SplitData) -> Iterator[Found]:
    if "info" not in split.document:
        yield Found("file", sorted(split.document), context=f"{split.name} has no info")


def dark(picture: Picture) -> str | None:
    brightest = max(high for _, high in picture.image.convert("RGB").getextrema())
    return f"nothing above {brightest}" if brightest < 20 else None


def twice(twins: Twins) -> object | None:
    return twins.own and f"seen as {twins.own.file}"


def row(scope: Any, name: str, check: Any, **options: Any) -> Rule:
    return Rule(name, "error", None, scope, f"{name} <holds>", f"mend {name}", None, (check,), **options)


ROWS = (
    row("boxes", "box_is_long", RecordCheck(
        "annotations", longest_side, "max", 29.5, key="bbox", context=lambda records, index: f"box {index} of many",
    )),
    row("structure", "image_is_narrow", RecordCheck("images", width_of, "min", 41)),
    row("classes", "name_is_short", RecordCheck("categories", letters, "min", 4, key="name")),
    row("classes", "class_is_rare", ClassCheck(boxes, "above", 6, lambda one, all_: f"the first is {all_[0].name}")),
    row("structure", "info_is_missing", FileCheck(info)),
    row("images", "image_is_dark", PictureCheck(dark)),
    row("images", "image_is_there_twice", TwinCheck(twice)),
)  # fmt: skip
OF_IMAGES = ("image_is_dark", "image_is_there_twice")


@pytest.fixture(autouse=True)
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    for rule in ROWS:
        monkeypatch.setitem(module.RULES, rule.name, rule)  # type: ignore[arg-type]


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout


def severities(severity: str, names: Iterable[str]) -> tuple[str, str]:
    return "--set", f"severities={','.join(f'{name}={severity}' for name in names)}"


def dataset(folder: Path) -> Path:
    """Six images, of which the third is black and the last a copy of the first."""
    tinyset.write(folder, tinyset.document(6))
    images = folder / "images"
    names = [image["file_name"] for image in json.loads((folder / "annotations.json").read_text())["images"]]
    tinyset.picture(0).point(lambda value: 0).save(images / names[2])
    tinyset.picture(0).save(images / names[3])
    (images / names[5]).write_bytes((images / names[3]).read_bytes())
    return folder


def test_rules_lists_them() -> None:
    code, printed = run("rules")
    assert code == 0 and all(rule.name in printed for rule in ROWS)
    listed = {one["name"]: one for one in json.loads(run("rules", "--json")[1])}
    assert listed["image_is_dark"] == {
        "name": "image_is_dark", "scope": "images", "severity": "error", "threshold": None, "setting": None,
        "description": "image_is_dark <holds>", "advice": "mend image_is_dark",
    }  # fmt: skip


def test_each_is_found_and_its_severity_can_be_set(tmp_path: Path) -> None:
    source = dataset(tmp_path / "set")
    code, printed = run("validate", source, "--json")
    found = {one["rule"]: one for one in json.loads(printed)["findings"]}
    before = {rule.name for rule in ROWS} - set(OF_IMAGES)
    assert set(found) == before and code == 1
    assert {one["severity"] for one in found.values()} == {"error"}
    assert found["box_is_long"]["advice"].startswith("box ") and len(found["box_is_long"]["value"]) == 4
    assert set(found["image_is_narrow"]["value"]) >= {"file_name", "width"}
    assert found["name_is_short"]["value"] == "dog" and found["name_is_short"]["list"] == "categories"
    assert found["class_is_rare"]["advice"] == "the first is cat; mend class_is_rare"
    assert found["info_is_missing"]["advice"] == "training has no info; mend info_is_missing"

    report = tmp_path / "report"
    code, printed = run("validate", source, "--images", "--report", report, *severities("warning", before))
    content = json.loads((report / "validation_report.json").read_text())
    rules = {one["rule"]: one["severity"] for one in content["findings"]}
    wanted = dict.fromkeys(before, "warning") | dict.fromkeys(OF_IMAGES, "error")
    assert rules == wanted | {"duplicate_image_within_split": "warning"} and code == 1
    assert all(
        content["rules"][rule.name]["checked"] > 0 and content["rules"][rule.name]["failed"] > 0 for rule in ROWS
    )
    values = {one["rule"]: (one["file"], one["value"]) for one in content["findings"] if one["rule"] in OF_IMAGES}
    assert values == {
        "image_is_dark": ("p2.jpg", "nothing above 0"),
        "image_is_there_twice": ("p5.png", "seen as p3.png"),
    }
    page = Page((report / "validation_report.html").read_text(encoding="utf-8"))
    assert all(rule.name in page.text and rule.description in page.text for rule in ROWS)


def test_each_can_be_turned_off(tmp_path: Path) -> None:
    off = severities("off", (rule.name for rule in ROWS))
    code, printed = run("validate", dataset(tmp_path / "set"), "--images", "--json", *off)
    report = json.loads(printed)
    assert not {one["rule"] for one in report["findings"]} & {rule.name for rule in ROWS}
    assert not {rule.name for rule in ROWS} & set(report["rules"])


def test_what_breaks_them_is_dropped(tmp_path: Path) -> None:
    kept = ("box_is_long", *OF_IMAGES)
    off = severities("off", (rule.name for rule in ROWS if rule.name not in kept))
    code, printed = run(
        "validate", dataset(tmp_path / "set"), "--images", "--json", "--on-invalid", "drop", "--set",
        "max_drop_share=0.9", *off,
    )  # fmt: skip
    reasons = {(one["list"], one["reason"]) for one in json.loads(printed)["dropped"]}
    assert code == 0
    assert reasons >= {("annotations", "box_is_long"), ("images", "image_is_dark"), ("images", "image_is_there_twice")}


def test_a_rule_asks_one_thing_of_a_table() -> None:
    twice = (RecordCheck("images", width_of), RecordCheck("images", letters))
    with pytest.raises(
        ValueError, match="image_is_odd: expected at most one check a table, got them on images, images"
    ):
        Rule("image_is_odd", "error", None, "structure", "", "", None, twice)


def test_an_image_that_breaks_a_rule_may_spoil_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt = row("images", "image_is_dark", PictureCheck(dark), spoils_image=True)
    monkeypatch.setitem(module.RULES, "image_is_dark", spoilt)  # type: ignore[arg-type]
    off = severities("off", (rule.name for rule in ROWS if rule.name not in OF_IMAGES))
    run("validate", dataset(tmp_path / "set"), "--images", "--report", tmp_path / "report", *off)
    page = Page((tmp_path / "report" / "validation_report.html").read_text(encoding="utf-8"))
    assert page.text.count("(declared size; the image was not read)") == 1
