"""What a study can try: conditions, memory, other studies' settings, and grids."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from boxwright.config import RunConfig, TuningConfig, parse_config
from boxwright.errors import UsageError
from boxwright.model import hyperparameters_of
from boxwright.tuning.space import measured_often, space_of, tuned

RANGES = (
    '{"optimizer": ["adam", "sgd"], "momentum": {"min": 0.1, "max": 0.9}, "beta_1": [0.8, 0.9], '
    '"batch_size": {"min": 2, "max": 64}}'
)


def config_of(**hyperparameters: Any) -> RunConfig:
    return parse_config({"training": "/t", "output": "/o", "model_id": "tiny", "hyperparameters": hyperparameters})


def trial_of(**fixed: Any) -> optuna.Trial:
    study = optuna.create_study()
    study.enqueue_trial(fixed)
    return study.ask()


def test_an_optimizers_own_settings_are_tried_with_it_alone():
    space = space_of(config_of(), TuningConfig(ranges=RANGES))
    with_sgd = space.suggest(trial_of(optimizer="sgd", momentum=0.5, batch_size=4))
    assert with_sgd == {"optimizer": "sgd", "momentum": 0.5, "batch_size": 4}
    assert set(space.suggest(trial_of(optimizer="adam"))) == {"optimizer", "beta_1", "batch_size"}


def test_the_defaults_are_the_settings_of_the_run_or_its_model_id():
    assert space_of(config_of(), TuningConfig(ranges=RANGES)).defaults == {
        "optimizer": "adam",
        "beta_1": 0.9,
        "batch_size": 8,
    }
    own = space_of(config_of(optimizer="sgd", batch_size=5), TuningConfig(ranges=RANGES)).defaults
    assert own == {"optimizer": "sgd", "momentum": 0.9, "batch_size": 5}


def test_a_batch_that_memory_did_not_suffice_for_is_left_out_and_half_of_it_is_not():
    space = space_of(config_of(), TuningConfig(ranges=RANGES))
    limit = space.batch_values({"batch_size": 40})
    proposed = [space.suggest(optuna.create_study().ask(), limit)["batch_size"] for _ in range(30)]
    assert max(proposed) <= 20 and min(proposed) >= 2
    assert space.suggest(optuna.create_study().ask(), space.batch_values({"batch_size": 2}))["batch_size"] == 2


def test_the_size_of_the_input_counts_for_memory():
    ranges = '{"batch_size": {"min": 1, "max": 64}, "image_size": {"min": 64, "max": 256}}'
    space = space_of(config_of(), TuningConfig(ranges=ranges))
    limit = space.batch_values({"batch_size": 32, "image_size": 128})
    for _ in range(30):
        chosen = space.suggest(optuna.create_study().ask(), limit)
        assert chosen["batch_size"] == 1 or space.batch_values(chosen) <= limit / 2


def test_settings_of_another_study_become_those_that_this_one_tunes():
    space = space_of(config_of(), TuningConfig(ranges=RANGES))
    earlier = {"optimizer": "sgd", "beta_1": 0.8, "momentum": 0.95, "weight_decay": 0.1}
    assert space.complete(earlier) == {"optimizer": "sgd", "momentum": 0.95, "batch_size": 8}
    assert space.inside(space.complete(earlier)) == {"optimizer": "sgd", "batch_size": 8}


def test_a_grid_has_every_combination_that_makes_a_difference_once():
    ranges = '{"optimizer": ["adam", "sgd"], "momentum": {"min": 0.1, "max": 0.9}, "learning_rate": [0.1, 0.2]}'
    grid = space_of(config_of(), TuningConfig(ranges=ranges)).grid(0)
    assert len(grid) == 2 + 2 * 3
    assert {one["momentum"] for one in grid if one["optimizer"] == "sgd"} == {0.1, 0.5, 0.9}
    assert grid != space_of(config_of(), TuningConfig(ranges=ranges)).grid(1)


def test_tuned_settings_replace_those_of_the_run_and_no_others():
    before = config_of(epochs=7, batch_size=3)
    after = hyperparameters_of(tuned(before, {"batch_size": 16, "optimizer": "sgd"}))
    assert after == hyperparameters_of(before).model_copy(update={"batch_size": 16, "optimizer": "sgd"})


def test_ap_is_measured_where_trials_are_compared_by_it():
    assert hyperparameters_of(measured_often(config_of(epochs=20), TuningConfig())).validation_ap_epochs == 4
    assert measured_often(config_of(), TuningConfig(objective="val_loss")) == config_of()
    with pytest.raises(UsageError, match="validation_ap_epochs=0 leaves tuning_objective=AP50 unmeasured"):
        measured_often(config_of(validation_ap_epochs=0), TuningConfig(objective="AP50"))


def test_a_size_that_the_model_cannot_have_is_refused():
    config = parse_config(
        {"training": "/t", "output": "/o", "model_id": "tensorflow-od1-ssd-efficientdet-d0-512x512-coco17-tpu-8"}
    )
    with pytest.raises(UsageError, match="image_size=.*multiple of 128"):
        space_of(config, TuningConfig(ranges='{"image_size": {"min": 256, "max": 512}}'))


def test_a_range_without_effect_for_this_run_is_refused():
    with pytest.raises(UsageError, match="tuning_ranges: beta_1 has no effect with optimizer sgd"):
        space_of(config_of(optimizer="sgd"), TuningConfig(ranges='{"beta_1": [0.8, 0.9]}'))
