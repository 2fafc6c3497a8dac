"""The whole evaluation step on a detector that can be right: what it writes, and how the gate takes broken models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from squares import CLASSES, IMAGES, RIGHT, Colours, loading, model_folder, write_examples
from test_metrics import evaluated_by_pycocotools

from boxwright.config import EvaluationConfig, Gate
from boxwright.dataset.annotations.reading import load_annotations
from boxwright.errors import DataError, GateError
from boxwright.evaluation.evaluating import Champion, evaluate
from boxwright.evaluation.files import PUBLISHED
from boxwright.evaluation.gate import check_gate
from boxwright.evaluation.records import BeatenChampion, EvaluationSummary

GATE = Gate()
# Blue is half as sure of itself, and red is not known.
WEAK = Colours([[0, 0, 0], [-1, 1, -1], [-1, -1, 1]])


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    write_examples(folder)
    return folder


@pytest.fixture
def run(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Evaluates a model, beside a champion where one is given."""

    def go(model: Colours, champion: Colours | None = None, **options: Any) -> EvaluationSummary:
        folder, other = model_folder(tmp_path / "model"), model_folder(tmp_path / "other", history=False)
        classes = options.pop("classes", ())
        loading(monkeypatch, {folder: model} | ({other: champion} if champion else {}), classes)
        beaten = Champion("models:/d/1", other) if champion else options.pop("beaten", None)
        (tmp_path / "out").mkdir()
        return evaluate(examples, folder, tmp_path / "out", champion=beaten, **options)

    return go


def test_a_right_model_is_measured_as_right_and_leaves_all_files(run: Any, tmp_path: Path) -> None:
    summary = run(RIGHT, settings=EvaluationConfig(voc=True), gate=GATE)
    assert summary.metrics["AP"] == pytest.approx(1) and summary.metrics["VOC_AP50"] == pytest.approx(1)
    assert (summary.split, summary.metrics["images"], summary.metrics["not_finite_images"]) == ("test", IMAGES, 0)
    assert summary.metrics["F1"] == 1 and 0 < summary.threshold < 1
    assert summary.metrics["val_localization_loss"] == 0.15 and summary.metrics["first_epoch_val_loss"] == 0.8
    assert summary.champion is None and summary.comparison is None
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written == summary.to_dict() and EvaluationSummary.read(tmp_path / "out") == summary
    assert written["speed"]["latency_ms"] > 0 and written["speed"]["size_bytes"] == 7
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == set(PUBLISHED) - {"champion_detections.json"}
    assert check_gate(summary, GATE).passed


def test_the_written_detections_give_the_same_numbers_to_pycocotools(run: Any, examples: Path, tmp_path: Path) -> None:
    summary = run(WEAK)
    detections = json.loads((tmp_path / "out" / "detections.json").read_text())
    stats = evaluated_by_pycocotools(load_annotations(examples / "test" / "annotations.json"), detections).stats
    assert summary.metrics["AP"] == pytest.approx(stats[0], abs=1e-6)
    assert 0.5 < summary.metrics["AP50"] < 0.8, "two of three classes"


def test_the_champion_is_measured_on_the_same_images(run: Any, tmp_path: Path) -> None:
    summary = run(RIGHT, WEAK)
    difference = summary.comparison.metrics["AP"]
    assert summary.champion.reference == "models:/d/1" and summary.champion.problem is None
    assert summary.champion.metrics["AP"] == difference.champion < difference.candidate == summary.metrics["AP"]
    assert summary.comparison.per_class["red"].difference == pytest.approx(1)
    assert difference.low > 0
    assert (tmp_path / "out" / "champion_detections.json").exists()
    gate = Gate(must_beat_champion=0.2)
    assert check_gate(summary, gate).passed
    worse = check_gate(summary, Gate(must_beat_champion=0.5))
    assert worse.checks[-1].verdict == "worse than champion"


def test_a_champion_that_cannot_be_measured_is_told_and_stops_nothing(run: Any) -> None:
    summary = run(RIGHT, beaten=Champion("models:/d/1", None, "the archive is gone"))
    assert summary.champion == BeatenChampion(reference="models:/d/1", problem="the archive is gone")
    assert summary.comparison is None and check_gate(summary, GATE).passed


def test_a_model_of_other_classes_is_refused_with_both_sets(run: Any) -> None:
    with pytest.raises(DataError, match=r"knows the classes \['x', 'y', 'z'\], the dataset has \['red'"):
        run(RIGHT, classes=("x", "y", "z"))


def test_classes_that_only_one_of_both_has_are_named(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    first, *others = CLASSES.values()
    summary = run(RIGHT, classes=("x", *others))
    assert summary.per_class[first].AP == 0
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"the model: it does not know {first}, which the images have: AP 0 each, and part of the mean",
        "the model: the dataset does not have its x: detections of them are not counted",
    ]


UNTRAINED = Colours(np.random.default_rng(0).uniform(0.9, 1, (3, 3)))
PERMUTED = Colours(RIGHT.colours[[1, 2, 0]])
BROKEN = Colours(np.full((3, 3), np.nan))
SILENT = Colours(np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("model", "check", "verdict", "said"),
    [
        (UNTRAINED, "AP50", "too low", "at least 0.05 is required"),
        (
            PERMUTED,
            "AP50",
            "too low",
            "AP50 is 0.0000, at least 0.05 is required: without its classification errors it would be 1.00 higher",
        ),
        (PERMUTED, "classes in place", "classes swapped", "objects of red are named "),
        (BROKEN, "detections", "not a number", f"on {IMAGES} of {IMAGES} images the model answers NaN"),
        (SILENT, "detections", "nothing detected", "detects nothing at all"),
        (WEAK, "classes detected", "classes missing", "never detected: red"),
    ],
)
def test_a_broken_model_fails_the_gate_for_its_own_reason(
    run: Any, tmp_path: Path, model: Colours, check: str, verdict: str, said: str
) -> None:
    summary = run(model, gate=GATE)
    report = check_gate(summary, GATE)
    assert {one.name: one.verdict for one in report.checks}[check] == verdict
    with pytest.raises(GateError, match=said):
        report.raise_if_failed()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "does not pass its gate" in page and verdict in page
    confused = {
        kind["name"]: kind["count"] for kind in json.loads((tmp_path / "out" / "analysis.json").read_text())["errors"]
    }
    assert (confused["classification"] > 0) == (model is PERMUTED), (
        "the report tells a permuted head from an untrained one"
    )


def test_the_report_begins_with_what_is_taken_for_what_and_shows_it(run: Any, tmp_path: Path) -> None:
    summary = run(PERMUTED, gate=Gate(min_ap50=0))
    assert {name: sum(one.names.values()) for name, one in summary.told_apart.items()} == dict.fromkeys(
        CLASSES.values(), 9
    )
    assert all(name not in one.names for name, one in summary.told_apart.items())
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Taken for each other: " in page and "100% (9)" in page
    assert page.index("Taken for each other") < page.index('id="metrics"')
    pictures = page[page.index('id="lookalikes"') :].partition("</div>")[0]
    assert pictures.count("<img") == 9, "three of each class"
    assert "on the right a real " in pictures


def test_a_model_that_is_right_takes_nothing_for_anything(run: Any, tmp_path: Path) -> None:
    run(RIGHT, gate=GATE)
    assert "Taken for each other" not in (tmp_path / "out" / "report.html").read_text()
