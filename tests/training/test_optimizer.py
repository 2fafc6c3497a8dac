from __future__ import annotations

from typing import get_args

import pytest

from components.config import Hyperparameters, Optimizer
from components.training.fine_tune import make_optimizer


def _rates(optimizer, steps):
    return [float(optimizer._learning_rate(step)) for step in steps]


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_every_optimizer_of_the_managed_algorithm_is_made_with_its_settings(name):
    chosen = {"beta_1": 0.8, "momentum": 0.7, "rho": 0.6, "initial_accumulator_value": 0.3, "epsilon": 1e-5}
    made = make_optimizer(Hyperparameters(optimizer=name, **chosen), steps_per_epoch=10)
    config = made.get_config()
    assert made.global_clipnorm == 1.0
    for setting in chosen.keys() & config.keys():
        # Keras's RMSprop has a momentum of its own, which the managed algorithm does not set.
        if (name, setting) != ("rmsprop", "momentum"):
            assert config[setting] == chosen[setting], setting
    assert config.get("nesterov", False) == (name == "nesterov")


def test_the_rate_warms_up_then_falls_to_nearly_nothing():
    made = make_optimizer(Hyperparameters(epochs=10, warmup_epochs=2, learning_rate=0.1), steps_per_epoch=10)
    start, half_warm, peak, middle, end = _rates(made, [0, 10, 20, 60, 100])
    assert start == 0
    assert half_warm == pytest.approx(0.05)
    assert peak == pytest.approx(0.1)
    assert middle == pytest.approx(0.05, abs=0.002)
    assert end == pytest.approx(0.001)


def test_a_constant_rate_stays():
    settings = Hyperparameters(epochs=10, warmup_epochs=0, learning_rate=0.1, learning_rate_schedule="constant")
    assert _rates(make_optimizer(settings, steps_per_epoch=10), [0, 50, 100]) == pytest.approx([0.1, 0.1, 0.1])
