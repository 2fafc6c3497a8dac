"""The proof: what gains, what does not, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from boxwright.config import Settings, TuningConfig, parse_config
from boxwright.tuning.proving import candidates, differences, fresh_seeds, prove, unproven
from boxwright.tuning.records import Finalist, signed
from boxwright.tuning.study import Study

IMAGES = 60


class Scores:
    """A stand-in for a measurement, whose AP is the mean of a score that each image has."""

    def __init__(self, scores: Sequence[float]) -> None:
        self.scores, self.images = np.asarray(scores), len(scores)

    def ap(self, counts: NDArray[np.int64] | None = None) -> float:
        return float(np.average(self.scores, weights=counts))


def measured(means: Sequence[float], noise: float = 0.1, first: int = 0) -> list[Any]:
    """One measurement a seed, on the same images, some of which are harder than others."""
    hard = np.random.default_rng(99).normal(0, 0.2, IMAGES)
    return [
        Scores(mean + hard + np.random.default_rng(first + place).normal(0, noise, IMAGES))
        for place, mean in enumerate(means)
    ]


def finalists(*names: str) -> list[Finalist]:
    return [Finalist(name=name, settings={"batch_size": place}, seeds=[1, 2]) for place, name in enumerate(names)]


def test_a_clear_gain_wins_and_the_larger_of_two():
    proof = prove(
        finalists("defaults", "trial 3", "trial 5"),
        {
            "defaults": measured([0.3, 0.31]),
            "trial 3": measured([0.4, 0.41], first=5),
            "trial 5": measured([0.6, 0.61]),
        },
    )
    assert (proof.winner, proof.images) == ("trial 5", IMAGES)
    best = proof.finalists[2]
    assert best.low < best.difference < best.high and best.low > 0
    assert best.difference == pytest.approx(best.mean - proof.finalists[0].mean)
    assert proof.verdict.startswith(f"trial 5 gains {best.difference:+.4f} ({best.low:+.4f} to ")


def test_what_may_be_noise_is_no_gain_and_the_defaults_win():
    proof = prove(
        finalists("defaults", "trial 3"),
        {"defaults": measured([0.3, 0.36]), "trial 3": measured([0.32, 0.38], first=7)},
    )
    assert proof.winner == "defaults"
    assert proof.finalists[1].low < 0 < proof.finalists[1].high
    assert proof.verdict.startswith("no gain shown: trial 3 is at +0.0") and proof.verdict.endswith("the defaults win")


def test_seeds_that_scatter_widen_the_interval():
    steady = differences(measured([0.3, 0.3]), measured([0.35, 0.35], first=7))
    scattered = differences(measured([0.2, 0.4]), measured([0.25, 0.45], first=7))
    assert steady.std() < scattered.std() / 3
    # Two means of two seeds, each 0.1 away from its mean: a standard error of 0.1 each.
    assert scattered.std() == pytest.approx(np.hypot(0.1, 0.1), rel=0.15)


def test_the_same_images_are_drawn_for_both():
    apart = differences(measured([0.3]), measured([0.3], first=7))
    assert apart.std() < 0.1 * np.sqrt(2 / IMAGES) * 1.3  # the hardness of images, twice that noise, is in neither


def test_two_candidates_have_wider_intervals_than_one():
    both = {"defaults": measured([0.3, 0.3]), "a": measured([0.35, 0.36], first=7), "b": measured([0.3, 0.3], first=9)}
    alone, beside = (
        prove(finalists("defaults", "a"), both).finalists[1],
        prove(finalists("defaults", "a", "b"), both).finalists[1],
    )
    assert alone.difference == beside.difference
    assert beside.high - beside.low > alone.high - alone.low


def test_a_configuration_that_failed_is_told_and_does_not_win():
    broken = finalists("defaults", "trial 3")
    broken[1] = broken[1].model_copy(update={"problem": "diverged with seed 2"})
    proof = prove(broken, {"defaults": measured([0.3, 0.3])})
    assert (
        proof.winner == "defaults" and proof.verdict == "no gain shown: trial 3: diverged with seed 2; the defaults win"
    )


def test_without_a_better_trial_the_defaults_win():
    proof = unproven({"batch_size": 8}, "no trial was better")
    assert (proof.winner, proof.verdict, proof.finalists[0].settings) == (
        "defaults",
        "no gain: no trial was better",
        {"batch_size": 8},
    )


def test_the_best_two_that_beat_the_defaults_and_differ_are_proven(home: Settings, tmp_path: Path):
    config = parse_config({"training": "/t", "output": "/o", "model_id": "tiny"})
    study = Study(
        "s", config, TuningConfig(sampler="grid", ranges='{"optimizer": ["adam", "sgd", "nesterov", "rmsprop"]}')
    )
    for value in (0.5, 0.7, 0.4, 0.6):
        study.complete(study.ask(), value)
    assert [one.number for one in candidates(study)] == [1, 3]
    assert fresh_seeds(3, 2) == [4, 5]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0128, "+0.0128"), (-0.2, "-0.2000"), (0.0, "+0.0000"), (4.13e-5, "+4.1e-05"), (-1e-6, "-1.0e-06")],
)
def test_a_difference_that_is_not_zero_does_not_look_like_zero(value: float, shown: str) -> None:
    assert signed(value) == shown
