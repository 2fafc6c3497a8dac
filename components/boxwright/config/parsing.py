"""Reads settings from the flat lists that people write, and tells every mistake in one line.

A run's settings have one flat list of names: the fields of `RunConfig`, the hyperparameters, and the fields of the
other sections with a prefix, as `gate_min_ap`. `--set NAME=VALUE` of all commands and Airflow's trigger form use it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from boxwright.config.run import SECTIONS, RunConfig
from boxwright.config.settings import BEAM_ARGS
from boxwright.config.tuning import TuningConfig
from boxwright.errors import UsageError, did_you_mean, shorten

Model = TypeVar("Model", bound=BaseModel)

# Sections whose fields carry a prefix in the flat list.
PREFIXES = {
    "data_validation": "validation_",
    "evaluation": "evaluation_",
    "export": "export_",
    "gate": "gate_",
    "storage": "storage_",
}
# Before the settings of a study, beside those of the run that it tunes.
TUNING_PREFIX = "tuning_"

# Settings of earlier releases that a run no longer has.
_OF_THE_ADMINISTRATOR = {"beam_pipeline_args": f"the workers' environment variable {BEAM_ARGS}"}
# Begins the list of valid names at the end of a problem.
_LISTED = "; valid names are "


def flat_names() -> dict[str, tuple[str | None, str]]:
    """The section and the field of every setting of a run by its flat name; None for fields of `RunConfig` itself."""
    names: dict[str, tuple[str | None, str]] = {
        name: (None, name) for name in RunConfig.model_fields if name not in SECTIONS
    }
    for section, model in SECTIONS.items():
        names |= {f"{PREFIXES.get(section, '')}{name}": (section, name) for name in model.model_fields}
    return names


def run_fields() -> dict[str, FieldInfo]:
    """The definition of every setting of a run by its flat name."""
    return {
        flat: (SECTIONS[section] if section else RunConfig).model_fields[name]
        for flat, (section, name) in flat_names().items()
    }


def tuning_fields() -> dict[str, FieldInfo]:
    """The definition of every setting of a tuning by its flat name: those of a run, and those of the study."""
    return run_fields() | {f"{TUNING_PREFIX}{name}": field for name, field in TuningConfig.model_fields.items()}


def parse_tuning(values: Mapping[str, Any]) -> tuple[RunConfig, TuningConfig]:
    """The run that is tuned, and how, from values by flat name.

    Raises:
        UsageError: naming all unknown or invalid fields.
    """
    known = {
        name.removeprefix(TUNING_PREFIX): value for name, value in values.items() if name.startswith(TUNING_PREFIX)
    }
    others = {name: value for name, value in values.items() if not name.startswith(TUNING_PREFIX)}
    return parse_config(nest_settings(others)), parse_record(TuningConfig, known)


def parse_settings(settings: Iterable[str], fields: Mapping[str, FieldInfo], source: str = "--set") -> dict[str, Any]:
    """Values by name from `NAME=VALUE` texts, each of the type of its field; a name given twice has its last value.

    Args:
        settings: what `--set` was given.
        fields: the valid names and their definitions: `run_fields()`, or the fields of one record.
        source: what a message calls the place that they come from.

    Raises:
        UsageError: naming every unknown name and invalid value.
    """
    values: dict[str, Any] = {}
    problems = []
    for setting in settings:
        name, equals, text = setting.partition("=")
        try:
            if not equals:
                problems.append(f"expected NAME=VALUE, got {shorten(setting)}{_listed(fields)}")
            elif name not in fields:
                problems.append(unknown_name(name, fields))
            else:
                values[name] = _adapter(fields[name]).validate_python(text)
        except ValidationError as error:
            problems += [f"{shorten(setting)[1:-1]}: {problem['msg']}" for problem in error.errors()]
    if problems:
        raise UsageError(f"{source}: {_joined(problems)}")
    return values


def parse_settings_file(data: bytes, name: str, fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """Values by name from a file of settings, a JSON object of flat names, each of the type of its field.

    Args:
        data: the content of the file.
        name: what to call the file in an error.
        fields: the valid names and their definitions.

    Raises:
        UsageError: it is not such an object, or naming every unknown name and invalid value.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: expected a JSON object of settings by name, got no JSON ({error})") from None
    if not isinstance(found, dict):
        raise UsageError(f"{name}: expected a JSON object of settings by name, got {shorten(found)}")
    values: dict[str, Any] = {}
    problems = []
    for setting, value in found.items():
        try:
            if setting not in fields:
                problems.append(unknown_name(setting, fields))
            else:
                values[setting] = _adapter(fields[setting]).validate_python(value)
        except ValidationError as error:
            problems += [f"{setting}={shorten(value)}: {problem['msg']}" for problem in error.errors()]
    if problems:
        raise UsageError(f"{name}: {_joined(problems)}")
    return values


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]


def nest_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by flat name, as `RunConfig` nests them.

    Raises:
        UsageError: naming every unknown name.
    """
    places = flat_names()
    if unknown := sorted(set(values) - set(places)):
        raise UsageError(_joined(unknown_name(name, places) for name in unknown))
    nested: dict[str, Any] = {section: {} for section in SECTIONS}
    for flat, value in values.items():
        section, name = places[flat]
        (nested[section] if section else nested)[name] = value
    return nested


def unknown_name(name: str, valid: Iterable[str]) -> str:
    """The message for a name that does not exist: the nearest valid one, and all of them."""
    if name in _OF_THE_ADMINISTRATOR:
        return f"{name} is not a setting of a run: it decides where code runs, so {_OF_THE_ADMINISTRATOR[name]} sets it"
    listed = _listed(names := sorted(valid))
    if name in flat_names() and (here := _within_a_section(name, names)) is None:
        return f"{name} is a setting of a run, which `boxwright run` and `trigger` take, and not of this{listed}"
    elif name in flat_names():
        return f"{name} is called {here} here{listed}"
    return f"{name} is unknown{did_you_mean(name, names)}{listed}"


def _listed(valid: Iterable[str]) -> str:
    return f"{_LISTED}{', '.join(sorted(valid))}"


def _joined(problems: Iterable[str]) -> str:
    """All problems in one line; a list of valid names that ends several of them ends the last of these alone."""
    joined: list[str] = []
    listed = set()
    for problem in reversed([*problems]):
        text, _, names = problem.partition(_LISTED)
        joined.append(text if names in listed else problem)
        listed.add(names)
    return "; ".join(reversed(joined))


def _within_a_section(flat: str, valid: Iterable[str]) -> str | None:
    """The name of a run's setting where only its section is asked for: `on_invalid` for validation_on_invalid."""
    _, name = flat_names()[flat]
    return name if name in valid else None


def parse_config(values: dict[str, Any]) -> RunConfig:
    """Builds a `RunConfig`, turning every mistake into one line that names the field and what is valid.

    `None` stands for "not set" at any depth, as Airflow's trigger form sends it.

    Raises:
        UsageError: naming all unknown or invalid fields.
    """
    return parse_record(RunConfig, values)


def parse_record(model: type[Model], values: dict[str, Any]) -> Model:
    """Builds any record of the configuration; see `parse_config`."""
    try:
        return model.model_validate(_without_none(values))
    except ValidationError as error:
        raise UsageError(_joined(_explain(problem, model) for problem in error.errors())) from None


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _explain(problem: Any, model: type[BaseModel]) -> str:
    *path, name = (shorten(str(part))[1:-1] for part in problem["loc"])
    full = ".".join([*path, name])
    if problem["type"] == "extra_forbidden":
        owner = SECTIONS.get(path[0], model) if path else model
        prefix = "".join(f"{part}." for part in path)
        return prefix + unknown_name(name, owner.model_fields)
    if problem["type"] == "missing":
        return f"{full} is required: {model.model_fields[full].description}"
    return f"{full}={shorten(problem['input'])}: {problem['msg']}"
