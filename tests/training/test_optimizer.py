from __future__ import annotations

from typing import get_args

import pytest

from boxwright.config import Hyperparameters, parse_config
from boxwright.config.hyperparameters import Optimizer
from boxwright.training.optimizer import ignored_settings, make_optimizer, scale_rate, spare_from_weight_decay


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


def test_weight_decay_pulls_on_kernels_only():
    import keras
    import numpy as np

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, bias_initializer="ones")])
    before = [variable.numpy() for variable in model.weights]
    optimizer = make_optimizer(
        Hyperparameters(weight_decay=0.5, learning_rate=0.1, warmup_epochs=0, learning_rate_schedule="constant"), 10
    )
    spare_from_weight_decay(optimizer, model)
    optimizer.build(model.trainable_variables)
    optimizer.apply([keras.ops.zeros_like(variable) for variable in model.trainable_variables])
    np.testing.assert_allclose(model.layers[0].kernel, before[0] * 0.95, rtol=1e-5)
    np.testing.assert_array_equal(model.layers[0].bias, before[1])


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_scaled_variables_move_by_their_share_of_the_rate_and_decay_by_it(name):
    import keras

    whole, scaled = keras.Variable([1.0, -2.0]), keras.Variable([1.0, -2.0])
    settings = Hyperparameters(
        optimizer=name, learning_rate=0.1, warmup_epochs=0, learning_rate_schedule="constant", weight_decay=0.3
    )
    optimizer = make_optimizer(settings, 10)
    scale_rate(optimizer, [scaled], 0.1)
    optimizer.build([whole, scaled])
    gradient = keras.ops.convert_to_tensor([0.01, 0.03])
    optimizer.apply([gradient, gradient])
    moved = whole.numpy() - [1.0, -2.0]
    assert (abs(moved) > 0.0005).all()
    assert scaled.numpy() - [1.0, -2.0] == pytest.approx(moved * 0.1, rel=0.02)


def test_clipping_can_be_switched_off():
    assert make_optimizer(Hyperparameters(gradient_clip_norm=0), 10).global_clipnorm is None


@pytest.mark.parametrize(
    ("settings", "warnings"),
    [
        ({"optimizer": "adam", "beta_1": 0.8, "epsilon": 1e-6}, []),
        ({"optimizer": "sgd", "beta_1": 0.8}, ["beta_1=0.8 has no effect with optimizer=sgd; adam use it"]),
        ({"momentum": 0.5}, ["momentum=0.5 has no effect with optimizer=adam; sgd, nesterov use it"]),
        ({"optimizer": "rmsprop", "rho": 0.5}, []),
        ({"early_stopping_patience": 3}, ["early_stopping_patience=3 has no effect without early_stopping=True"]),
        ({"early_stopping_patience": 3, "early_stopping": "True"}, []),
        ({"validation_split": 0.3}, ["validation_split=0.3 has no effect with a validation dataset"]),
    ],
)
def test_a_setting_without_effect_is_told(settings, warnings):
    config = {"training": "t", "validation": "v", "output": "o", "hyperparameters": settings}
    assert ignored_settings(parse_config(config)) == warnings
