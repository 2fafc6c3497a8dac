from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from measured_formats import KEPT, LOST, MISSING, UNWRITTEN, formats

from boxwright.config import Gate, parse_config
from boxwright.dataset.annotations.reading import Annotations, Box, ImageRecord
from boxwright.errors import DataError, GateError, UsageError
from boxwright.evaluation.gate import check_gate
from boxwright.evaluation.gate_records import GateReport
from boxwright.evaluation.metrics import measure
from boxwright.evaluation.records import BeatenChampion, Comparison, Difference, EvaluationSummary, Speed

GATE = Gate(min_ap50=0.5, min_ap=0.3)
OPEN = Gate(min_ap50=0, min_ap=0)
TRUTH = Annotations(
    (ImageRecord(1, "a.jpg", 64, 48),),
    (Box(0, 1, (2, 2, 30, 30), 1), Box(1, 1, (40, 2, 60, 30), 2)),
    {1: "cat", 2: "dog"},
)
CAT = {"image_id": 1, "category_id": 1, "bbox": [2, 2, 28, 28], "score": 0.9}
DOG = {"image_id": 1, "category_id": 2, "bbox": [40, 2, 20, 28], "score": 0.8}
GOOD = {"AP": 0.6, "AP50": 0.8, "detections": 5}


def summary(metrics: dict[str, Any] = GOOD, **more: Any) -> EvaluationSummary:
    return EvaluationSummary(split="test", metrics=metrics, **more)


def evaluated(*detections: dict[str, Any], **more: Any) -> EvaluationSummary:
    measured = measure(TRUTH, detections)
    metrics = measured.model_dump(exclude={"per_class", "threshold"})
    return summary(metrics | more, per_class=measured.per_class)


def verdicts(evaluation: EvaluationSummary, gate: Gate) -> dict[str, str]:
    return {check.name: check.verdict for check in check_gate(evaluation, gate).checks}


def test_a_model_that_reaches_its_bounds_exactly_passes(tmp_path: Path) -> None:
    report = check_gate(summary({"AP": 0.3, "AP50": 0.5, "detections": 1}), GATE)
    report.raise_if_failed()
    assert report.passed and len(report.checks) == 3
    report.write(tmp_path)
    written = json.loads((tmp_path / "gate.json").read_text())
    assert written["passed"] is True
    expected = {"name": "AP50", "value": 0.5, "bound": 0.5, "at_most": False, "passed": True, "verdict": "passed"}
    assert written["checks"][1] == expected | {"note": ""}
    assert GateReport.read(tmp_path) == report


def test_the_report_of_an_early_version_is_read() -> None:
    check = {"name": "AP", "value": 0.3, "bound": 0.5, "passed": False, "verdict": "too low"}
    report = GateReport.parse(json.dumps({"passed": False, "checks": [check]}).encode(), "gate.json")
    assert not report.passed and report.checks[0].row() == ("AP", "0.3000", ">= 0.5", "too low")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "fine"}, "'checks.0.verdict' is 'fine': input should be 'passed'"),
        ({"value": math.inf}, r"'checks\[0\].value' is not a finite number"),
        ({"bound": None}, "'checks.0.bound' is None"),
    ],
)
def test_a_broken_report_is_named_by_file_and_field(change: dict[str, Any], said: str) -> None:
    check = {"name": "AP", "value": 0.3, "bound": 0.5, "passed": False, "verdict": "too low"} | change
    with pytest.raises(DataError, match=f"runs/gate.json is not a gate.json of Boxwright: {said}.*clear quality_gate"):
        GateReport.parse(json.dumps({"checks": [check]}).encode(), "runs/gate.json")


def test_measured_metrics_go_straight_in() -> None:
    assert check_gate(evaluated(CAT, DOG), GATE).passed
    with pytest.raises(GateError, match="detects nothing at all"):
        check_gate(evaluated(), OPEN).raise_if_failed()


def test_the_ways_not_to_answer_are_told_apart() -> None:
    """Each fails whatever the bounds are, for its own reason and for no other."""
    assert verdicts(evaluated(), OPEN) == {"detections": "nothing detected", "AP50": "passed", "AP": "passed"}
    assert verdicts(evaluated(CAT), OPEN)["classes detected"] == "classes missing"
    with pytest.raises(GateError, match="never detected: dog"):
        check_gate(evaluated(CAT), OPEN).raise_if_failed()
    assert verdicts(evaluated(not_finite_images=1), OPEN)["detections"] == "not a number"
    swapped = evaluated(CAT | {"category_id": 2}, DOG | {"category_id": 1})
    assert set(verdicts(swapped, OPEN).values()) == {"passed"}
    assert verdicts(swapped, GATE)["AP50"] == "too low"


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
    report = check_gate(summary(metrics), GATE)
    report.write(tmp_path)
    assert json.loads((tmp_path / "gate.json").read_text())["passed"] is False
    with pytest.raises(GateError) as caught:
        report.raise_if_failed()
    message, _, table = str(caught.value).partition("\n")
    assert all(part in message for part in said), message
    assert not any(part in message for part in unsaid), message
    assert table == report.table() and len(table.splitlines()) == len(report.checks) + 1


def test_the_table_is_logged_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "boxwright.evaluation"):
        check_gate(summary(GOOD | {"AP": 0.2}), GATE).write(tmp_path)
    lines = [record.getMessage().split() for record in caplog.records]
    assert lines == [
        ["check", "value", "bound", "verdict"],
        ["detections", "5", ">=", "1", "passed"],
        ["AP50", "0.8000", ">=", "0.5", "passed"],
        ["AP", "0.2000", ">=", "0.3", "too", "low"],
    ]


@pytest.mark.parametrize("value", [math.nan, None])
def test_an_open_gate_still_stops_what_is_no_number(value: float | None) -> None:
    assert not check_gate(summary({"AP": value, "AP50": 0.5}), OPEN).passed


def test_floors_of_single_classes() -> None:
    gate = OPEN.model_copy(update={"min_ap50_per_class": {"cat": 0.9, "dog": 0.9, "cow": 0.1}})
    found = verdicts(evaluated(CAT, DOG | {"bbox": [1, 40, 5, 5]}), gate)
    assert (found["AP50 of cat"], found["AP50 of dog"], found["AP50 of cow"]) == ("passed", "too low", "not measured")


@pytest.mark.parametrize(
    ("margin", "difference", "verdict"),
    [
        (0.0, 0.01, "passed"),
        (0.02, 0.01, "worse than champion"),
        (-0.02, -0.01, "passed"),
        (-0.02, -0.03, "worse than champion"),
        (0.0, None, "not measured"),
    ],
)
def test_the_champion_must_be_beaten_by_the_margin(margin: float, difference: float | None, verdict: str) -> None:
    found = Difference(
        champion=0.5, candidate=0.5 + (difference or 0), difference=difference, low=-0.1, high=0.1, better=0.5
    )
    comparison = Comparison(champion="models:/d/3", metrics={"AP": found}, per_class={}, samples=100, images=1)
    evaluation = summary(champion=BeatenChampion(reference="models:/d/3"), comparison=comparison)
    gate = OPEN.model_copy(update={"must_beat_champion": margin})
    report = check_gate(evaluation, gate)
    assert report.checks[-1].verdict == verdict
    assert report.passed == (verdict == "passed")
    if verdict == "worse than champion":
        assert "models:/d/3 has AP 0.5000" in str(report.checks[-1]) and "-0.1000 to +0.1000" in str(report.checks[-1])


def test_without_a_champion_there_is_nothing_to_beat_and_a_broken_one_is_not_beaten() -> None:
    gate = OPEN.model_copy(update={"must_beat_champion": 0.1})
    assert check_gate(summary(), gate).passed
    broken = summary(champion=BeatenChampion(reference="models:/d/3", problem="no common class"))
    with pytest.raises(GateError, match="models:/d/3: no common class"):
        check_gate(broken, gate).raise_if_failed()
    assert check_gate(broken, OPEN).passed, "nobody asked for it to be beaten"


@pytest.mark.parametrize(
    ("differences", "verdicts"),
    [
        ({"old": -0.02, "new": 0.4}, ["passed", "passed"]),
        ({"old": -0.021, "new": 0.4}, ["too high", "passed"]),
        ({"old": -0.01, "without boxes": None}, ["passed"]),
        ({"without boxes": None}, ["not measured"]),
    ],
)
def test_a_class_may_not_lose_more_than_the_bound(differences: dict[str, float | None], verdicts: list[str]) -> None:
    per_class = {
        name: Difference(champion=0.5, candidate=0.5 + (one or 0), difference=one, low=None, high=None, better=None)
        for name, one in differences.items()
    }
    comparison = Comparison(champion="models:/d/3", metrics={}, per_class=per_class, samples=100, images=1)
    evaluation = summary(champion=BeatenChampion(reference="models:/d/3"), comparison=comparison)
    report = check_gate(evaluation, OPEN.model_copy(update={"max_class_loss": 0.02}))
    found = [check for check in report.checks if check.name.startswith("AP lost by")]
    assert [check.verdict for check in found] == verdicts
    assert report.passed == (set(verdicts) == {"passed"})
    if "too high" in verdicts:
        assert str(found[0]).startswith(
            "AP lost by old is 0.0210, at most 0.02 is required: AP 0.4790 beside 0.5000 of"
        )
    assert check_gate(summary(), OPEN.model_copy(update={"max_class_loss": 0.02})).passed, "there is no champion"


@pytest.mark.parametrize(("latency", "verdict"), [(20.0, "passed"), (20.1, "too high"), (None, "not measured")])
def test_latency_has_an_upper_bound(latency: float | None, verdict: str) -> None:
    gate = OPEN.model_copy(update={"max_latency_ms": 20.0})
    facts = {"latency_p95_ms": 99.0, "images_per_second": None, "batch_size": 8, "size_bytes": 9, "device": "CPU"}
    speed = None if latency is None else Speed(latency_ms=latency, **facts)
    check = check_gate(summary(speed=speed), gate).checks[-1]
    assert (check.verdict, check.at_most, check.row()[2]) == (verdict, True, "<= 20")
    if verdict == "too high":
        assert "latency in ms is 20.1000, at most 20 is required" in str(check)


def test_the_command_lines_spellings() -> None:
    values = {"training": "a", "output": "b"}
    gate = parse_config(
        values
        | {"gate": {"min_ap50_per_class": "cat=0.4,dog=0.3", "must_beat_champion": "-0.02", "max_latency_ms": "9"}}
    ).gate
    assert gate.min_ap50_per_class == {"cat": 0.4, "dog": 0.3}
    assert (gate.must_beat_champion, gate.max_latency_ms) == (-0.02, 9)
    assert parse_config(values | {"gate": {"must_beat_champion": "off"}}).gate.must_beat_champion is None
    for wrong in ({"min_ap50_per_class": "cat=2"}, {"must_beat_champion": "2"}, {"max_latency_ms": 0}):
        with pytest.raises(UsageError):
            parse_config(values | {"gate": wrong})


def test_a_format_that_lost_too_much_is_left_out_or_fails() -> None:
    written = formats(KEPT, LOST, UNWRITTEN, MISSING)
    dropped = check_gate(summary(), GATE, written)
    assert dropped.passed
    rows = {check.name: (check.verdict, check.note) for check in dropped.checks[-4:]}
    assert rows == {
        "AP lost as litert:float32": ("passed", ""),
        "AP lost as litert:dynamic_int8": ("left out", "AP 0.35 of 0.40"),
        "AP lost as onnx:float32": ("left out", "no converter <reads> it"),
        "AP lost as openvino:float32": ("left out", "openvino is not installed"),
    }
    assert dropped.checks[-4].row() == ("AP lost as litert:float32", "0.0020", "<= 0.01", "passed")
    failed = check_gate(summary(), GATE, written, "fail")
    assert [check.verdict for check in failed.checks[-4:]] == ["passed", "too high", "not measured", "left out"]
    with pytest.raises(GateError) as told:
        failed.raise_if_failed()
    assert "AP lost as litert:dynamic_int8 is 0.0500, at most 0.01 is required: AP 0.35 of 0.40; " in str(told.value)
    assert "AP lost as onnx:float32 was not measured, at most 0.01 is required: no converter <reads>" in str(told.value)


def test_a_format_is_held_against_the_bound_of_the_run_that_asks() -> None:
    strict = check_gate(summary(), Gate(min_ap50=0.5, min_ap=0.3, max_export_loss=0.001), formats(KEPT), "fail")
    assert strict.checks[-1].verdict == "too high" and not strict.passed
