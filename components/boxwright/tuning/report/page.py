"""The report of a study: one HTML file without scripts, written anew whenever a trial has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from boxwright.config import Value
from boxwright.reporting import render
from boxwright.storage import write_atomic
from boxwright.tuning import Finalist, Outcome, Trial, TrialState, signed
from boxwright.tuning.report.charts import draw_charts

# Not that of an evaluation, beside which it is published.
REPORT_PAGE = "tuning.html"
TRIAL_TITLES = ("Trial", "State", "Objective", "Curve", "Epochs", "Minutes", "Settings", "Why")
FINALIST_TITLES = ("Configuration", "AP", "AP by seed", "To the defaults", "Interval", "Settings")
# Width and height of a trial's curve in the table, in pixels.
_WIDTH, _HEIGHT = 90, 24


def write_report(folder: Path, outcome: Outcome, importance: Mapping[str, float], basis: str, is_loss: bool) -> None:
    """Writes `tuning.html`, which loads nothing from anywhere.

    Args:
        folder: where to write.
        outcome: what the study has come to.
        importance: of each setting for the objective, which add up to one; empty where too little is known.
        basis: which values of which trials they are of, in words.
        is_loss: whether lower is better.
    """
    best = best_trial(outcome.trials, is_loss)
    page = render(
        __name__.rpartition(".")[0],
        "tuning.html",
        outcome=outcome,
        best=best,
        counts=_counts(outcome.trials),
        tiles=_tiles(outcome, best),
        trial_titles=TRIAL_TITLES,
        trial_rows=[trial_row(one) for one in outcome.trials],
        curves={f"{one.number}": _points(one, outcome.trials) for one in outcome.trials},
        size=(_WIDTH, _HEIGHT),
        finalist_titles=FINALIST_TITLES,
        finalist_rows=[finalist_row(one) for one in outcome.proof.finalists] if outcome.proof else [],
        charts=draw_charts(outcome, importance, basis, is_loss),
        settings=[(name, shown(value)) for name, value in outcome.chosen.items()],
    )
    write_atomic(folder / REPORT_PAGE, page)


def best_trial(trials: Sequence[Trial], is_loss: bool) -> Trial | None:
    """The best of the trials that came to their end, the earlier of equal ones."""
    done = [one for one in trials if one.state is TrialState.COMPLETE and one.value is not None]
    sign = 1 if is_loss else -1
    return min(done, key=lambda one: (sign * (one.value or 0.0), one.number), default=None)


def trial_row(trial: Trial) -> list[str]:
    """A row in the order of `TRIAL_TITLES`; the curve is drawn by the page."""
    return [
        f"{trial.number}",
        trial.state.value,
        "-" if trial.value is None else f"{trial.value:.4f}",
        f"{trial.number}",
        f"{trial.epochs}",
        f"{trial.seconds / 60:.1f}",
        ", ".join(f"{name}={shown(value)}" for name, value in trial.settings.items()),
        trial.reason or "",
    ]


def finalist_row(finalist: Finalist) -> list[str]:
    """A row in the order of `FINALIST_TITLES`."""
    known = finalist.low is not None and finalist.high is not None
    return [
        finalist.name,
        "-" if finalist.mean is None else f"{finalist.mean:.4f}",
        ", ".join(f"{value:.4f} ({seed})" for seed, value in zip(finalist.seeds, finalist.AP, strict=False)),
        "-" if finalist.difference is None else signed(finalist.difference),
        f"{signed(finalist.low or 0.0)} to {signed(finalist.high or 0.0)}" if known else finalist.problem or "-",
        ", ".join(f"{name}={shown(value)}" for name, value in finalist.settings.items()),
    ]


def shown(value: Value) -> str:
    """A value in few digits."""
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"


def _counts(trials: Sequence[Trial]) -> str:
    """The number of trials in each state."""
    counted = [(sum(one.state is state for one in trials), state.value) for state in TrialState]
    return ", ".join(f"{count} {state}" for count, state in counted if count)


def _tiles(outcome: Outcome, best: Trial | None) -> list[tuple[str, str]]:
    spent = sum(one.seconds for one in outcome.trials)
    first = next((one for one in outcome.trials if one.number == 0 and one.value is not None), None)
    tiles = [(f"{len(outcome.trials)}", "trials"), (f"{spent / 3600:.2f}", "hours of training")]
    if best is not None:
        tiles.append((f"{best.value:.4f}", f"{outcome.objective} of the best, trial {best.number}"))
    if first is not None:
        tiles.append((f"{first.value:.4f}", f"{outcome.objective} of the defaults, trial 0"))
    return tiles


def _points(trial: Trial, trials: Sequence[Trial]) -> str:
    """A trial's curve as the points of an SVG line, on the scale of all trials."""
    values = [value for one in trials for value in one.curve.values()]
    last = max((epochs for one in trials for epochs in one.curve), default=1)
    low, high = min(values, default=0.0), max(values, default=1.0)
    height = (high - low) or 1.0
    return " ".join(
        f"{2 + (_WIDTH - 4) * epochs / last:.1f},{_HEIGHT - 2 - (_HEIGHT - 4) * (value - low) / height:.1f}"
        for epochs, value in sorted(trial.curve.items())
    )
