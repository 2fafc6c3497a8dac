"""Whether settings gain: the best of a study against the defaults, over test images and fresh seeds.

Each sample of the bootstrap draws images, the same for all, and for each configuration seeds, both with replacement.
Few seeds drawn again scatter less than seeds do, by (n - 1) / n of the variance; their scatter is widened by that
(arxiv.org/abs/2103.03098 on why seeds belong into it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boxwright.config import Value
from boxwright.evaluation import Resampled, draw_images
from boxwright.tuning.records import Finalist, Proof, Trial, signed

if TYPE_CHECKING:
    from boxwright.tuning.study import Study

DEFAULTS = 0
CONFIDENCE = 0.95
SAMPLES = 1000
_CANDIDATES = 2


def candidates(study: Study) -> list[Trial]:
    """The best two trials that were better than that of the defaults, or all that ended where that one failed."""
    ranked = study.ranked()
    place = next((place for place, one in enumerate(ranked) if one.number == DEFAULTS), len(ranked))
    different: dict[str, Trial] = {}
    for one in ranked[:place]:
        if one.settings != study.space.defaults:
            different.setdefault(repr(sorted(one.settings.items())), one)
    return [*different.values()][:_CANDIDATES]


def fresh_seeds(first: int, count: int) -> list[int]:
    """Seeds that no trial was trained with, since all have the run's own.

    Args:
        first: the run's.
        count: of seeds.
    """
    return [first + 1 + number for number in range(count)]


def differences(
    defaults: Sequence[Resampled], others: Sequence[Resampled], samples: int = SAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """AP of a configuration less that of the defaults in each bootstrap sample, `(samples,)`.

    Args:
        defaults: their measurements, one a seed, on the same images as the others.
        others: those of the configuration.
        samples: to draw.
        seed: of the samples.
    """
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(samples):
        counts = draw_images(defaults[0].images, generator)
        values = [_mean_of_seeds([one.ap(counts) for one in side], generator) for side in (others, defaults)]
        if None not in values:
            found.append(values[0] - values[1])  # type: ignore[operator]
    return np.array(found)


def _mean_of_seeds(values: Sequence[float | None], generator: np.random.Generator) -> float | None:
    known = np.array([value for value in values if value is not None])
    if len(known) < len(values):
        return None
    count = len(known)
    drawn = known[generator.integers(0, count, count)].mean()
    widened = np.sqrt(count / (count - 1)) if count > 1 else 1.0
    return float(known.mean() + widened * (drawn - known.mean()))


def prove(finalists: Sequence[Finalist], measured: Mapping[str, Sequence[Resampled]], samples: int = SAMPLES) -> Proof:
    """The proof, from what the trainings of each configuration found on the test images.

    Args:
        finalists: the defaults first; a configuration with a problem has no measurements.
        measured: by name of the configuration, one a seed.
        samples: to draw.
    """
    defaults = measured[finalists[0].name]
    others = [one for one in finalists[1:] if one.problem is None]
    # 95 % sure of all of them together.
    tails = 100 * (1 - CONFIDENCE) / max(len(others), 1) / 2
    judged = {finalists[0].name: finalists[0].model_copy(update={"AP": _aps(defaults)})}
    for one in others:
        drawn = differences(defaults, measured[one.name], samples)
        low, high = np.percentile(drawn, [tails, 100 - tails])
        own = _aps(measured[one.name])
        difference = float(np.mean(own) - np.mean(judged[finalists[0].name].AP))
        update = {"AP": own, "difference": difference, "low": float(low), "high": float(high)}
        judged[one.name] = one.model_copy(update=update)
    shown = [judged.get(one.name, one) for one in finalists]
    winner = max((one for one in shown if one.gains), key=lambda one: one.difference or 0.0, default=shown[0])
    return Proof(
        finalists=shown,
        images=defaults[0].images,
        samples=samples,
        confidence=CONFIDENCE,
        winner=winner.name,
        verdict=_verdict(shown, winner),
    )


def unproven(defaults: Mapping[str, Value], why: str) -> Proof:
    """The outcome where there is nothing to compare: the defaults."""
    finalist = Finalist(name="defaults", settings=dict(defaults), seeds=[])
    return Proof(
        finalists=[finalist],
        images=0,
        samples=0,
        confidence=CONFIDENCE,
        winner=finalist.name,
        verdict=f"no gain: {why}",
    )


def _aps(measured: Sequence[Resampled]) -> list[float]:
    return [one.ap() or 0.0 for one in measured]


def _gain(one: Finalist) -> str:
    """A configuration's difference to the defaults, with its interval."""
    low, high = (signed(end or 0.0) for end in (one.low, one.high))
    return f"{one.name} {'gains' if one.gains else 'is at'} {signed(one.difference or 0.0)} ({low} to {high})"


def _verdict(finalists: Sequence[Finalist], winner: Finalist) -> str:
    if winner.gains:
        return f"{_gain(winner)} AP on the test images, over images and seeds"
    held = [_gain(one) for one in finalists[1:] if one.difference is not None]
    failed = [f"{one.name}: {one.problem}" for one in finalists[1:] if one.problem]
    return f"no gain shown: {'; '.join([*held, *failed])}; the defaults win"
