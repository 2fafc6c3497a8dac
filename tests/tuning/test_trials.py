"""Trials in processes of their own: crashed, killed, and gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from prepared import prepare
from studies import IMAGES, begin_study, open_study
from waiting import wait_for

from boxwright.config import RunConfig
from boxwright.errors import TrainingError
from boxwright.tuning.records import Trial, TrialState
from boxwright.tuning.trials import run_trials

STUDIES = Path(__file__).with_name("studies.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunConfig]:
    folder = tmp_path_factory.mktemp("prepared")
    return folder, prepare(folder, 20, model_id="cracked", epochs=2)


@pytest.fixture(scope="module")
def whole(made: tuple[Path, RunConfig], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Trial]]:
    """The trials of a study that nothing interrupts."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BOXWRIGHT_HOME", str(tmp_path_factory.mktemp("home")))
        folder = begin_study(*made)
        study = open_study(folder)
        changes = []
        assert run_trials(study, folder, IMAGES, lambda: changes.append(len(study.trials()))) == "4 trials"
        assert changes[-1] == 4
        yield study.trials()


def test_every_trial_is_accounted_for_and_a_crash_is_no_score(whole: list[Trial]) -> None:
    crashed = [one for one in whole if one.settings["image_size"] == 96]
    assert crashed and len(crashed) < 3
    for one in whole:
        if one in crashed:
            assert (one.state, one.value, one.epochs) == (TrialState.FAILED, None, 0)
            assert one.reason == "ValueError: cracked at 96 pixels"
            assert one.kind == "ValueError in families.py:create_detector" or one.kind.startswith("ValueError in ")
        else:
            assert (one.state, one.epochs, sorted(one.curve)) == (TrialState.COMPLETE, 2, [1, 2])
            assert one.value == one.curve[2] and one.seconds > 0


def test_weights_and_checkpoints_of_trials_are_not_kept(whole: list[Trial], made: tuple[Path, RunConfig]) -> None:
    home = Path(os.environ["BOXWRIGHT_HOME"])
    assert not [*home.rglob("*.h5")]
    assert len([*home.rglob("trial-*/history.json")]) == sum(one.state is TrialState.COMPLETE for one in whole)


def without_time(trials: list[Trial]) -> list[Trial]:
    return [one.model_copy(update={"seconds": 0.0}) for one in trials]


def started(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(STUDIES), str(folder)])


def after_an_epoch(folder: Path, trial: int) -> Callable[[], bool]:
    """Whether the trial is in its second epoch."""
    state = folder.parents[1] / "pipeline" / "checkpoints" / f"s.trial-{trial}" / "state.json"
    return state.exists


def test_a_study_that_is_killed_and_started_again_ends_with_the_same_trials(
    made: tuple[Path, RunConfig], whole: list[Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path))
    folder = begin_study(*made)
    complete = next(one.number for one in whole[1:] if one.state is TrialState.COMPLETE)
    first = started(folder)
    wait_for(after_an_epoch(folder, complete), "the second epoch of a trial", 240)
    children = psutil.Process(first.pid).children()
    first.kill()
    first.wait()
    psutil.wait_procs(children, timeout=20)
    assert not [one for one in children if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    study = open_study(folder)
    assert study.trials()[-1].state is TrialState.RUNNING
    assert run_trials(study, folder, IMAGES) == "4 trials"
    assert without_time(study.trials()) == without_time(whole)
    assert "resuming after epoch 1 of 2" in (folder / f"trial-{complete}" / "log.txt").read_text()


def test_a_training_that_is_killed_alone_goes_on_under_its_number(
    made: tuple[Path, RunConfig], whole: list[Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path))
    folder = begin_study(*made, trials=1)
    tuning = started(folder)
    wait_for(after_an_epoch(folder, 0), "the second epoch of a trial", 240)
    (child,) = psutil.Process(tuning.pid).children()
    child.send_signal(signal.SIGKILL)
    assert tuning.wait(240) == 0
    assert without_time(open_study(folder).trials()) == without_time(whole[:1])
    assert "resuming after epoch 1 of 2" in (folder / "trial-0" / "log.txt").read_text()


def test_a_study_that_is_asked_to_stop_ends_with_what_is_under_way(
    made: tuple[Path, RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path))
    folder = begin_study(*made)
    study = open_study(folder)
    assert run_trials(study, folder, IMAGES, should_stop=lambda: bool(study.trials())) == "stopped as asked"
    assert [one.state for one in study.trials()] == [TrialState.COMPLETE]


def test_a_study_whose_trials_all_crash_ends_with_their_reason(
    made: tuple[Path, RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path))
    prepared, config = made
    broken = config.model_copy(update={"hyperparameters": config.hyperparameters.model_copy(update={"image_size": 96})})
    folder = begin_study(prepared, broken, ranges='{"learning_rate": [0.1, 0.2, 0.3, 0.4]}', trials=9)
    study = open_study(folder)
    with pytest.raises(TrainingError, match="3 trials failed in the same way: ValueError: cracked at 96 pixels"):
        run_trials(study, folder, IMAGES)
    assert [one.state for one in study.trials()] == [TrialState.FAILED] * 3
