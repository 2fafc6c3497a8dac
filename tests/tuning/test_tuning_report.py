"""The page of a study, as far as it has come."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxwright.config import TuningConfig
from boxwright.tuning.proving import unproven
from boxwright.tuning.records import Finalist, Outcome, Proof, Trial, TrialState
from boxwright.tuning.report.charts import varied
from boxwright.tuning.report.page import REPORT_PAGE, best_trial, write_report

TRIALS = [
    Trial(number=0, state=TrialState.COMPLETE, settings={"optimizer": "adam", "learning_rate": 0.001}, value=0.41,
          curve={1: 0.2, 2: 0.41}, epochs=2, seconds=90.0),
    Trial(number=1, state=TrialState.COMPLETE, settings={"optimizer": "sgd", "learning_rate": 0.02, "momentum": 0.9},
          value=0.52, curve={1: 0.3, 2: 0.52}, epochs=2, seconds=100.0),
    Trial(number=2, state=TrialState.PRUNED, settings={"optimizer": "sgd", "learning_rate": 0.0002, "momentum": 0.8},
          value=0.1, curve={1: 0.1}, epochs=1, seconds=40.0, reason="not among the best after 1 epoch"),
    Trial(number=3, state=TrialState.FAILED, settings={"optimizer": "adam", "learning_rate": 0.1},
          reason="ValueError: <b>bad</b> " + "and long " * 60, kind="ValueError"),
    Trial(number=4, state=TrialState.RUNNING, settings={"optimizer": "adam", "learning_rate": 0.01}),
]  # fmt: skip
PROOF = Proof(
    finalists=[
        Finalist(name="defaults", settings=TRIALS[0].settings, seeds=[1, 2], AP=[0.4, 0.42]),
        Finalist(name="trial 1", settings=TRIALS[1].settings, seeds=[1, 2], AP=[0.5, 0.54], difference=0.11, low=0.05,
                 high=0.17),
    ],
    images=30,
    samples=1000,
    confidence=0.95,
    winner="trial 1",
    verdict="trial 1 gains +0.1100 AP",
)  # fmt: skip


def page_of(
    folder: Path, trials: list[Trial], proof: Proof | None = None, importance: dict[str, float] | None = None
) -> str:
    outcome = Outcome(study="s", objective="AP", trials=trials, proof=proof, chosen=TRIALS[1].settings if proof else {})
    write_report(folder, outcome, importance or {}, "the end of 2 trials", is_loss=False)
    return (folder / REPORT_PAGE).read_text()


def test_the_page_accounts_for_every_trial_with_its_reason(tmp_path: Path):
    page = page_of(tmp_path, TRIALS)
    assert "1 running, 2 complete, 1 pruned, 1 failed" in page
    assert "Under way: no proof yet" in page
    assert "not among the best after 1 epoch" in page
    assert "&lt;b&gt;bad&lt;/b&gt;" in page and "<b>bad" not in page
    assert "optimizer=sgd, learning_rate=0.02, momentum=0.9" in page
    assert page.count("<polyline") == 3
    assert "0.5200" in page and "AP of the best, trial 1" in page


def test_the_page_shows_the_proof_and_what_the_final_model_has(tmp_path: Path):
    page = page_of(tmp_path, TRIALS, PROOF, {"learning_rate": 0.8, "optimizer": 0.2})
    assert "trial 1 gains +0.1100 AP" in page
    assert "+0.0500 to +0.1700" in page and "0.5200" in page
    assert "30 test images" in page
    assert "at the end of 2 trials; most by learning_rate" in page
    for title in ("Best so far", "Curves", "Importance", "Parallel coordinates", "Slices", "Gain on the test images"):
        assert f"<h3>{title}</h3>" in page


def test_a_proof_of_nothing_says_that_nothing_was_compared(tmp_path: Path):
    page = page_of(tmp_path, TRIALS, unproven({"optimizer": "adam"}, "no trial was better than the defaults"))
    assert "There was nothing to compare, so that nothing was trained again." in page
    assert "There was nothing to compare" not in page_of(tmp_path, TRIALS, PROOF)


def test_a_configuration_that_could_not_be_trained_again_says_why(tmp_path: Path):
    broken = PROOF.finalists[1].model_copy(update={"difference": None, "low": None, "problem": "it diverged", "AP": []})
    proof = PROOF.model_copy(update={"finalists": [PROOF.finalists[0], broken], "winner": "defaults"})
    page = page_of(tmp_path, TRIALS, proof)
    assert "it diverged" in page and "Gain on the test images" not in page


@pytest.mark.parametrize("trials", [[], TRIALS[4:], TRIALS[3:4], TRIALS[:1]])
def test_a_study_that_has_come_nowhere_has_a_page(tmp_path: Path, trials: list[Trial]):
    assert "Tuning" in page_of(tmp_path, trials)


def test_the_best_is_the_lowest_of_losses():
    assert best_trial(TRIALS, is_loss=False).number == 1
    assert best_trial(TRIALS, is_loss=True).number == 0
    assert best_trial(TRIALS[2:], is_loss=False) is None


def test_settings_that_never_vary_have_no_axis():
    assert varied(TRIALS[:2]) == ["optimizer", "learning_rate"]
    assert varied(TRIALS[:1]) == []


def test_an_outcome_is_read_as_it_was_written(tmp_path: Path):
    outcome = Outcome(
        study="s", objective=TuningConfig().objective, trials=TRIALS, proof=PROOF, chosen={"batch_size": 8}
    )
    outcome.write(tmp_path)
    assert Outcome.read(tmp_path) == outcome
