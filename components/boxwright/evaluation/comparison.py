"""Candidate against champion on the same images: differences, and how sure they are. By hotcoco."""

from __future__ import annotations

from typing import Any

from boxwright.evaluation.metrics import Measurement
from boxwright.evaluation.records import Comparison, Difference

CONFIDENCE = 0.95
SAMPLES, LEAST_SAMPLES = 1000, 100
# A sample costs about a second for half a million detections: beyond this many in all, fewer are drawn.
_BUDGET = 50_000_000
_NAMES = {"AP": "AP", "AP50": "AP50", "AP75": "AP75", "AR100": "AR100"}


def compare(champion: Measurement, candidate: Measurement, name: str, seed: int = 0) -> Comparison:
    """Compares two measurements of the same split.

    Args:
        champion: of the model to beat.
        candidate: of the new one.
        name: how the champion is called.
        seed: of the samples.
    """
    import hotcoco

    larger = max(len(champion.detections), len(candidate.detections), 1)
    samples = max(LEAST_SAMPLES, min(SAMPLES, _BUDGET // larger))
    first, second = (_slim(one) for one in (champion, candidate))
    found = hotcoco.compare(first, second, n_bootstrap=samples, seed=seed, confidence=CONFIDENCE)
    before, after = champion.metrics, candidate.metrics
    return Comparison(
        champion=name,
        metrics={
            ours: _difference(getattr(before, ours), getattr(after, ours), found["ci"][theirs])
            for ours, theirs in _NAMES.items()
        },
        per_class={
            class_name: _difference(before.per_class[class_name].AP, metrics.AP)
            for class_name, metrics in after.per_class.items()
        },
        samples=samples,
        images=found["num_images"],
    )


def _slim(measurement: Measurement) -> Any:
    """An evaluator of all that is compared and no more: boxes by size would be drawn anew in every sample."""
    evaluation = measurement.truth.evaluator(measurement.results)
    evaluation.params.area_rng, evaluation.params.area_rng_lbl = [[0.0, 1e10]], ["all"]
    evaluation.evaluate()
    return evaluation


def _difference(before: float | None, after: float | None, interval: dict[str, float] | None = None) -> Difference:
    known = before is not None and after is not None
    interval = (interval or {}) if known else {}
    return Difference(
        champion=before,
        candidate=after,
        difference=after - before if known else None,  # type: ignore[operator]
        low=interval.get("lower"),
        high=interval.get("upper"),
        better=interval.get("prob_positive"),
    )
