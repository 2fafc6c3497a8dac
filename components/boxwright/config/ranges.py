"""The ranges that tuning looks for hyperparameters in: those that there are, and how people write their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from boxwright.config.fields import Frozen
from boxwright.config.hyperparameters import OPTIMIZER_SETTINGS, Hyperparameters
from boxwright.errors import did_you_mean, shorten

Value = bool | int | float | str
_FACTOR = 10.0
_FORMS = (
    '{"min": 0.001, "max": 0.1}, with "scale": "log" or "linear" if wanted, or a list of values, "managed" or "default"'
)


class NumberRange(Frozen):
    """Numbers from `low` to `high`, both included.

    Attributes:
        log: draw their logarithms evenly.
        whole: whole numbers alone.
        step: what whole numbers lie apart, counted from `low`; logarithmic ones have 1.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: Annotated[int, Field(ge=1)] = 1


class Choices(Frozen):
    """One of several values."""

    values: tuple[Value, ...]


Range = NumberRange | Choices
Ranges = Mapping[str, Range]


@dataclass(frozen=True)
class Tunable:
    """A hyperparameter that can be tuned.

    Attributes:
        managed: the range that the managed algorithm documents.
        log: draw it by its logarithm where nothing else is said.
        default: the range where people give none, made from the hyperparameters as they are; None: not tuned then.
    """

    managed: Range | None = None
    log: bool = False
    default: Callable[[Hyperparameters], Range] | None = None


def _numbers(low: float, high: float, log: bool = False, whole: bool = False) -> NumberRange:
    return NumberRange(low=low, high=high, log=log, whole=whole)


def _choices(*values: Value) -> Choices:
    return Choices(values=values)


# In the order in which they are chosen: the optimizer says which others have an effect, and the size what fits.
# Ten times less and ten times more than what the model id comes with; half and twice of its batch.
TUNABLE: Mapping[str, Tunable] = {
    "optimizer": Tunable(_choices(*OPTIMIZER_SETTINGS), default=lambda own: _choices("adam", "nesterov")),
    "image_size": Tunable(),
    "learning_rate": Tunable(
        _numbers(1e-6, 0.5, log=True),
        log=True,
        default=lambda own: _numbers(own.learning_rate / _FACTOR, min(own.learning_rate * _FACTOR, 1.0), log=True),
    ),
    "batch_size": Tunable(
        _numbers(8, 512, log=True, whole=True),
        log=True,
        default=lambda own: _numbers(max(own.batch_size // 2, 1), own.batch_size * 2, log=True, whole=True),
    ),
    "momentum": Tunable(_numbers(0.0, 0.999), default=lambda own: _numbers(0.8, 0.98)),
    "beta_1": Tunable(_numbers(1e-6, 0.999)),
    "beta_2": Tunable(_numbers(1e-6, 0.999)),
    "epsilon": Tunable(_numbers(1e-8, 1.0, log=True), log=True),
    "initial_accumulator_value": Tunable(_numbers(0.0, 0.999)),
    "rho": Tunable(),
    "train_only_on_top_layer": Tunable(_choices(True, False)),
    "weight_decay": Tunable(log=True, default=lambda own: _choices(0.0, 1e-5, 1e-4, 1e-3)),
    "augmentation": Tunable(default=lambda own: _choices("flip", "standard")),
    "learning_rate_schedule": Tunable(default=lambda own: _choices("cosine", "constant")),
    "freeze_batch_norm": Tunable(),
    "backbone_learning_rate_multiplier": Tunable(),
    "warmup_epochs": Tunable(),
}
# Names of the managed algorithm's page, or near at hand, that are not those of the hyperparameters.
_OTHER_NAMES = {
    "eps": "epsilon",
    "regularizers_l2": "weight_decay",
    "schedule": "learning_rate_schedule",
    "learning_rate_multiplier": "backbone_learning_rate_multiplier",
}
_IMAGE_STEP = 32
# The managed service's lists, and how it says which scale.
_LISTS = ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges")
_SCALES = {"Auto": None, "Linear": "linear", "Logarithmic": "log"}


def parse_ranges(text: str, own: Hyperparameters, kept: Sequence[str] = ()) -> dict[str, Range]:
    """The ranges that a text gives, by hyperparameter, the optimizer first.

    Args:
        text: `default`, `managed`, or a JSON object of ranges; the managed service's `ParameterRanges` too.
        own: the hyperparameters as they are without tuning.
        kept: hyperparameters that people have set, which `default` and `managed` leave as they are.

    Raises:
        ValueError: on one line: a range is unknown, makes no sense or holds nothing.
    """
    if text in ("default", "managed"):
        found = {name: _preset(text, name, own) for name in TUNABLE if name not in kept and _has(text, name)}
        optimizers = _optimizers(found, own)
        ranges = {name: one for name, one in found.items() if uses(name, optimizers)}
    else:
        ranges = {name: _read(name, given, own) for name, given in _entries(text).items()}
        _check_used(ranges, own)
    if not ranges:
        raise ValueError(f"there is nothing to tune; give at least one of {', '.join(TUNABLE)}")
    return {name: ranges[name] for name in TUNABLE if name in ranges}


def uses(name: str, optimizers: Sequence[str]) -> bool:
    """Whether a hyperparameter has an effect with one of the optimizers at least."""
    owners = [optimizer for optimizer, names in OPTIMIZER_SETTINGS.items() if name in names]
    return not owners or any(optimizer in owners for optimizer in optimizers)


def check_value(name: str, value: Any) -> Value:
    """A value of a hyperparameter, of its type; texts are read.

    Raises:
        ValueError: the hyperparameter does not take it.
    """
    field = Hyperparameters.model_fields[name]
    try:
        checked: Value = TypeAdapter(Annotated[field.annotation, field]).validate_python(value)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ValueError(f"{name}: {shorten(value)}: {error.errors()[0]['msg']}") from None
    if checked is None:
        raise ValueError(f"{name}: {shorten(value)} is not a value to try")
    return checked


def _has(preset: str, name: str) -> bool:
    row = TUNABLE[name]
    return (row.managed if preset == "managed" else row.default) is not None


def _preset(preset: str, name: str, own: Hyperparameters) -> Range:
    row = TUNABLE[name]
    found = row.managed if preset == "managed" else row.default and row.default(own)
    if found is None:
        raise ValueError(f"{name} has no range of the name {preset}; expected {_FORMS}")
    return found


def _optimizers(ranges: Ranges, own: Hyperparameters) -> list[str]:
    chosen = ranges.get("optimizer")
    return [str(value) for value in chosen.values] if isinstance(chosen, Choices) else [own.optimizer]


def _check_used(ranges: Ranges, own: Hyperparameters) -> None:
    optimizers = _optimizers(ranges, own)
    for name in ranges:
        if not uses(name, optimizers):
            owners = [optimizer for optimizer, names in OPTIMIZER_SETTINGS.items() if name in names]
            raise ValueError(
                f"{name} has no effect with optimizer {' or '.join(optimizers)}: leave it out, or add one of "
                f"{', '.join(owners)} to the range of optimizer"
            )


def _entries(text: str) -> dict[str, Any]:
    """The ranges given for each hyperparameter, with the managed service's lists turned into our own form."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"expected default, managed or a JSON object such as "
            f'{{"learning_rate": {{"min": 0.0001, "max": 0.01}}}}, got {shorten(text)} ({error})'
        ) from None
    if not isinstance(found, dict):
        raise ValueError(f"expected an object of ranges by hyperparameter, got {shorten(text)}")
    entries: list[tuple[Any, Any]] = [(name, given) for name, given in found.items() if name not in _LISTS]
    for name in _LISTS:
        entries += [_of_the_service(name, one) for one in found.get(name, [])]
    names = [name for name, _ in entries]
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} has two ranges; leave one")
    return dict(entries)


def _of_the_service(list_name: str, entry: Any) -> tuple[Any, Any]:
    """One entry of a list of the managed service."""
    if not isinstance(entry, dict) or not isinstance(entry.get("Name"), str):
        raise ValueError(f"{list_name}: expected objects with a Name, got {shorten(entry)}")
    if list_name.startswith("Categorical"):
        return entry["Name"], entry.get("Values", [])
    scaling = entry.get("ScalingType", "Auto")
    if scaling not in _SCALES:
        raise ValueError(f"{shorten(entry['Name'])}: ScalingType {shorten(scaling)} is not one of {', '.join(_SCALES)}")
    bounds = {"min": entry.get("MinValue"), "max": entry.get("MaxValue")}
    return entry["Name"], bounds | ({"scale": _SCALES[scaling]} if _SCALES[scaling] else {})


def _read(name: Any, given: Any, own: Hyperparameters) -> Range:
    """One range as people write it."""
    if name not in TUNABLE:
        raise ValueError(_unknown(str(name)))
    if isinstance(given, str) and given in ("default", "managed"):
        return _preset(given, name, own)
    if isinstance(given, list):
        return _read_choices(name, given)
    if isinstance(given, dict) and {"min", "max"} <= set(given) <= {"min", "max", "scale", "step"}:
        return _read_numbers(name, given)
    raise ValueError(f"{name}: expected {_FORMS}, got {shorten(given)}")


def _unknown(name: str) -> str:
    if name in _OTHER_NAMES:
        return f"{shorten(name)} is called {_OTHER_NAMES[name]} here"
    if name == "epochs":
        return "epochs is what a trial may cost, not what it is tuned in: set it with --set epochs=N"
    why = "cannot be tuned" if name in Hyperparameters.model_fields else "is unknown"
    return f"{shorten(name)} {why}{did_you_mean(name, TUNABLE)}; those that can be are {', '.join(TUNABLE)}"


def _kind(name: str) -> type:
    """The type of a hyperparameter's values: `int`, `float`, or `str` where they are names or switches."""
    default = Hyperparameters.model_fields[name].default
    return int if name == "image_size" else type(default) if type(default) in (int, float) else str


def _read_choices(name: str, given: list[Any]) -> Choices:
    if _kind(name) is int:
        raise ValueError(f'{name}: expected {{"min": ..., "max": ...}}, since too large a value has to be left out')
    values = [check_value(name, value) for value in given]
    if len(set(values)) < len(values):
        raise ValueError(f"{name}: {shorten(given)} names a value twice")
    if len(values) < 2:
        raise ValueError(f"{name}: {shorten(given)} leaves nothing to choose; give two values, or set it with --set")
    return Choices(values=tuple(values))


def _read_numbers(name: str, given: Mapping[str, Any]) -> NumberRange:
    kind = _kind(name)
    if kind is str:
        raise ValueError(f"{name}: expected a list of values, got {shorten(given)}")
    low, high = (float(check_value(name, given[end])) for end in ("min", "max"))
    if low >= high:
        raise ValueError(f"{name}: min {given['min']} is not below max {given['max']}")
    scale = given.get("scale", "log" if TUNABLE[name].log and low > 0 else "linear")
    if scale not in ("log", "linear"):
        raise ValueError(f"{name}: scale {shorten(scale)} is neither log nor linear")
    if scale == "log" and low <= 0:
        raise ValueError(f"{name}: min {given['min']} has no logarithm; give more than 0, or scale linear")
    step = given.get("step", _IMAGE_STEP if name == "image_size" else 1)
    if step != 1 and (kind is float or scale == "log"):
        raise ValueError(f"{name}: only whole numbers of a linear scale have a step")
    if not isinstance(step, int) or step < 1 or (kind is int and (high - low) % step):
        raise ValueError(f"{name}: step {shorten(step)} does not lead from {given['min']} to {given['max']}")
    return NumberRange(low=low, high=high, log=scale == "log", whole=kind is int, step=step)
