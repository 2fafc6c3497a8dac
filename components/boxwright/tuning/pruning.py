"""Early ends of trials: successive halving without waiting for others (ASHA, arxiv.org/abs/1810.05934)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optuna import Study
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from boxwright.config import Hyperparameters, TuningConfig

# One in so many goes on at each rung, and each rung is so many times as far as the one before.
REDUCTION = 3
# Values by the number of epochs that a trial had trained.
Curve = Mapping[int, float]


def make_pruner(tuning: TuningConfig, own: Hyperparameters) -> BasePruner:
    """The pruner that the settings name."""
    if tuning.pruner == "asha":
        return AsynchronousHalving(1 if tuning.is_loss else max(1, min(own.validation_ap_epochs, own.epochs)))
    if tuning.pruner == "median":
        return MedianPruner(n_startup_trials=REDUCTION)
    return NopPruner()


class AsynchronousHalving(BasePruner):
    """Ends a trial at a rung, epochs `first`, `3 first`, `9 first` ..., where it is not in the best third there.

    Optuna's notes on a trial that it has passed a rung before it says whether it may. A trial that is killed in between
    and goes on would then pass all that it should have ended at; here the measurements alone decide.

    Args:
        first: epochs of the first rung.
    """

    def __init__(self, first: int) -> None:
        self._first = first

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial ends after its last measurement."""
        others = [one.intermediate_values for one in study.get_trials(deepcopy=False) if one.number != trial.number]
        is_loss = study.direction == StudyDirection.MINIMIZE
        return is_outpaced(trial.intermediate_values, others, self._first, is_loss)


def is_outpaced(own: Curve, others: Sequence[Curve], first: int, is_loss: bool = False) -> bool:
    """Whether a trial is not in the best third at a rung that its last measurement has reached.

    Where fewer than three have come as far, it goes on.

    Args:
        own: its measurements.
        others: those of the other trials.
        first: epochs of the first rung.
        is_loss: whether lower is better.
    """
    if not own:
        return False
    *before, last = sorted(own)
    rung = first
    while rung <= last:
        if not before or before[-1] < rung:
            mine = own[last]
            there = [value for curve in others if (value := at_rung(curve, rung)) is not None]
            better = sum(value < mine if is_loss else value > mine for value in there)
            if len(there) + 1 >= REDUCTION and better >= (len(there) + 1) // REDUCTION:
                return True
        rung *= REDUCTION
    return False


def at_rung(curve: Curve, rung: int) -> float | None:
    """The first measurement at a rung or behind it; None where the trial did not come so far."""
    reached = [epochs for epochs in curve if epochs >= rung]
    return curve[min(reached)] if reached else None
