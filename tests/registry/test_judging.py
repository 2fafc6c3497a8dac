"""A version that is reused is held against the gate of the run that reuses it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from measured_formats import KEPT, LOST, formats

from boxwright.config import RunInfo, parse_config
from boxwright.errors import DataError
from boxwright.evaluation import Champion, Comparison, EvaluationSummary, GateReport
from boxwright.registry import judging

RUN = RunInfo(run_id="today", as_of=datetime(2026, 5, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Made:
    """What judging reads of a version."""

    archive_uri: str
    reference: str = "models:/detector/1"
    run_id: str = "first"
    name: str = "detector"
    version: int = 1


def summary(**facts: Any) -> EvaluationSummary:
    per_class = {"bolt": {"AP": 0.4, "AP50": 0.6, "boxes": 9, "detections": 20}}
    metrics = {"AP": 0.4, "AP50": 0.6, "detections": 20}
    return EvaluationSummary.model_validate({"split": "test", "metrics": metrics, "per_class": per_class} | facts)


def comparison(reference: str, difference: float) -> dict[str, Any]:
    values = {"champion": 0.3, "candidate": 0.3 + difference, "difference": difference}
    found = {"AP": values | {"low": None, "high": None, "better": None}}
    return Comparison(champion=reference, metrics=found, per_class={}, samples=1, images=9).model_dump()  # type: ignore[arg-type]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    summary(speed={
        "latency_ms": 12.0, "latency_p95_ms": 13.0, "images_per_second": None, "batch_size": 1, "size_bytes": 9,
        "device": "CPU",
    }).write(tmp_path)  # fmt: skip
    return Made(str(tmp_path / "model.tar.gz"))


def judged(made: Made, tmp_path: Path, **gate: Any) -> GateReport:
    config = parse_config({"training": "/data", "output": "/output", "gate": gate})
    return judging.judge_again(config, RUN, made, tmp_path / "examples")  # type: ignore[arg-type]


def check_of(report: GateReport, name: str) -> Any:
    return next(check for check in report.checks if check.name == name)


@pytest.mark.parametrize(("bound", "passes"), [(0.5, True), (0.7, False)])
def test_the_bounds_are_those_of_the_run(made: Made, tmp_path: Path, bound: float, passes: bool) -> None:
    report = judged(made, tmp_path, min_ap50=bound)
    assert report.passed is passes
    assert (check_of(report, "AP50").value, check_of(report, "AP50").bound) == (0.6, bound)


def test_the_latency_says_that_it_is_of_the_first_run(made: Made, tmp_path: Path) -> None:
    report = judged(made, tmp_path, max_latency_ms=10)
    assert check_of(report, "latency in ms").note.endswith("; as run first measured it")
    assert check_of(judged(made, tmp_path, max_latency_ms=20), "latency in ms").note == "as run first measured it"
    assert check_of(report, "AP50").note == ""


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The champion of today, whom it is asked for, and what a comparison with it gives."""
    state: dict[str, Any] = {"champion": None, "asked_for": [], "compared": 0}

    @contextmanager
    def open_champion(config: Any, run: RunInfo) -> Iterator[Champion | None]:
        state["asked_for"].append(run.run_id)
        yield state["champion"]

    def beside_champion(
        measured: EvaluationSummary, detections: Path, champion: Champion | None, examples: Path, out: Path
    ) -> EvaluationSummary:
        state["compared"] += 1
        if champion is None:
            return measured.model_copy(update={"champion": None, "comparison": None})
        described = {"reference": champion.reference}
        return summary(champion=described, comparison=comparison(champion.reference, 0.05))

    monkeypatch.setattr(judging, "open_champion", open_champion)
    monkeypatch.setattr(judging, "beside_champion", beside_champion)
    return state


def test_no_champion_is_looked_for_where_none_has_to_be_beaten(
    made: Made, tmp_path: Path, beside: dict[str, Any]
) -> None:
    judged(made, tmp_path)
    assert beside["asked_for"] == []


def test_a_new_champion_is_measured(made: Made, tmp_path: Path, beside: dict[str, Any]) -> None:
    beside["champion"] = Champion("models:/detector/2", tmp_path)
    assert judged(made, tmp_path, must_beat_champion=0.04).passed
    assert not judged(made, tmp_path, must_beat_champion=0.06).passed
    assert beside["compared"] == 2
    # A model never has to beat itself.
    assert set(beside["asked_for"]) == {"first"}


def test_the_champion_of_then_is_not_measured_again(tmp_path: Path, beside: dict[str, Any]) -> None:
    reference = "models:/detector/2"
    summary(champion={"reference": reference}, comparison=comparison(reference, -0.1)).write(tmp_path)
    beside["champion"] = Champion(reference, tmp_path)
    report = judged(Made(str(tmp_path / "model.tar.gz")), tmp_path, must_beat_champion=0.0)
    assert check_of(report, "AP above champion").verdict == "worse than champion"
    assert beside["compared"] == 0


def test_without_a_champion_today_the_one_of_then_does_not_count(tmp_path: Path, beside: dict[str, Any]) -> None:
    reference = "models:/detector/2"
    summary(champion={"reference": reference}, comparison=comparison(reference, -0.1)).write(tmp_path)
    report = judged(Made(str(tmp_path / "model.tar.gz")), tmp_path, must_beat_champion=0.0)
    assert check_of(report, "AP above champion").verdict == "no champion"


def test_metrics_are_taken_from_the_archive_where_they_are_not_beside_it(made: Made, tmp_path: Path) -> None:
    with tarfile.open(made.archive_uri, "w:gz") as archive:
        archive.add(tmp_path / "metrics.json", "metrics.json")
    (tmp_path / "metrics.json").unlink()
    assert judged(made, tmp_path).passed


def test_a_version_without_metrics_is_not_passed_unseen(made: Made, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").unlink()
    with pytest.raises(DataError):
        judged(made, tmp_path)


def test_the_formats_of_then_are_held_against_the_settings_of_now(made: Made, tmp_path: Path) -> None:
    formats(KEPT, LOST).write(tmp_path)

    def names(*wanted: str, **gate: Any) -> dict[str, str]:
        export = {"formats": list(wanted), "on_loss": "fail"}
        config = parse_config({"training": "/data", "output": "/output", "gate": gate, "export": export})
        report = judging.judge_again(config, RUN, made, tmp_path)  # type: ignore[arg-type]
        return {check.name: check.verdict for check in report.checks if check.name.startswith("AP lost")}

    assert names("saved_model", "litert") == {"AP lost as litert:float32": "passed"}
    assert names("litert", max_export_loss=0.001) == {"AP lost as litert:float32": "too high"}
    assert names("litert:dynamic_int8") == {"AP lost as litert:dynamic_int8": "too high"}
    assert names("saved_model") == {}
