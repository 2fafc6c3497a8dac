"""The weight of each setting in what makes a trial a good one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import optuna
from optuna.trial import TrialState

_ENOUGH_TRIALS = 6


def importance_of(study: optuna.Study) -> tuple[dict[str, float], str]:
    """The share of each setting in what makes a trial one of the best third, the largest first, and of what trials.

    Of the values at the end where enough trials came there, else of the first measurement of each, which pruned
    ones have too; empty where there are too few.
    """
    measured = [one for one in study.get_trials(deepcopy=False) if one.intermediate_values and one.params]
    done = [one for one in measured if one.state == TrialState.COMPLETE]
    if len(done) >= _ENOUGH_TRIALS:
        return _shares(study, {one.number: one.value or 0.0 for one in done}), f"the end of {len(done)} trials"
    if len(measured) < _ENOUGH_TRIALS:
        return {}, ""
    first = {one.number: one.intermediate_values[min(one.intermediate_values)] for one in measured}
    return _shares(study, first), f"the first measurement of {len(first)} trials"


def _shares(study: optuna.Study, values: Mapping[int, float]) -> dict[str, float]:
    """PED-ANOVA of trials by number with these values."""
    copied = optuna.create_study(direction=study.direction)
    for one in study.get_trials(deepcopy=False):
        if one.number in values:
            copied.add_trial(
                optuna.trial.create_trial(params=one.params, distributions=one.distributions, value=values[one.number])
            )
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=1 / 3, evaluate_on_local=False)
    found = optuna.importance.get_param_importances(copied, evaluator=evaluator)
    return {name: value for name, value in found.items() if math.isfinite(value)}
