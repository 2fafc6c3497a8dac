"""How boxes are read, from the set as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinyset

from boxwright.config import ValidationConfig, parse_config
from boxwright.dataset.annotations.bbox_formats import Evidence, corners_of, evidence_of, judge
from boxwright.dataset.validation.validate import examine

RNG = np.random.default_rng(0)


def boxes(count: int = 400, width: float = 640, height: float = 480) -> tuple[Any, Any]:
    size = np.tile([[float(width), float(height)]], (count, 1))
    low = RNG.uniform(0, 0.7, (count, 2)) * size
    return np.hstack([low, low + RNG.uniform(0.1, 1, (count, 2)) * (size - low)]), size


def as_coco(bbox: Any) -> Any:
    return np.hstack([bbox[:, :2], bbox[:, 2:] - bbox[:, :2]])


@pytest.mark.parametrize(
    ("change", "possible"),
    [
        (lambda b, s: (b, s), {"corners"}),
        (lambda b, s: (as_coco(b), s), {"coco"}),
        (lambda b, s: (b / np.hstack([s, s]), s), {"normalised"}),
        (lambda b, s: (as_coco(b) / np.hstack([s, s]), s), {"normalised"}),
        (lambda b, s: (b[:, [1, 0, 3, 2]], s), {"yxyx", "width_height_swapped"}),
        (lambda b, s: (b, s[:, ::-1]), {"yxyx", "width_height_swapped"}),
    ],
)
def test_the_counts_single_out_the_reading(change: Any, possible: set[str]) -> None:
    evidence = evidence_of(*change(*boxes()), 1)
    assert evidence.boxes == 400
    assert {name for name, count in evidence.impossible.items() if count == 0} == possible
    assert all(count > 40 for name, count in evidence.impossible.items() if name not in possible)


def test_boxes_that_cannot_be_asked_are_left_out() -> None:
    bbox, size = boxes(10)
    bbox[0, 2], size[1] = np.inf, np.nan
    assert evidence_of(bbox, size, 1).boxes == 8
    assert evidence_of(np.zeros((0, 4)), np.zeros((0, 2)), 1).boxes == 0


def test_coco_as_corners() -> None:
    assert corners_of(np.array([[10.0, 20, 5, 6]]), "coco").tolist() == [[10, 20, 15, 26]]


def counts(boxes: int, **impossible: int) -> Evidence:
    names = ("corners", "coco", "normalised", "yxyx", "width_height_swapped")
    return Evidence(boxes, {name: impossible.get(name, boxes) for name in names})


@pytest.mark.parametrize(
    ("evidence", "bbox_format", "reading", "mistaken_for"),
    [
        (counts(100, corners=0, coco=70), "corners", "corners", None),
        (counts(100, corners=0, coco=0), "corners", "corners", None),
        (counts(100, corners=9, coco=0), "corners", "corners", None),
        (counts(100, corners=70, coco=0), "corners", None, "coco"),
        (counts(100, corners=70, coco=8), "corners", "corners", None),
        (counts(100, coco=80, corners=0), "coco", None, "corners"),
        (counts(100, normalised=0), "corners", None, "normalised"),
        (counts(100, corners=30, yxyx=0, width_height_swapped=0), "corners", None, "yxyx"),
        (counts(100, corners=0, coco=70), "auto", "corners", None),
        (counts(100, corners=70, coco=1), "auto", "coco", None),
        (counts(100, corners=2, coco=3), "auto", None, "ambiguous"),
        (counts(100), "auto", None, "ambiguous"),
        (counts(100, normalised=0), "auto", None, "normalised"),
        (counts(0), "auto", "corners", None),
    ],
)
def test_verdicts(evidence: Evidence, bbox_format: Any, reading: str | None, mistaken_for: str | None) -> None:
    verdict = judge({"training": evidence}, ValidationConfig(bbox_format=bbox_format))["training"]
    assert (verdict.reading, verdict.mistaken_for) == (reading, mistaken_for)
    if mistaken_for:
        assert f"{evidence.impossible['corners']} as [xmin, ymin, xmax, ymax]" in verdict.counts


def test_auto_takes_the_splits_for_one_set() -> None:
    sure, unsure = counts(1000, corners=700, coco=0), counts(10, corners=0, coco=0)
    verdicts = judge({"training": sure, "validation": unsure}, ValidationConfig(bbox_format="auto"))
    assert {verdict.reading for verdict in verdicts.values()} == {"coco"}


def test_coco_boxes_are_taken_where_that_is_said(tmp_path: Path) -> None:
    content = tinyset.document(20)
    for box in content["annotations"]:
        xmin, ymin, xmax, ymax = box["bbox"]
        box["bbox"] = [xmin, ymin, xmax - xmin, ymax - ymin]
    content["annotations"][5]["bbox"] = [30, 2, 15, 5]
    tinyset.write(tmp_path / "set", content)
    values = {"training": str(tmp_path / "set"), "output": "x", "data_validation": {"bbox_format": "coco"}}
    report = examine(parse_config(values), None)
    [found] = report.findings
    assert (found.rule, found.index, found.value) == ("box_outside_image", 5, [30, 2, 15, 5])
    assert report.splits["training"]["bbox_format"] == "coco"
    assert json.dumps(report.to_dict())
