"""Samplers that propose a trial's settings. Each trial has a seed of its own, so that no state is kept between two."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from boxwright.config import TuningConfig

# Trials at random before a model is made of them: studies have tens, not hundreds.
STARTUP_TRIALS = 6


def make_sampler(tuning: TuningConfig) -> BaseSampler:
    """The sampler that the settings name; a grid's trials are given theirs, so that it samples nothing."""
    kinds: dict[str, Callable[[int], BaseSampler]] = {"tpe": _tpe, "cmaes": _cmaes}
    return SeededSampler(kinds.get(tuning.sampler, lambda seed: RandomSampler(seed=seed)), tuning.seed)


def _tpe(seed: int) -> BaseSampler:
    # Together (multivariate), and apart where settings have an effect with some optimizers only (group).
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(
            seed=seed,
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            group=True,
        )


def _cmaes(seed: int) -> BaseSampler:
    return CmaEsSampler(
        seed=seed, n_startup_trials=STARTUP_TRIALS, warn_independent_sampling=False, independent_sampler=_random(seed)
    )


def _random(seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


class SeededSampler(BaseSampler):
    """Draws each trial's settings by seeds of its own, of each setting its own where they are drawn one by one.

    A sampler of Optuna's goes on from where its random numbers stand in the process. A study that is taken up again, in
    whatever process and after however much of a proposal, then would go another way than one that was not interrupted.

    Args:
        make: makes the sampler of a seed.
        seed: of the study.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._together: BaseSampler | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The settings that are drawn together."""
        self._together = self._of(trial, "")
        return self._together.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draws them."""
        sampler = self._together or self._of(trial, "")
        return sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draws one of the others."""
        return self._of(trial, param_name).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Tells the sampler that a trial begins."""
        self._of(trial, "").before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Tells the sampler that a trial has ended."""
        self._of(trial, "").after_trial(study, trial, state, values)

    def _of(self, trial: FrozenTrial, name: str) -> BaseSampler:
        return self._make(seed_of(self._seed, trial.number, name))


def seed_of(*parts: Any) -> int:
    """A seed of 32 bits that depends on all parts."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big")
