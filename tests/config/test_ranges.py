"""What hyperparameters are tuned within: presets, JSON, the managed service's lists, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from boxwright.config import (
    Choices,
    Hyperparameters,
    NumberRange,
    TuningConfig,
    parse_ranges,
    parse_settings,
    parse_tuning,
    tuning_fields,
)
from boxwright.errors import UsageError

OWN = Hyperparameters(batch_size=8, learning_rate=0.002)


def read(given: Any) -> dict[str, Any]:
    return parse_ranges(json.dumps(given), OWN)


def test_the_default_is_near_what_the_model_comes_with():
    ranges = parse_ranges("default", OWN)
    assert ranges["learning_rate"] == NumberRange(low=0.0002, high=0.02, log=True)
    assert ranges["batch_size"] == NumberRange(low=4, high=16, log=True, whole=True)
    assert ranges["optimizer"] == Choices(values=("adam", "nesterov"))
    assert [*ranges][0] == "optimizer"
    assert "beta_1" not in ranges


def test_what_people_have_set_is_not_tuned_by_a_preset_and_an_optimizer_without_settings_has_none():
    ranges = parse_ranges("default", OWN, kept=["optimizer", "batch_size"])
    assert not {"optimizer", "batch_size", "momentum"} & set(ranges)


def test_the_managed_preset_has_the_documented_ranges():
    ranges = parse_ranges("managed", OWN)
    assert ranges["batch_size"] == NumberRange(low=8, high=512, log=True, whole=True)
    assert ranges["learning_rate"] == NumberRange(low=1e-6, high=0.5, log=True)
    assert ranges["epsilon"] == NumberRange(low=1e-8, high=1.0, log=True)
    assert ranges["initial_accumulator_value"] == NumberRange(low=0.0, high=0.999)
    assert len(ranges) == 9


def test_ranges_are_lists_bounds_and_names_of_presets_and_texts_are_read():
    assert read(
        {
            "learning_rate": {"min": "0.0001", "max": "0.01"},
            "optimizer": ["sgd", "adam"],
            "train_only_on_top_layer": ["True", "False"],
            "batch_size": "managed",
            "image_size": {"min": 96, "max": 160},
            "momentum": {"min": 0.5, "max": 0.9, "scale": "log"},
        }
    ) == {
        "optimizer": Choices(values=("sgd", "adam")),
        "learning_rate": NumberRange(low=1e-4, high=1e-2, log=True),
        "batch_size": NumberRange(low=8, high=512, log=True, whole=True),
        "momentum": NumberRange(low=0.5, high=0.9, log=True),
        "train_only_on_top_layer": Choices(values=(True, False)),
        "image_size": NumberRange(low=96, high=160, whole=True, step=32),
    }


def test_the_managed_services_lists_are_taken():
    assert read(
        {
            "IntegerParameterRanges": [{"Name": "batch_size", "MinValue": "8", "MaxValue": "32"}],
            "ContinuousParameterRanges": [
                {"Name": "learning_rate", "MinValue": "1e-5", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
            ],
            "CategoricalParameterRanges": [{"Name": "train_only_on_top_layer", "Values": ["True", "False"]}],
        }
    ) == {
        "learning_rate": NumberRange(low=1e-5, high=0.1, log=True),
        "batch_size": NumberRange(low=8, high=32, log=True, whole=True),
        "train_only_on_top_layer": Choices(values=(True, False)),
    }


REFUSED = {
    "learning_rat": ({"learning_rat": [1]}, "did you mean learning_rate"),
    "eps": ({"eps": {"min": 0.1, "max": 0.2}}, "'eps' is called epsilon here"),
    "epochs": ({"epochs": {"min": 1, "max": 9}}, "what a trial may cost"),
    "nms": ({"nms": ["soft", "agnostic"]}, "'nms' cannot be tuned"),
    "outside": ({"momentum": {"min": 0.5, "max": 1.5}}, "momentum: 1.5: Input should be less than or equal to 1"),
    "upside down": ({"momentum": {"min": 0.9, "max": 0.5}}, "momentum: min 0.9 is not below max 0.5"),
    "one value": ({"optimizer": ["adam"]}, "leaves nothing to choose"),
    "twice": ({"optimizer": ["adam", "adam"]}, "names a value twice"),
    "no choice": ({"optimizer": ["adam", "lion"]}, "optimizer: 'lion': Input should be 'adam'"),
    "zero": ({"learning_rate": {"min": 0, "max": 0.1, "scale": "log"}}, "has no logarithm"),
    "scale": ({"momentum": {"min": 0, "max": 0.1, "scale": "cubic"}}, "scale 'cubic' is neither log nor linear"),
    "no bound": ({"momentum": {"min": 0.1}}, "momentum: expected"),
    "no effect": ({"rho": {"min": 0.5, "max": 0.9}}, "rho has no effect with optimizer adam"),
    "numbers of a name": ({"optimizer": {"min": 1, "max": 2}}, "optimizer: expected a list of values"),
    "list of sizes": ({"batch_size": [4, 8]}, "batch_size: expected"),
    "step": ({"image_size": {"min": 64, "max": 100}}, "expected|multiple of 32"),
    "no preset": ({"image_size": "managed"}, "image_size has no range of the name managed"),
    "nothing": ({}, "there is nothing to tune"),
    "not an object": ([1], "expected an object of ranges"),
    "two lists": (
        {"momentum": [0.1, 0.2], "ContinuousParameterRanges": [{"Name": "momentum", "MinValue": 0, "MaxValue": 1}]},
        "momentum has two ranges",
    ),
    "scaling": (
        {"ContinuousParameterRanges": [{"Name": "momentum", "ScalingType": "ReverseLogarithmic"}]},
        "ScalingType 'ReverseLogarithmic' is not one of",
    ),
}


@pytest.mark.parametrize(("given", "said"), REFUSED.values(), ids=REFUSED)
def test_a_range_that_makes_no_sense_is_one_line(given: Any, said: str):
    with pytest.raises(ValueError, match=said) as caught:
        read(given)
    assert "\n" not in str(caught.value)


def test_what_is_no_json_says_where():
    with pytest.raises(ValueError, match="expected default, managed or a JSON object .* column"):
        parse_ranges('{"momentum": ', OWN)


def test_a_study_is_set_by_flat_names_beside_those_of_the_run():
    given = ["epochs=3", "tuning_trials=7", 'tuning_ranges={"momentum": [0.5, 0.9], "optimizer": ["sgd", "nesterov"]}']
    values = parse_settings([*given, "tuning_warm_start=a, b"], tuning_fields())
    config, tuning = parse_tuning(values | {"training": "t", "output": "o"})
    assert (config.hyperparameters.epochs, tuning.trials, tuning.warm_start) == (3, 7, ("a", "b"))
    assert (tuning.measure, tuning.is_loss) == ("AP", False)


def test_the_managed_objective_is_the_localization_loss():
    tuning = TuningConfig(objective="validation:localization_loss")
    assert (tuning.measure, tuning.is_loss) == ("val_localization_loss", True)


def test_a_wrong_range_among_the_settings_is_a_usage_error():
    with pytest.raises(UsageError, match="tuning_ranges=.*'eps' is called epsilon here"):
        parse_settings(['tuning_ranges={"eps": [1, 2]}'], tuning_fields())
