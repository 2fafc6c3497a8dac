"""A study in its storage: asked for once, told of once, taken up by any process, ended for a reason."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from boxwright.config import RunConfig, Settings, TuningConfig, parse_config
from boxwright.errors import StorageError, UsageError
from boxwright.tuning.records import TrialState
from boxwright.tuning.study import OUT_OF_MEMORY, Study

CONFIG = parse_config({"training": "/t", "output": "/o", "model_id": "tiny"})
RANGES = (
    '{"optimizer": ["adam", "sgd"], "momentum": {"min": 0.1, "max": 0.9}, "learning_rate": {"min": 1e-4, "max": 0.1}, '
    '"batch_size": {"min": 2, "max": 64}}'
)


def study_of(name: str = "s", config: RunConfig = CONFIG, **tuning: Any) -> Study:
    return Study(name, config, TuningConfig(**({"ranges": RANGES} | tuning)))


def worth(settings: dict[str, Any]) -> float:
    """A made-up AP, best at a learning rate of 0.01."""
    return 1 - 0.3 * abs(math.log10(settings["learning_rate"]) + 2) - 0.0001 * settings["batch_size"]


def run(study: Study, trials: int, again: bool = False, **tuning: Any) -> Study:
    for _ in range(trials):
        study = study_of(study.name, **tuning) if again else study
        number = study.ask()
        assert number is not None
        study = study_of(study.name, **tuning) if again else study
        study.complete(number, worth(study.settings_of(number)))
    return study


@pytest.mark.parametrize(
    ("uri", "kind", "said"),
    [
        ("studies", UsageError, "expected sqlite:"),
        ("oracle+nothing://u:hidden@db/x", UsageError, "expected sqlite:"),
        ("postgresql://u:hidden@127.0.0.1:9/x", StorageError, "start it, or correct BOXWRIGHT_TUNING_URI"),
        ("sqlite:////nowhere/at/all/tuning.sqlite", StorageError, "unable to open"),
    ],
)
def test_a_database_that_cannot_be_opened_is_named(
    home: Settings, uri: str, kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BOXWRIGHT_TUNING_URI", uri)
    with pytest.raises(kind, match=said) as caught:
        study_of()
    assert "hidden" not in str(caught.value) and "\n" not in str(caught.value)


def test_the_first_trial_has_the_defaults(home: Settings):
    study = study_of()
    assert study.settings_of(study.ask()) == {"optimizer": "adam", "learning_rate": 0.001, "batch_size": 8}


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "cmaes"])
def test_a_study_taken_up_by_new_processes_goes_the_same_way(home: Settings, sampler: str):
    whole = run(study_of("whole", sampler=sampler), 9)
    parts = run(study_of("parts", sampler=sampler), 9, again=True, sampler=sampler)
    settings = [one.settings for one in whole.trials()]
    assert settings == [one.settings for one in parts.trials()]
    assert len({str(one) for one in settings}) > 6


def test_settings_that_a_kill_left_half_chosen_are_completed_the_same_way(
    home: Settings, monkeypatch: pytest.MonkeyPatch
):
    whole, broken = run(study_of("whole"), 9), run(study_of("broken"), 8)
    chosen = []

    def dies(self: Any, name: str, *arguments: Any, **options: Any) -> Any:
        if len(chosen) == 2:
            raise KeyboardInterrupt
        chosen.append(name)
        return draws(self, name, *arguments, **options)

    with monkeypatch.context() as patched:
        from optuna import Trial

        draws = Trial._suggest
        patched.setattr(Trial, "_suggest", dies)
        with pytest.raises(KeyboardInterrupt):
            broken.ask()
    assert len(chosen) == 2
    left = study_of("broken").trials()[-1]
    assert (left.number, left.state, left.settings) == (8, TrialState.RUNNING, {})
    assert study_of("broken").settings_of(8) == whole.settings_of(8)


def test_trials_are_told_of_once(home: Settings):
    study = run(study_of(), 1)
    study.fail(0, "a bug", "too late")
    study.complete(0, 0.0)
    study.prune(0, "too late")
    (trial,) = study.trials()
    assert (trial.state, trial.value, trial.reason) == (TrialState.COMPLETE, worth(trial.settings), None)


def test_a_crash_is_failed_with_its_reason_and_never_a_score(home: Settings):
    study = run(study_of(), 1)
    number = study.ask()
    study.fail(number, "ValueError in x.py:f", "ValueError: at http://me:secret@host")
    trial = study.trials()[number]
    assert (trial.state, trial.value) == (TrialState.FAILED, None)
    assert trial.reason == "ValueError: at http://host"
    assert [one.number for one in study.ranked()] == [0]


def test_three_failures_of_one_kind_end_a_study_and_those_of_several_do_not(home: Settings):
    study = study_of()
    for kind in ("a", "b", "a", "c"):
        study.fail(study.ask(), kind, f"reason of {kind}")
    assert study.ended(1) is None and not study.has_failed
    study.fail(study.ask(), "a", "the last reason")
    assert study.ended(1) == "3 trials failed in the same way: the last reason" and study.has_failed


def test_memory_that_did_not_suffice_lets_smaller_batches_be_tried_and_ends_the_study_at_the_smallest(home: Settings):
    study = study_of(sampler="random")
    batches = []
    while not study.has_failed and len(batches) < 20:
        number = study.ask()
        batches.append(study.settings_of(number)["batch_size"])
        study.fail(number, OUT_OF_MEMORY, "memory does not suffice")
    assert study.has_failed
    assert all(after <= max(before // 2, 2) for before, after in zip(batches, batches[1:], strict=False))
    assert batches[-3:] == [2, 2, 2] and batches.count(2) == 3


def test_the_measurements_of_a_trial_prune_it_and_those_of_the_defaults_never_do(home: Settings):
    study = study_of()
    for value in (0.3, 0.9, 0.8, 0.7):
        number = study.ask()
        assert study.report(number, 1, value) is (value in (0.8, 0.7))
    # As after a kill: the first measurement of an epoch counts, and the answer is the same.
    assert study_of().report(3, 1, 0.99) is True
    assert study.trials()[3].curve == {1: 0.7}


def test_budgets_and_a_request_end_a_study_and_more_trials_go_on_with_it(home: Settings):
    study = study_of(trials=2)
    for seconds in (3000.0, 1000.0):
        number = study.ask()
        study.spend(number, 5, seconds)
        study.complete(number, 0.5)
        study.spend(number, 99, 99.0)  # too late
    assert study.ended(100) == "2 trials"
    assert study_of(trials=3).ended(100) is None
    assert study_of(trials=9, max_image_passes=1001).ended(100) is None
    assert study_of(trials=9, max_image_passes=1000).ended(100) == "the budget of 1,000 image passes"
    assert study_of(trials=9, max_hours=1.0).ended(100) == "the budget of 1 hours"
    study.stop()
    assert study_of(trials=9).ended(100) == "stopped as asked"
    study.resume()
    assert study_of(trials=9).ended(100) is None


def test_a_study_of_other_settings_is_refused(home: Settings):
    study_of()
    with pytest.raises(UsageError, match=r"other settings \(tuning_objective, tuning_seed\)"):
        study_of(objective="AP50", seed=1)
    with pytest.raises(UsageError, match=r"other settings \(hyperparameters\)"):
        study_of(
            config=parse_config(
                {"training": "/t", "output": "/o", "model_id": "tiny", "hyperparameters": {"epochs": 3}}
            )
        )


def test_the_best_of_earlier_studies_is_tried_after_the_defaults(home: Settings):
    earlier = run(study_of("earlier"), 8)
    best = earlier.ranked()[0]
    warm = run(study_of("warm", warm_start=("earlier",), seed=5), 2)
    assert warm.trials()[1].settings == best.settings
    with pytest.raises(UsageError, match="no study 'never' with a trial that ended; there are earlier, warm"):
        study_of("third", warm_start=("never",))


def test_a_grid_ends_with_its_last_combination(home: Settings):
    ranges = '{"optimizer": ["adam", "sgd", "nesterov"]}'
    study = study_of(sampler="grid", ranges=ranges)
    numbers = [study.ask() for _ in range(4)]
    assert numbers == [0, 1, 2, None]
    assert sorted(one.settings["optimizer"] for one in study.trials()) == ["adam", "nesterov", "sgd"]


def test_two_processes_that_ask_at_once_get_trials_of_their_own(home: Settings):
    study = study_of()
    code = (
        "from boxwright.config import TuningConfig, parse_config; from boxwright.tuning.study import Study\n"
        "config = parse_config({'training': '/t', 'output': '/o', 'model_id': 'tiny'})\n"
        f"study = Study('s', config, TuningConfig(ranges='{RANGES}'))\n"
        "for _ in range(5): study.ask()"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [one.wait() for one in processes] == [0, 0]
    trials = study.trials()
    assert [one.number for one in trials] == list(range(10))
    assert len({str(one.settings) for one in trials}) == 10


def test_importance_names_what_made_the_difference(home: Settings):
    study = study_of(sampler="random")
    for _ in range(12):
        number = study.ask()
        study.report(number, 1, worth(study.settings_of(number)))
        study.complete(number, worth(study.settings_of(number)))
    shares, basis = study.importance()
    assert max(shares, key=lambda name: shares[name]) == "learning_rate" and basis == "the end of 12 trials"
    assert study_of("empty").importance() == ({}, "")


def test_importance_of_pruned_trials_is_of_their_first_measurement(home: Settings):
    study = study_of(sampler="random")
    for _ in range(12):
        number = study.ask()
        study.report(number, 1, worth(study.settings_of(number)))
        study.report(number, 2, 0.0)
        study.prune(number, "not among the best")
    shares, basis = study.importance()
    assert max(shares, key=lambda name: shares[name]) == "learning_rate"
    assert basis == "the first measurement of 12 trials"


def test_the_database_is_where_the_settings_say(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    study_of()
    assert (home.home / "tuning.sqlite").is_file()
    monkeypatch.setenv("BOXWRIGHT_TUNING_URI", f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    study_of()
    assert (tmp_path / "elsewhere.sqlite").is_file()
