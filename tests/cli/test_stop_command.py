"""`boxwright stop`: what it asks of a training, and of what it says that there is nothing to stop."""

from __future__ import annotations

from typing import Any

from boxwright.registry.training_run import TrainingRun


def test_a_training_under_way_is_asked_to_end(tracking: str, boxwright: Any) -> None:
    training = TrainingRun("detector", "weekly", tracking)
    with training.under_way({}):
        code, said, _ = boxwright("stop", "weekly")
        assert (code, said) == (0, "run weekly ends after the epoch that is under way\n")
        assert training.should_stop()


def test_of_a_run_that_tunes_no_more_trials_are_to_begin(tracking: str, boxwright: Any) -> None:
    study = TrainingRun("detector", "tunes", tracking)
    study.progress({"study": "bolts"})
    code, said, _ = boxwright("stop", "tunes")
    assert (code, study.should_stop()) == (0, True)
    assert said == ("run tunes: no more trials of the study bolts begin, and the best of those there are is chosen\n")


def test_what_is_not_under_way_is_not_stopped(tracking: str, boxwright: Any) -> None:
    with TrainingRun("detector", "done", tracking).under_way({}):
        pass
    code, _, error = boxwright("stop", "done")
    assert (code, "its last word is 'trained'" in error) == (2, True)
    code, _, error = boxwright("stop", "done", "--model-name", "other")
    assert (code, "other has no training of that name" in error) == (2, True)
