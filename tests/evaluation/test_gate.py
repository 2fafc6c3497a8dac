from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from components.config import Gate
from components.dataset.annotations import Annotations, Box, ImageRecord
from components.errors import GateError
from components.evaluation.gate import check_gate, write_gate_report
from components.evaluation.metrics import measure

GATE = Gate(min_ap50=0.5, min_ap=0.3)
TRUTH = Annotations((ImageRecord(1, "a.jpg", 64, 48),), (Box(0, 1, (2, 2, 30, 30), 1),), {1: "cat"})


def test_a_model_that_reaches_its_bounds_exactly_passes(tmp_path: Path) -> None:
    report = check_gate({"AP": 0.3, "AP50": 0.5, "detections": 1}, GATE)
    report.raise_if_failed()
    assert report.passed and len(report.checks) == 3
    write_gate_report(report, tmp_path / "gate.json")
    written = json.loads((tmp_path / "gate.json").read_text())
    assert written["passed"] is True
    assert written["checks"][1] == {"name": "AP50", "value": 0.5, "bound": 0.5, "passed": True, "verdict": "passed"}


def test_measured_metrics_go_straight_in() -> None:
    perfect = [{"image_id": 1, "category_id": 1, "bbox": [2, 2, 28, 28], "score": 0.9}]
    assert check_gate(measure(TRUTH, perfect), GATE).passed
    report = check_gate(measure(TRUTH, []), Gate(min_ap50=0, min_ap=0))
    assert [check.verdict for check in report.checks] == ["nothing detected", "passed", "passed"]
    with pytest.raises(GateError, match="detects nothing at all"):
        report.raise_if_failed()


@pytest.mark.parametrize(
    ("metrics", "said", "unsaid"),
    [
        ({"AP": 0.31, "AP50": 0.42}, ["AP50 is 0.4200, at least 0.5"], ["AP is"]),
        ({"AP": 0.1, "AP50": 0.2}, ["AP50 is 0.2000, at least 0.5", "AP is 0.1000, at least 0.3"], []),
        ({"AP": 0.29999999, "AP50": 0.6}, ["AP is 0.29999999, at least 0.3"], ["AP50"]),
        ({"AP": math.nan, "AP50": 0.6}, ["AP is not a number"], ["nothing at all", "AP is nan"]),
        ({"AP": math.inf, "AP50": 0.6}, ["AP is not a number"], []),
        ({"AP": None, "AP50": None}, ["AP50 was not measured", "AP was not measured"], ["not a number"]),
        ({"AP50": 0.6}, ["AP was not measured"], []),
        ({"AP": 0.0, "AP50": 0.0, "detections": 0}, ["detects nothing at all", "AP50 is 0.0000"], []),
        ({"AP": 0.0, "AP50": 0.0, "detections": 40}, ["AP50 is 0.0000"], ["nothing at all"]),
    ],
)
def test_a_failed_gate_says_which_check_and_how(
    metrics: dict[str, Any], said: list[str], unsaid: list[str], tmp_path: Path
) -> None:
    report = check_gate(metrics, GATE)
    write_gate_report(report, tmp_path / "gate.json")
    assert json.loads((tmp_path / "gate.json").read_text())["passed"] is False
    with pytest.raises(GateError) as caught:
        report.raise_if_failed()
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in said), message
    assert not any(part in message for part in unsaid), message


@pytest.mark.parametrize("value", [math.nan, None])
def test_an_open_gate_still_stops_what_is_no_number(value: float | None) -> None:
    assert not check_gate({"AP": value, "AP50": 0.5}, Gate(min_ap50=0, min_ap=0)).passed
