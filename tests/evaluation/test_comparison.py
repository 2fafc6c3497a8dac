from __future__ import annotations

import numpy as np
import pytest
from test_metrics import synthetic

from boxwright.evaluation.comparison import compare
from boxwright.evaluation.detections import Detections
from boxwright.evaluation.metrics import Measurement
from boxwright.evaluation.records import Comparison

TRUTH, FOUND = synthetic(4)


def measured(share: float = 1.0, seed: int = 0) -> Measurement:
    kept = np.random.default_rng(seed).random(len(FOUND)) < share
    results = [found for found, keep in zip(FOUND, kept, strict=True) if keep]
    return Measurement(TRUTH, Detections.of_results(TRUTH, results))


@pytest.fixture(scope="module")
def whole() -> Measurement:
    return measured()


@pytest.fixture(scope="module")
def better(whole: Measurement) -> Comparison:
    return compare(measured(0.6), whole, "models:/d/1")


def test_a_clearly_better_model_has_an_interval_above_zero(better: Comparison, whole: Measurement) -> None:
    assert (better.champion, better.images, better.samples) == ("models:/d/1", 30, 1000)
    for name in ("AP", "AP50", "AR100"):
        found = better.metrics[name]
        assert found.candidate == getattr(whole.metrics, name)
        assert found.difference == pytest.approx((found.candidate or 0) - (found.champion or 0))
        assert 0 < (found.low or 0) < (found.difference or 0) < (found.high or 0) and found.better == 1
    change = better.per_class["cat"]
    assert change.difference == pytest.approx((whole.metrics.per_class["cat"].AP or 0) - (change.champion or 0))
    assert better.per_class["never seen"].difference is None


def test_two_equal_models_are_not_told_apart(whole: Measurement) -> None:
    found = compare(measured(), whole, "itself").metrics["AP"]
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_two_models_that_differ_by_chance_have_zero_in_their_interval() -> None:
    found = compare(measured(0.8, seed=1), measured(0.8, seed=2), "the other").metrics["AP"]
    assert (found.low or 0) < 0 < (found.high or 0)


def test_the_samples_are_paired_and_repeat(better: Comparison, whole: Measurement) -> None:
    assert compare(measured(0.6), whole, "models:/d/1") == better
    # The same images are drawn for both: the difference is surer than either value.
    shift = measured(0.97)
    found = compare(shift, whole, "nearly the same").metrics["AP"]
    assert (found.high or 1) - (found.low or 0) < (better.metrics["AP"].high or 0) - (better.metrics["AP"].low or 0)
