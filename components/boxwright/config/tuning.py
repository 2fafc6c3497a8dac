"""The configuration of tuning: which hyperparameters are looked for, how, and how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from boxwright.config.fields import Positive, UserSettings
from boxwright.config.hyperparameters import Hyperparameters
from boxwright.config.ranges import parse_ranges

Objective = Literal["AP", "AP50", "AP_rarest", "val_loss", "validation:localization_loss"]
STUDY_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"


def _names(value: object) -> object:
    """Names given as text, one a comma, as a list; any other value unchanged."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _readable(ranges: str) -> str:
    """Refuses ranges that no run can have; what the model id says is asked later."""
    parse_ranges(ranges, Hyperparameters())  # type: ignore[call-arg]
    return ranges


class TuningConfig(UserSettings):
    """Settings of tuning: trials of a study, each a training with hyperparameters of its own."""

    trials: Positive = Field(
        20, description="Number of trials. The first has the settings as they are; more can be asked for later."
    )
    parallel: Positive = Field(1, description="Number of trials at a time, each in a process of its own.")
    objective: Objective = Field(
        "AP",
        description="What the trials are compared by, on the validation images. AP and AP50: higher is better; "
        "AP_rarest: AP of the class with the fewest training boxes; val_loss and validation:localization_loss: lower "
        "is better.",
    )
    sampler: Literal["tpe", "random", "grid", "cmaes"] = Field(
        "tpe",
        description="What proposes settings. tpe: a model of what has been good; random: nothing; grid: each number "
        "at its ends and its middle, with every choice; cmaes: an evolution of numbers, choices at random.",
    )
    pruner: Literal["asha", "median", "none"] = Field(
        "asha",
        description="What ends a trial early. asha: it is not among the best third of those that came as far, asked "
        "at the first measurement and then at thrice the epochs; median: it is worse than the median; none: nothing.",
    )
    max_hours: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Budget in hours: no trial begins when those that have ended took so long together."
    )
    max_image_passes: Positive | None = Field(
        None,
        description="Budget in image passes, training images times epochs: no trial begins when those that have "
        "ended took so many.",
    )
    ranges: Annotated[str, AfterValidator(_readable)] = Field(
        "default",
        description="Hyperparameters to tune, and within what. default: those that matter most, near what the model "
        "comes with; managed: the managed algorithm's documented ranges; or JSON such as "
        '{"learning_rate": {"min": 1e-4, "max": 1e-2}, "optimizer": ["adam", "sgd"], "batch_size": "managed"}.',
    )
    warm_start: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        (), description="Earlier studies, whose best settings are tried right after the settings as they are."
    )
    seed: int = Field(0, ge=0, description="Random seed of what is proposed.")
    proof_seeds: int = Field(
        2,
        ge=2,
        le=20,
        description="Number of fresh seeds that the best two settings, and the settings as they are, are trained with "
        "again for the proof on the test images.",
    )

    @property
    def measure(self) -> str:
        """The objective's name in the history of a training."""
        return "val_localization_loss" if self.objective == "validation:localization_loss" else self.objective

    @property
    def is_loss(self) -> bool:
        """Whether lower is better."""
        return self.measure.endswith("_loss")
