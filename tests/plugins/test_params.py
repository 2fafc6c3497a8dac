"""The trigger form says what the config says, and refuses what the config refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import ParamValidationError

from boxwright.airflow_api.trigger import VARIABLES
from boxwright.config import SAMPLE_URI, SECTIONS, SPLITS, Hyperparameters, RunConfig, parse_config
from boxwright.config.parsing import PREFIXES, run_fields
from boxwright.errors import UsageError
from boxwright.model.catalogue import MODELS
from boxwright_airflow.run_settings import batch_inference_params, config_from_params, run_params, tuning_params

REQUIRED = {"training": "s3://b/data", "output": "s3://b/out"}


def filled(**values: Any) -> dict[str, Any]:
    """What a task sees when a person fills `values` in, after Airflow's own validation."""
    params = run_params()
    assert set(values) <= set(params)
    return {name: param.resolve(values.get(name, param.value)) for name, param in params.items()}


def test_every_setting_is_in_the_form_once_under_its_own_name() -> None:
    own = set(RunConfig.model_fields) - set(SECTIONS)
    prefixed = {prefix + name for section, prefix in PREFIXES.items() for name in SECTIONS[section].model_fields}
    assert not own & set(Hyperparameters.model_fields)
    assert not prefixed & (own | set(Hyperparameters.model_fields))
    assert set(run_params()) == own | set(Hyperparameters.model_fields) | prefixed


def test_every_param_explains_itself_in_its_section() -> None:
    sections: dict[str, list[str]] = {}
    for name, param in run_params().items():
        assert param.schema["title"] and param.schema["description_md"], name
        assert param.schema["type"], name
        sections.setdefault(param.schema["section"], []).append(name)
    of_hyperparameters = ["Hyperparameters: basic", "Hyperparameters: advanced"]
    assert list(sections)[:4] == ["Data", "Model", *of_hyperparameters]
    assert {"Data validation", "Evaluation", "Quality gate"} < set(sections)
    assert sections["Data"] == ["training", "validation", "test", "annotations_file", "output"]
    assert sections["Quality gate"] == [
        "gate_min_ap50", "gate_min_ap", "gate_min_ap50_per_class", "gate_classes_told_apart",
        "gate_must_beat_champion", "gate_max_class_loss", "gate_max_latency_ms", "gate_max_export_loss",
        "gate_on_failure",
    ]  # fmt: skip
    assert "epochs" in sections["Hyperparameters: basic"] and "rho" in sections["Hyperparameters: advanced"]


def test_the_form_can_be_sent_as_json_and_is_valid_as_it_comes() -> None:
    for name, param in run_params().items():
        assert json.loads(json.dumps(param.schema)) == param.schema
        assert param.resolve() == param.value, name


def test_an_untouched_form_sets_nothing_but_what_the_config_sets_itself() -> None:
    config = config_from_params(filled(**REQUIRED))
    assert config == parse_config(REQUIRED)
    assert config.hyperparameters.model_fields_set == set()


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("epochs", ["20 (gfl-efficientnet-lite0-320, gfl-efficientnet-lite0-224 and ", "2 (tiny)"]),
        ("freeze_batch_norm", ["Auto."]),
        ("image_size", ["320 (gfl-efficientnet-lite0-320", "128 (tiny)"]),
        ("learning_rate", ["0.002 (gfl-", "0.0001 (dfine-nano, dfine-small and 2 more)", "0.001 otherwise."]),
    ],
)
def test_what_an_empty_hyperparameter_stands_for_is_told(name: str, defaults: list[str]) -> None:
    param = run_params()[name]
    assert param.value is None
    told = param.schema["description_md"].partition("When empty: ")[2]
    assert told.startswith(defaults[0]) and all(default in told for default in defaults)


def test_the_required_ones_are_marked_and_tell_their_variable() -> None:
    """Airflow's form marks what must not be null; a schedule beside it needs a default that is not."""
    for name, variable in VARIABLES.items():
        param = run_params()[name]
        assert (param.value, param.schema["type"]) == ("", "string")
        assert f"Required, unless the Airflow Variable **{variable}** is set." in param.schema["description_md"]
    with pytest.raises(UsageError, match="training is required"):
        config_from_params(filled(output="s3://b/out"))


def test_batch_inference_marks_what_it_cannot_do_without() -> None:
    params = batch_inference_params()
    marked = {name for name, param in params.items() if param.schema["type"] == "string" and param.value == ""}
    assert marked == {"images", "output"}


def test_what_a_variable_holds_is_not_required_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_OUTPUT_URI", "s3://b/runs")
    param = run_params()["output"]
    assert (param.value, param.schema["type"]) == (None, ["string", "null"])
    told = "When empty: s3://b/runs, from the Airflow Variable **boxwright_output_uri**."
    assert told in param.schema["description_md"]


def test_the_splits_of_the_sample_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "examples" not in run_params()["training"].schema
    monkeypatch.setenv(SAMPLE_URI, "s3://b/sample")
    for split in SPLITS:
        schema = run_params()[split].schema
        assert schema["examples"] == [f"s3://b/sample/{split}"]
        assert f"For example s3://b/sample/{split}." in schema["description_md"]


def test_no_code_in_a_description_which_would_cover_the_lines_around_it() -> None:
    for name, param in {**tuning_params(), **batch_inference_params()}.items():
        assert "`" not in param.schema["description_md"], name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tuning_parallel", "as many run at a time as the pool **gpu** has slots, one with **make up**, and"),
        ("training_machines", "Each needs a slot of the pool **gpu**; **make up** gives it one."),
    ],
)
def test_what_the_pool_has_to_hold_is_told(name: str, said: str) -> None:
    assert said in tuning_params()[name].schema["description_md"]


def test_what_is_true_or_false_is_a_choice() -> None:
    """Airflow's form draws a toggle for the first type, or a list where there is an enum and no boolean comes first."""
    params = run_params()
    toggles = {name for name, field in run_fields().items() if field.annotation is bool}
    assert {"early_stopping", "train_only_on_top_layer", "force", "approve", "gate_classes_told_apart"} <= toggles
    for name in toggles:
        schema = params[name].schema
        assert schema["type"][0] == "boolean" and schema["examples"] == ["True", "False"], name
        # An unset toggle looks like one that is off.
        assert params[name].value is not None or not run_fields()[name].default, name
        assert not any(spec.defaults.get(name) for spec in MODELS.values()), name
    for name in ("freeze_batch_norm", "reinitialize_top_layer", "mixed_precision", "jit_compile", "horizontal_flip"):
        assert params[name].schema["type"] == ["string", "null"]
        assert params[name].schema["enum"] == ["Auto", "True", "False", None]


def test_formats_are_a_list_to_choose_from() -> None:
    """Airflow's form draws one for an array that has examples."""
    param = run_params()["export_formats"]
    assert (param.schema["type"], param.value) == ("array", ["saved_model", "litert:float32"])
    assert {"saved_model", "litert", "openvino:float16"} <= set(param.schema["examples"])


def test_model_ids_are_a_choice() -> None:
    assert run_params()["model_id"].schema["enum"] == list(MODELS)


VALID = [
    ("epochs", 7), ("learning_rate", 0.5), ("learning_rate", 1), ("optimizer", "sgd"), ("early_stopping", True),
    ("early_stopping", "True"), ("early_stopping", False), ("freeze_batch_norm", "False"), ("image_size", 320),
    ("reinitialize_top_layer", "Auto"), ("reinitialize_top_layer", "True"), ("validation_split", 0.3), ("seed", 0),
    ("epsilon", 1e-8), ("warmup_epochs", 0.5), ("augmentation", "none"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), VALID)
def test_a_valid_hyperparameter_reaches_the_config(name: str, value: Any) -> None:
    config = config_from_params(filled(**REQUIRED, **{name: value}))
    assert config == parse_config(REQUIRED | {"hyperparameters": {name: value}})
    assert config.hyperparameters.model_fields_set == {name}


INVALID = [
    ("epochs", 0), ("epochs", 1.5), ("epochs", "many"), ("learning_rate", 1.1), ("learning_rate", -0.1),
    ("optimizer", "adamw"), ("early_stopping", "maybe"), ("early_stopping", "yes"), ("nms", "yes"),
    ("freeze_batch_norm", "yes"), ("early_stopping", 3), ("image_size", 100),
    ("image_size", 4096), ("reinitialize_top_layer", "auto"), ("validation_split", 0), ("validation_split", 1),
    ("validation_bbox_format", "yolo"), ("validation_on_invalid", "ignore"), ("validation_max_drop_share", 2),
    ("validation_min_boxes_per_class", 1.5), ("validation_severities", "off"),
    ("gradient_clip_norm", -1), ("seed", -1), ("gate_min_ap50", 1.5), ("gate_min_ap", None), ("model_id", "yolo"),
    ("seed_mode", "newest"), ("model_name", "a b"), ("annotations_file", "a/b.json"), ("training", 5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_a_wrong_value_is_refused_before_the_run_is_made(name: str, value: Any) -> None:
    with pytest.raises(ParamValidationError):
        run_params()[name].resolve(value)


def test_a_whole_config_round_trips() -> None:
    config = parse_config(
        REQUIRED
        | {"validation": "s3://b/val", "test": "s3://b/test", "annotations_file": "labels.json", "model_id": "tiny"}
        | {"model_name": "parts", "seed_mode": "incremental", "parent": "models:/parts/3"}
        | {"hyperparameters": {"epochs": 3, "optimizer": "sgd", "early_stopping": True, "image_size": 96}}
        | {"gate": {"min_ap50": 0.4, "min_ap": 0.2, "must_beat_champion": -0.01, "min_ap50_per_class": {"bolt": 0.1}}}
        | {"evaluation": {"voc": True, "gallery_images": 3}}
        | {"data_validation": {"bbox_format": "auto", "severities": {"box_duplicate": "off"}}}
        | {"export": {"formats": ["onnx", "litert:float16"], "on_loss": "fail"}}
    )
    values = config.model_dump(exclude=set(SECTIONS))
    values |= config.hyperparameters.model_dump(exclude_unset=True)
    for section, prefix in PREFIXES.items():
        values |= {prefix + name: value for name, value in getattr(config, section).model_dump(mode="json").items()}
    again = config_from_params(filled(**values))
    assert again == config
    assert again.hyperparameters.model_fields_set == {"epochs", "optimizer", "early_stopping", "image_size"}


def test_empty_text_is_not_set() -> None:
    assert config_from_params(REQUIRED | {"validation": "", "parent": ""}) == parse_config(REQUIRED)


@pytest.mark.parametrize("name", ["epoch", "min_ap50", "hyperparameters", "gate", "gate_ap"])
def test_an_unknown_name_is_refused_with_the_valid_ones(name: str) -> None:
    with pytest.raises(UsageError, match=rf"^{name} is unknown.*; valid names are annotations_file, .*gate_min_ap50"):
        config_from_params(REQUIRED | {name: 3})


def test_a_missing_dataset_is_named() -> None:
    with pytest.raises(UsageError, match="training is required"):
        config_from_params({"output": "s3://b/out"})
