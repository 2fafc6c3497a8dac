"""Airflow's trigger form, made from the same models that the command line and the docs use.

The form is flat: every field of `RunConfig` and every hyperparameter has its own name, those of the other sections have
a prefix. A hyperparameter left empty means "the model's own default", which is why none of them has a default here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from airflow.sdk import Param, Variable
from pydantic import BaseModel

from boxwright.airflow_api import VARIABLES
from boxwright.config import (
    SAMPLE_URI,
    SECTIONS,
    SPLITS,
    STUDY_NAME,
    TUNING_PREFIX,
    BatchInferenceConfig,
    Hyperparameters,
    RunConfig,
    TuningConfig,
    flat_names,
    nest_settings,
    parse_config,
    parse_record,
)
from boxwright.model import MODELS, ModelSpec
from boxwright.pipeline import GPU_POOL
from boxwright_airflow.allowed import allowed_here

RUN_DEFAULTS = {name: field.default for name, field in RunConfig.model_fields.items() if not field.is_required()}

_DATA = ("training", "validation", "test", "annotations_file", "output")
_BASIC = ("epochs", "batch_size", "learning_rate", "optimizer", "image_size", "augmentation", "early_stopping", "seed")
# Title in the form of each section whose fields carry a prefix.
_TITLES = {
    "data_validation": "Data validation",
    "evaluation": "Evaluation",
    "gate": "Quality gate",
    "export": "Export",
    "storage": "Storage",
}
# What JSON schema and pydantic spell alike, and Airflow's form understands.
_RULES = (
    "type", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"
)  # fmt: skip

_NAMED_MODELS = 2
# A trial is a task here, and the proof alone starts trainings of its own.
_PARALLEL = (
    "Number of trainings of the proof at a time, each in a process of its own. Of trials, as many run at a time as the "
    f"pool `{GPU_POOL}` has slots, one with `make up`, and the Airflow Variable `boxwright_tuning_parallel` says."
)
# The param that names a study.
STUDY = "study"


def run_params() -> dict[str, Param]:
    """The DAG's params by name, in the order and sections of the form."""
    fields = [name for name in RunConfig.model_fields if name not in SECTIONS]
    advanced = [name for name in Hyperparameters.model_fields if name not in _BASIC]
    return {
        **{name: _run_param(name, "Data") for name in _DATA},
        **{name: _run_param(name, "Model") for name in fields if name not in _DATA},
        **{name: _hyperparameter(name, "Hyperparameters: basic") for name in _BASIC},
        **{name: _hyperparameter(name, "Hyperparameters: advanced") for name in advanced},
        **{
            flat: _section_param(section, name, flat)
            for flat, (section, name) in flat_names().items()
            if section in _TITLES
        },
    }


def config_from_params(params: Mapping[str, Any]) -> RunConfig:
    """The run that a filled form asks for; None and empty text stand for "not set".

    Raises:
        UsageError: naming every unknown, missing or invalid parameter.
    """
    return parse_config(nest_settings({name: value for name, value in params.items() if value not in (None, "")}))


def tuning_params() -> dict[str, Param]:
    """The params of a tuning by name: those of the run that is tuned, and those of the study."""
    return {
        **run_params(),
        STUDY: Param(
            None,
            type=["string", "null"],
            pattern=f"^{STUDY_NAME}$",
            title="Study",
            description_md="Name of the study; one that is there goes on. When empty: the run's own.",
            section="Tuning",
        ),
        **{f"{TUNING_PREFIX}{name}": _tuning_param(name) for name in TuningConfig.model_fields},
    }


def tuning_from_params(params: Mapping[str, Any]) -> TuningConfig:
    """The tuning that a filled form asks for; None and empty text stand for "not set".

    Raises:
        UsageError: naming every invalid parameter.
    """
    known = {
        name.removeprefix(TUNING_PREFIX): value for name, value in params.items() if name.startswith(TUNING_PREFIX)
    }
    return parse_record(TuningConfig, {name: value for name, value in known.items() if value not in (None, "")})


def without_tuning(params: Mapping[str, Any]) -> dict[str, Any]:
    """The params of the run that is tuned."""
    return {name: value for name, value in params.items() if name != STUDY and not name.startswith(TUNING_PREFIX)}


def _tuning_param(name: str) -> Param:
    field = TuningConfig.model_fields[name]
    if name == "warm_start":
        schema: dict[str, Any] = {"type": "string"}
        return _param(None, _nullable(schema), f"{TUNING_PREFIX}{name}", "Tuning", f"{field.description} One a comma.")
    schema = _schema(TuningConfig, name)
    schema = schema if field.default is not None else _nullable(schema)
    text = _PARALLEL if name == "parallel" else str(field.description)
    return _param(field.default, schema, f"{TUNING_PREFIX}{name}", "Tuning", text)


def batch_inference_params() -> dict[str, Param]:
    """The params of batch inference by name, in the order of `BatchInferenceConfig`."""
    return {name: _batch_inference_param(name) for name in BatchInferenceConfig.model_fields}


def batch_inference_config(params: Mapping[str, Any]) -> BatchInferenceConfig:
    """The settings of a filled form of batch inference; None and empty text stand for "not set".

    Raises:
        UsageError: naming every unknown, missing or invalid parameter.
        NotAllowedError: an administrator's list lacks what they name.
    """
    config = parse_record(BatchInferenceConfig, {name: value for name, value in params.items() if value != ""})
    allowed_here().check(config)
    return config


def _batch_inference_param(name: str) -> Param:
    field, schema = BatchInferenceConfig.model_fields[name], _schema(BatchInferenceConfig, name)
    text = str(field.description)
    if field.is_required():
        # Without null the form marks it, and sends nothing while it is empty.
        return _param("", schema, name, "Data", f"{text} Required.")
    schema = schema if field.default is not None else _nullable(schema)
    return _param(field.default, schema, name, "Model", text)


def _run_param(name: str, section: str) -> Param:
    field = RunConfig.model_fields[name]
    schema = _schema(RunConfig, name)
    if name == "model_id":
        schema["enum"] = list(MODELS)
    text = str(field.description)
    if name in SPLITS and (sample := os.environ.get(SAMPLE_URI)):
        schema["examples"] = [f"{sample}/{name}"]
        text += f" For example {sample}/{name}."
    if name == "training_machines":
        text += f" Each needs a slot of the pool `{GPU_POOL}`; `make up` gives it one."
    if name in VARIABLES:
        return _required_param(name, schema, section, text)
    default = None if field.is_required() else field.default
    return _param(default, schema if default is not None else _nullable(schema), name, section, text)


def _required_param(name: str, schema: dict[str, Any], section: str, text: str) -> Param:
    """A param that has to be filled in unless an Airflow Variable holds what is taken instead."""
    variable = VARIABLES[name]
    if value := Variable.get(variable, default=None):
        text += f" When empty: {value}, from the Airflow Variable `{variable}`."
        return _param(None, _nullable(schema), name, section, text)
    text += f" Required, unless the Airflow Variable `{variable}` is set."
    # Airflow refuses a schedule beside a param that must not be null and is.
    return _param("", schema, name, section, text)


def _hyperparameter(name: str, section: str) -> Param:
    field = Hyperparameters.model_fields[name]
    own: dict[str, list[str]] = {}
    for model, spec in MODELS.items():
        if (value := _own_default(spec, name)) is not None:
            own.setdefault(str(value), []).append(model)
    defaults = [f"{value} ({_few(models)})" for value, models in own.items()]
    if field.default is not None and sum(map(len, own.values())) < len(MODELS):
        defaults.append(f"{field.default} otherwise" if own else str(field.default))
    text = f"{field.description} When empty: {', '.join(defaults)}."
    return _param(None, _nullable(_schema(Hyperparameters, name)), name, section, text)


def _few(models: list[str]) -> str:
    more = f" and {len(models) - _NAMED_MODELS} more" if len(models) > _NAMED_MODELS else ""
    return ", ".join(models[:_NAMED_MODELS]) + more


def _own_default(spec: ModelSpec, name: str) -> Any:
    return spec.image_size if name == "image_size" else spec.defaults.get(name)


def _section_param(section: str, name: str, flat_name: str) -> Param:
    model = SECTIONS[section]
    field, schema = model.model_fields[name], _schema(model, name)
    schema = schema if field.default is not None else _nullable(schema)
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    return _param(default, schema, flat_name, _TITLES[section], str(field.description))


def _param(default: Any, schema: dict[str, Any], name: str, section: str, text: str) -> Param:
    title = name.replace("_", " ").capitalize()
    # Airflow's form draws code as chips that cover the lines above and below.
    return Param(default, **schema, title=title, description_md=text.replace("`", "**"), section=section)


def _schema(model: type[BaseModel], name: str) -> dict[str, Any]:
    found = _properties(model)[name]
    typed = next((choice for choice in found.get("anyOf", ()) if choice["type"] != "null"), found)
    schema = {rule: typed[rule] for rule in _RULES if rule in typed}
    if schema["type"] == "array":
        # Of an array with examples, Airflow's form draws a list to choose from.
        schema["examples"] = list(typed["items"]["enum"])
    return _TOGGLE if schema["type"] == "boolean" else schema


@cache
def _properties(model: type[BaseModel]) -> dict[str, Any]:
    """The schemas of a model's fields; not to be changed. Every process that parses the DAG asks for each of them."""
    return dict(model.model_json_schema()["properties"])


# Airflow's form draws the first type; JSON's own true and false are taken, and the words that `--set` takes. With
# several types it draws a text, unless there are examples.
_TOGGLE = {"type": ["boolean", "string"], "pattern": "^(True|False)$", "examples": ["True", "False"]}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    choices = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [*types, "null"]} | choices
