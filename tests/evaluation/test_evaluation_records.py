"""What an evaluation hands on, read from files of older versions and from broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boxwright.config import Gate
from boxwright.errors import DataError
from boxwright.evaluation.gate import check_gate
from boxwright.evaluation.gate_records import GateReport
from boxwright.evaluation.records import CocoMetrics, EvaluationSummary

# As 0.1.0 wrote them, before there was a record.
OLDER = Path(__file__).parent / "older"


def as_now() -> dict[str, Any]:
    """The older `metrics.json` with what has come since, which is empty there."""
    older = json.loads((OLDER / "metrics.json").read_text())
    for speeds in (older, older["champion"]):
        speeds["speed"]["network_ms"] = None
    return older | {"told_apart": {}}


def test_the_files_of_an_older_version_are_read_whole_and_written_alike() -> None:
    summary = EvaluationSummary.read(OLDER)
    assert (summary.split, summary.threshold, summary.metrics["images"]) == ("test", 0.05, 12)
    assert summary.per_class["red"].boxes == 9 and summary.per_class["red"].AP_large is None
    assert summary.speed is not None and summary.speed.device == "CPU"
    assert summary.champion is not None and summary.champion.reference == "models:/d/1"
    assert summary.comparison is not None and summary.comparison.metrics["AP"].champion == pytest.approx(2 / 3)
    assert summary.to_dict() == as_now()
    report = GateReport.read(OLDER)
    assert report == check_gate(summary, Gate(must_beat_champion=0.01))
    assert json.dumps(report.to_dict()) == json.dumps(
        json.loads((OLDER / "gate.json").read_text()) | {"told_apart": {}}
    )


def test_a_whole_number_stays_one(tmp_path: Path) -> None:
    EvaluationSummary.read(OLDER).write(tmp_path)
    assert json.dumps(json.loads((tmp_path / "metrics.json").read_text())) == json.dumps(as_now())


def test_the_first_version_had_less(tmp_path: Path) -> None:
    first = {
        "split": "validation",
        "metrics": {"AP": 0.25, "AP50": None, "detections": 4},
        "per_class": {"cat": {"AP": 0.25, "AP50": 0.5, "boxes": 3}},
    }
    (tmp_path / "metrics.json").write_text(json.dumps(first))
    summary = EvaluationSummary.read(tmp_path)
    assert summary.metrics == first["metrics"] and summary.threshold is None and summary.champion is None
    assert summary.per_class == {"cat": CocoMetrics(AP=0.25, AP50=0.5, boxes=3)}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"threshold": 1.5}, "'threshold' is 1.5: input should be less than or equal to 1"),
        ({"threshold": float("nan")}, "'threshold' is not a finite number"),
        ({"metrics": []}, r"'metrics' is \[\]"),
        ({"metrics": {"AP": float("inf")}}, "'metrics.AP' is not a finite number"),
        ({"metrics": {"AP": "high"}}, "'metrics.AP.int' is 'high'"),
        ({"per_class": {"red": {"AP": 1.0}}}, "'per_class.red.AP50' is missing"),
        ({"split": None}, "'split' is None"),
    ],
)
def test_a_broken_file_is_told_by_file_and_field(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    content = json.loads((OLDER / "metrics.json").read_text()) | change
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"{tmp_path}/metrics.json is not a metrics.json of Boxwright: {field}"):
        EvaluationSummary.read(tmp_path)
