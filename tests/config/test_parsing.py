"""Settings in flat lists: their names, their types, and what is said of mistakes."""

from __future__ import annotations

import pytest

from boxwright.config import (
    SECTIONS,
    RunConfig,
    ServingConfig,
    flat_names,
    nest_settings,
    parse_config,
    parse_settings,
    parse_settings_file,
    run_fields,
)
from boxwright.errors import UsageError

REQUIRED = {"training": "s3://b/t", "output": "s3://b/o"}


def test_every_setting_has_one_flat_name():
    names = flat_names()
    fields = [name for name in RunConfig.model_fields if name not in SECTIONS]
    in_sections = [(section, name) for section, model in SECTIONS.items() for name in model.model_fields]
    assert sorted(names.values(), key=str) == sorted([*((None, name) for name in fields), *in_sections], key=str)
    assert (names["model_id"], names["gate_min_ap"]) == ((None, "model_id"), ("gate", "min_ap"))
    assert set(run_fields()) == set(names)


def test_settings_get_their_own_types():
    given = ["epochs=3", "learning_rate=1e-3", "force=true", "gate_min_ap50=0", "model_name=7", "image_size=64"]
    assert parse_settings(
        [*given, "validation_split=0.5", "validation_severities=box_duplicate=off"], run_fields()
    ) == {
        "epochs": 3,
        "learning_rate": 0.001,
        "force": True,
        "gate_min_ap50": 0.0,
        "model_name": "7",
        "image_size": 64,
        "validation_split": 0.5,
        "validation_severities": {"box_duplicate": "off"},
    }


def test_a_value_may_hold_an_equals_sign_and_the_last_one_counts():
    settings = ["parent=a", "parent=s3://b/x=y.tar.gz"]
    assert parse_settings(settings, run_fields()) == {"parent": "s3://b/x=y.tar.gz"}


def test_flat_values_are_nested_as_the_configuration_has_them():
    flat = {"model_id": "tiny", "force": True, "epochs": 2, "validation_on_invalid": "drop", "storage_region": "eu-1"}
    config = parse_config(nest_settings(REQUIRED | flat))
    assert (config.model_id, config.force, config.hyperparameters.epochs) == ("tiny", True, 2)
    assert (config.data_validation.on_invalid, config.storage.region) == ("drop", "eu-1")


def test_formats_are_a_list_each_with_its_precision_and_once():
    given = parse_settings(["export_formats=litert, saved_model,litert:float32,onnx"], run_fields())
    assert given == {"export_formats": ("litert:float32", "saved_model", "onnx:float32")}
    config = parse_config(nest_settings(REQUIRED | given))
    assert config.export.beside_archive == ("litert:float32", "onnx:float32") and not config.export.is_default
    assert parse_config(REQUIRED).export.is_default
    assert parse_config(nest_settings(REQUIRED | {"export_formats": []})).export.formats == ()
    assert RunConfig.model_validate_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("export_formats=lite", r"expected saved_model, litert:float32, .* got 'lite'"),
        ("export_formats=onnx:float16", "expected saved_model, .* got 'onnx:float16'"),
        ("epoch=3", r"^--set: epoch is unknown \(did you mean epochs\?\); valid names are annotations_file, approve,"),
        ("on_invalid=drop", r"did you mean validation_on_invalid\?"),
        ("xyz=3", "xyz is unknown; valid names are annotations_file"),
        ("hyperparameters=3", "hyperparameters is unknown"),
        ("epochs", "expected NAME=VALUE, got 'epochs'; valid names are annotations_file"),
        ("epochs=0", "epochs=0: Input should be greater than 0"),
        ("image_size=100", "image_size=100: .*multiple of 32"),
        ("seed_mode=always", "seed_mode=always: .*'auto', 'pretrained' or 'incremental'"),
    ],
)
def test_a_mistake_is_named_with_what_is_valid(setting, said):
    with pytest.raises(UsageError, match=said):
        parse_settings([setting], run_fields())


def test_all_mistakes_are_told_at_once():
    with pytest.raises(UsageError, match="epochs=0: .*; max_batch is unknown; expected NAME=VALUE, got 'force'; valid"):
        parse_settings(["epochs=0", "max_batch=1", "force"], run_fields())


def test_the_valid_names_are_listed_once_however_many_names_are_unknown():
    with pytest.raises(UsageError, match=r"^--set: a is unknown; b is unknown; epochs=0: .*; c is unknown") as it:
        parse_settings(["a=1", "b=1", "epochs=0", "c=1"], run_fields())
    assert str(it.value).count("annotations_file") == 1


def test_other_records_are_read_by_the_same_parser():
    assert parse_settings(["max_batch=2"], ServingConfig.model_fields) == {"max_batch": 2}
    with pytest.raises(UsageError, match=r"max_bath is unknown \(did you mean max_batch\?\); valid names are answer_t"):
        parse_settings(["max_bath=2"], ServingConfig.model_fields)


def test_a_file_of_settings_is_an_object_of_flat_names():
    given = parse_settings_file(b'{"epochs": 3, "learning_rate": "1e-3", "gate_min_ap": 0.5}', "f.json", run_fields())
    assert given == {"epochs": 3, "learning_rate": 0.001, "gate_min_ap": 0.5}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "f.json: expected a JSON object of settings by name, got no JSON"),
        (b"[1]", "f.json: expected a JSON object of settings by name, got"),
        (b'{"epoch": 3, "batch_size": 0}', "f.json: epoch is unknown.*did you mean epochs.*; batch_size=0: Input"),
    ],
)
def test_a_file_of_settings_that_is_none_says_what_is_wrong(content: bytes, said: str):
    with pytest.raises(UsageError, match=said):
        parse_settings_file(content, "f.json", run_fields())
