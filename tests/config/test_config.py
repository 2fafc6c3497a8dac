from __future__ import annotations

import pytest

from boxwright.config import Hyperparameters, RunConfig, parse_config
from boxwright.errors import UsageError

MANAGED = {
    "batch_size": 3, "beta_1": 0.9, "beta_2": 0.999, "early_stopping": False, "early_stopping_min_delta": 0.0,
    "early_stopping_patience": 5, "epochs": 5, "epsilon": 1e-7, "initial_accumulator_value": 0.1,
    "learning_rate": 0.001, "momentum": 0.9, "optimizer": "adam", "reinitialize_top_layer": "Auto", "rho": 0.95,
    "train_only_on_top_layer": False,
}  # fmt: skip
REQUIRED = {"training": "s3://b/t", "output": "s3://b/o"}


def test_the_managed_hyperparameters_have_their_names_and_defaults():
    defaults = Hyperparameters().model_dump()
    assert {name: defaults[name] for name in MANAGED} == MANAGED


def test_string_forms_of_the_managed_algorithm_are_taken():
    chosen = {"early_stopping": "True", "reinitialize_top_layer": "False", "epochs": "7", "learning_rate": "0.01"}
    parsed = Hyperparameters(**chosen)
    assert (parsed.early_stopping, parsed.reinitialize_top_layer, parsed.epochs) == (True, "False", 7)
    assert Hyperparameters(reinitialize_top_layer=True).reinitialize_top_layer == "True"
    assert Hyperparameters(mixed_precision="auto", jit_compile="false").mixed_precision == "Auto"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"hyperparameters": {"learning_rat": 1}}, ["hyperparameters.learning_rat", "unknown", "learning_rate"]),
        ({"hyperparameters": {"learning_rate": 2}}, ["learning_rate=2", "less than or equal to 1"]),
        ({"hyperparameters": {"freeze_batch_norm": "sometimes"}}, ["freeze_batch_norm", "'Auto', 'True' or 'False'"]),
        ({"hyperparameters": {"early_stopping_metric": "AR"}}, ["early_stopping_metric='AR'", "val_loss", "AP"]),
        ({"hyperparameters": {"optimizer": "lion"}}, ["optimizer='lion'", "adam", "adadelta"]),
        ({"seed_mode": "always"}, ["seed_mode", "pretrained", "incremental", "auto"]),
        ({"training": None}, ["training is required"]),
        ({"gate": {"min_ap": -1}}, ["gate.min_ap=-1"]),
        ({"annotations_file": "../secret.json"}, ["annotations_file"]),
        ({"data_validation": {"on_invalid": "skip"}}, ["data_validation.on_invalid='skip'", "fail", "drop"]),
        ({"data_validation": {"small_box": 3}}, ["data_validation.small_box is unknown", "small_box_pixels"]),
        ({"data_validation": {"severities": {"box_duplicate": "no"}}}, ["box_duplicate", "warning"]),
    ],
)
def test_a_mistake_is_named_with_what_is_valid(values, words):
    with pytest.raises(UsageError) as caught:
        parse_config(REQUIRED | values)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(UsageError) as caught:
        parse_config(REQUIRED | {"hyperparameters": {"epochs": 0, "momentum": 5}})
    assert "epochs" in str(caught.value)
    assert "momentum" in str(caught.value)


def test_a_round_trip_keeps_what_was_set_and_what_was_not():
    config = parse_config(REQUIRED | {"hyperparameters": {"epochs": 3, "seed": None}})
    again = RunConfig.model_validate_json(config.to_json())
    assert again == config
    assert again.hyperparameters.model_fields_set == {"epochs"}


@pytest.mark.parametrize(
    "text", ["box_duplicate=off, box_too_small=error", '{"box_duplicate": "off", "box_too_small": "error"}']
)
def test_severities_may_be_text(text):
    config = parse_config(REQUIRED | {"data_validation": {"severities": text}})
    assert config.data_validation.severities == {"box_duplicate": "off", "box_too_small": "error"}


@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        ("tile_size", 31, "at least 32 pixels, or 0 for no tiles"),
        ("tile_overlap", 0.6, "0.5"),
        ("resize", "pad", "Auto"),
    ],
)
def test_ways_of_looking_that_there_are_not(name, wrong, told):
    with pytest.raises(UsageError, match=told):
        parse_config(REQUIRED | {"hyperparameters": {name: wrong}})
    config = parse_config(REQUIRED | {"hyperparameters": {"tile_size": 0, "tile_overlap": 0.5, "resize": "letterbox"}})
    assert (config.hyperparameters.tile_size, config.hyperparameters.tile_overlap) == (0, 0.5)
