"""The settings that a study can try: ranges, those that have an effect together, and what is left out."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from boxwright.config import (
    Choices,
    Hyperparameters,
    NumberRange,
    Range,
    RunConfig,
    TuningConfig,
    Value,
    check_value,
    parse_config,
    parse_ranges,
    uses,
)
from boxwright.errors import UsageError
from boxwright.model import hyperparameters_of, model_spec

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution

# Hyperparameters of one trial by name.
TrialSettings = Mapping[str, Value]
# Of the batch that memory did not suffice for: what is near it would not fit either.
_SAFE_SHARE = 0.5


@dataclass(frozen=True)
class Space:
    """The hyperparameters that a study tunes.

    Attributes:
        own: the hyperparameters as they are without tuning.
        ranges: of those that are tuned, in the order in which they are chosen.
    """

    own: Hyperparameters
    ranges: Mapping[str, Range]

    @property
    def defaults(self) -> dict[str, Value]:
        """The settings as they are, of all that is tuned and has an effect."""
        return self.complete({})

    def complete(self, settings: TrialSettings) -> dict[str, Value]:
        """Settings of another study: those that this one tunes, and its defaults for all others that have an effect."""
        chosen: dict[str, Value] = {}
        for name in self.ranges:
            if self.is_used(name, chosen):
                chosen[name] = settings.get(name, getattr(self.own, name))
        return chosen

    def is_used(self, name: str, chosen: TrialSettings) -> bool:
        """Whether a setting has an effect beside those that are chosen already; the optimizer is the first."""
        return uses(name, [str(chosen.get("optimizer", self.own.optimizer))])

    def suggest(self, trial: Trial, memory_limit: float | None = None) -> dict[str, Value]:
        """The settings that a trial's sampler proposes.

        Args:
            trial: of Optuna; what is chosen already stays.
            memory_limit: input values of a batch, images times pixels, that memory did not suffice for.
        """
        chosen: dict[str, Value] = {}
        for name, values in self.ranges.items():
            if not self.is_used(name, chosen):
                continue
            if isinstance(values, Choices):
                chosen[name] = check_value(name, trial.suggest_categorical(name, values.values))
            elif values.whole:
                low, high = int(values.low), self.highest(name, values, chosen, memory_limit)
                chosen[name] = trial.suggest_int(name, low, high, step=values.step, log=values.log)
            else:
                chosen[name] = trial.suggest_float(name, values.low, values.high, log=values.log)
        return chosen

    def highest(self, name: str, values: NumberRange, chosen: TrialSettings, memory_limit: float | None) -> int:
        """The highest value of a range of whole numbers that memory may suffice for, its lowest one at least."""
        if name != "batch_size" or memory_limit is None:
            return int(values.high)
        fitting = math.floor(_SAFE_SHARE * memory_limit / self.pixels(chosen))
        return int(min(max(fitting, values.low), values.high))

    def pixels(self, chosen: TrialSettings) -> int:
        """Pixels of an input image."""
        size = chosen.get("image_size", self.own.image_size)
        return int(size or 1) ** 2

    def batch_values(self, chosen: TrialSettings) -> float:
        """Images times pixels of a batch, which its memory grows with."""
        return float(int(chosen.get("batch_size", self.own.batch_size)) * self.pixels(chosen))

    def is_smallest(self, chosen: TrialSettings) -> bool:
        """Whether no smaller batch can be tried."""
        values = self.ranges.get("batch_size")
        return not isinstance(values, NumberRange) or int(chosen["batch_size"]) <= int(values.low)

    def distribution(self, name: str) -> BaseDistribution:
        """The range of a setting as Optuna has it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        values = self.ranges[name]
        if isinstance(values, Choices):
            return CategoricalDistribution(values.values)
        if values.whole:
            return IntDistribution(int(values.low), int(values.high), log=values.log, step=values.step)
        return FloatDistribution(values.low, values.high, log=values.log)

    def inside(self, settings: TrialSettings) -> dict[str, Value]:
        """The settings that lie within their ranges, from which a sampler can learn."""
        return {name: value for name, value in settings.items() if _is_in(self.ranges[name], value)}

    def grid(self, seed: int) -> list[dict[str, Value]]:
        """Every combination of choices, and of the ends and the middle of numbers, without repetition, shuffled."""
        found = {}
        for combined in itertools.product(*(_points(values) for values in self.ranges.values())):
            settings = self.complete(dict(zip(self.ranges, combined, strict=True)))
            found[json.dumps(settings, sort_keys=True)] = settings
        combinations = [*found.values()]
        random.Random(seed).shuffle(combinations)  # noqa: S311 - an order
        return combinations


def space_of(config: RunConfig, tuning: TuningConfig) -> Space:
    """The space of a study.

    Raises:
        UsageError: a range makes no sense for this model id.
    """
    own, spec = hyperparameters_of(config), model_spec(config.model_id)
    own = own.model_copy(update={"image_size": own.image_size or spec.image_size})
    try:
        ranges = parse_ranges(tuning.ranges, own, sorted(config.hyperparameters.model_fields_set))
    except ValueError as error:
        raise UsageError(f"tuning_ranges: {error}") from None
    sizes = ranges.get("image_size")
    if isinstance(sizes, NumberRange):
        for number in (sizes.low, sizes.high, sizes.low + sizes.step):
            spec.check_size(int(number))
    return Space(own, ranges)


def tuned(config: RunConfig, settings: TrialSettings) -> RunConfig:
    """The run with these hyperparameters in place of its own."""
    values = json.loads(config.to_json())
    checked = {name: check_value(name, value) for name, value in settings.items()}
    return parse_config(values | {"hyperparameters": values.get("hyperparameters", {}) | checked})


def measured_often(config: RunConfig, tuning: TuningConfig) -> RunConfig:
    """The run with its validation AP measured, where trials are compared by it and the model id does not ask for it.

    Raises:
        UsageError: a person has turned it off.
    """
    own = hyperparameters_of(config)
    if tuning.is_loss or own.validation_ap_epochs:
        return config
    if "validation_ap_epochs" in config.hyperparameters.model_fields_set:
        raise UsageError(
            f"validation_ap_epochs=0 leaves tuning_objective={tuning.objective} unmeasured: set it to 1 or more, or "
            "tuning_objective=val_loss"
        )
    return tuned(config, {"validation_ap_epochs": max(1, own.epochs // 5)})


def _is_in(values: Range, value: Value) -> bool:
    if isinstance(values, Choices):
        return any(type(one) is type(value) and one == value for one in values.values)
    number = float(value)
    on_step = not values.whole or (number - values.low) % values.step == 0
    return values.low <= number <= values.high and on_step


def _points(values: Range) -> Sequence[Value]:
    return values.values if isinstance(values, Choices) else [*dict.fromkeys(_ends_and_middle(values))]


def _ends_and_middle(values: NumberRange) -> Iterator[Value]:
    low, high = values.low, values.high
    middle = math.sqrt(low * high) if values.log else (low + high) / 2
    for number in (low, middle, high):
        yield int(low + round((number - low) / values.step) * values.step) if values.whole else number
