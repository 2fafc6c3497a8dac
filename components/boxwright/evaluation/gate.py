"""The quality gate: what a measured model must reach before it may be registered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from boxwright.config import Gate
from boxwright.errors import some
from boxwright.evaluation.format_records import FormatRecord, FormatsSummary
from boxwright.evaluation.gate_records import LATENCY, GateCheck, GateReport, Verdict
from boxwright.evaluation.records import CocoMetrics, EvaluationSummary, Metrics, Speed

_PASSING = ("passed", "no champion")
_SHOWN_CLASSES = 5
_GUESSING_ADVICE = (
    "the report has pictures of what is taken for what; a larger image_size, more epochs or a lower learning_rate may "
    "help, or joining classes that nobody needs apart; gate_classes_told_apart=False lets such a model pass"
)


def check_gate(
    evaluation: EvaluationSummary,
    gate: Gate,
    formats: FormatsSummary | None = None,
    on_loss: Literal["drop", "fail"] = "drop",
) -> GateReport:
    """Holds an evaluation against the gate.

    Whatever the bounds are, a model fails whose answers are not numbers, that detects nothing at all, that never
    answers with one of the classes that the images have, that gives classes each other's names, or whose AP was
    not measured; and, unless the gate says otherwise, one that names a class no better than by chance.

    Args:
        evaluation: what was measured.
        gate: the bounds.
        formats: that the model was written in.
        on_loss: what becomes of a format that lost too much, or that there is not: `drop` passes and says so.
    """
    metrics, per_class = evaluation.metrics, evaluation.per_class
    return GateReport(
        checks=(
            *_answers(metrics, per_class),
            *_swapped(evaluation.swapped, len(per_class)),
            *_told_apart(evaluation, gate.classes_told_apart),
            _explained(_at_least("AP50", metrics.get("AP50"), gate.min_ap50), evaluation.errors),
            _at_least("AP", metrics.get("AP"), gate.min_ap),
            *(_class_floor(name, bound, per_class) for name, bound in gate.min_ap50_per_class.items()),
            *_champion(evaluation, gate.must_beat_champion),
            *_class_losses(evaluation, gate.max_class_loss),
            *_latency(evaluation.speed, gate.max_latency_ms),
            *(_format(one, gate.max_export_loss, on_loss) for one in (formats.formats if formats else ())),
        ),
        told_apart=evaluation.told_apart,
    )


def _answers(metrics: Metrics, per_class: Mapping[str, CocoMetrics]) -> Iterator[GateCheck]:
    """Whether the model answers at all: in numbers, with detections, with every class."""
    if broken := metrics.get("not_finite_images"):
        note = (
            f"on {broken} of {metrics.get('images', broken)} images the model answers NaN or infinity: training has "
            "diverged, lower learning_rate"
        )
        yield _failed("detections", None, 1, "not a number", note)
        return
    if "detections" not in metrics:
        return
    count = metrics["detections"]
    if not count:
        note = "train longer, or check learning_rate and the seed model"
        yield _failed("detections", 0, 1, "nothing detected", note)
        return
    yield GateCheck(name="detections", value=count, bound=1, passed=True, verdict="passed")
    asked = [name for name, one in per_class.items() if one.boxes]
    missing = [name for name in asked if not per_class[name].detections]
    if missing:
        note = f"never detected: {', '.join(missing)}; does training have enough boxes of them?"
        yield _failed("classes detected", len(asked) - len(missing), len(asked), "classes missing", note)
    elif asked:
        yield GateCheck(name="classes detected", value=len(asked), bound=len(asked), passed=True, verdict="passed")


def _swapped(swapped: Mapping[str, str], classes: int) -> Iterator[GateCheck]:
    if swapped:
        named = ", ".join(f"{name} are named {other}" for name, other in swapped.items())
        note = f"objects of {named}; do the label maps of dataset and seed have the same order?"
        yield _failed("classes in place", classes - len(swapped), classes, "classes swapped", note)


def _told_apart(evaluation: EvaluationSummary, is_required: bool) -> Iterator[GateCheck]:
    """Whether each class is told from the others better than by chance; classes with swapped names are not."""
    judged = {name: one for name, one in evaluation.told_apart.items() if name not in evaluation.swapped}
    guessed = [name for name, one in judged.items() if one.verdict == "guessed"]
    unsure = [name for name, one in judged.items() if one.verdict == "too few boxes"]
    if not judged:
        return
    verdict: Verdict = "too few boxes" if len(unsure) == len(judged) else "passed"
    notes = [f"too few boxes are placed right to say: {some(unsure)}"] if unsure else []
    if guessed:
        verdict = "classes guessed" if is_required else "not required"
        notes = [f"{name} is no better than guessing: {judged[name].evidence()}" for name in guessed]
        del notes[_SHOWN_CLASSES:]
        if len(guessed) > len(notes):
            notes.append(f"and so are {some(guessed[len(notes) :])}")
        if is_required:
            notes.append(_GUESSING_ADVICE)
    yield GateCheck(
        name="classes told apart",
        value=len(judged) - len(guessed),
        bound=len(judged),
        passed=not guessed or not is_required,
        verdict=verdict,
        note="; ".join(notes),
    )


def _explained(check: GateCheck, errors: Mapping[str, float]) -> GateCheck:
    """With the kind of error that costs most, which tells swapped classes from boxes in wrong places."""
    if check.verdict != "too low" or not any(errors.values()):
        return check
    kind = max(errors, key=lambda name: errors[name])
    return check.model_copy(update={"note": f"without its {kind} errors it would be {errors[kind]:.2f} higher"})


def _class_floor(name: str, bound: float, per_class: Mapping[str, CocoMetrics]) -> GateCheck:
    if name not in per_class:
        note = f"there is no such class; the model's are {', '.join(per_class)}"
        return _failed(f"AP50 of {name}", None, bound, "not measured", note)
    return _at_least(f"AP50 of {name}", per_class[name].AP50, bound)


def _champion(evaluation: EvaluationSummary, margin: float | None) -> Iterator[GateCheck]:
    if margin is None:
        return
    name, champion = "AP above champion", evaluation.champion
    if champion is None:
        yield GateCheck(name=name, value=None, bound=margin, passed=True, verdict="no champion")
        return
    if champion.problem:
        yield _failed(name, None, margin, "not measured", f"{champion.reference}: {champion.problem}")
        return
    found = evaluation.comparison.metrics.get("AP") if evaluation.comparison else None
    check = _at_least(name, found.difference if found else None, margin)
    if check.verdict == "too low":
        check = check.model_copy(update={"verdict": "worse than champion"})
    if found and found.low is not None and not check.passed:
        note = (
            f"{champion.reference} has AP {found.champion:.4f}, this model {found.candidate:.4f}; 95 % "
            f"interval of the difference {found.low:+.4f} to {found.high:+.4f}"
        )
        check = check.model_copy(update={"note": note})
    yield check


def _class_losses(evaluation: EvaluationSummary, bound: float | None) -> Iterator[GateCheck]:
    """Whether a class that the champion knows is found as well as before; one without boxes cannot be told."""
    name, champion = "AP lost by a class", evaluation.champion
    if bound is None:
        return
    if champion is None:
        yield GateCheck(name=name, value=None, bound=bound, at_most=True, passed=True, verdict="no champion")
        return
    known = evaluation.comparison.per_class if evaluation.comparison else {}
    losses = {one: -found.difference for one, found in known.items() if found.difference is not None}
    if champion.problem or not losses:
        note = f"{champion.reference}: {champion.problem or 'the evaluation images have no boxes of its classes'}"
        yield _failed(name, None, bound, "not measured", note).model_copy(update={"at_most": True})
        return
    for one, loss in losses.items():
        passed = loss <= bound
        note = (
            "" if passed else f"AP {known[one].candidate:.4f} beside {known[one].champion:.4f} of {champion.reference}"
        )
        yield GateCheck(
            name=f"AP lost by {one}", value=loss, bound=bound, at_most=True, passed=passed,
            verdict="passed" if passed else "too high", note=note,
        )  # fmt: skip


def _latency(speed: Speed | None, bound: float | None) -> Iterator[GateCheck]:
    if bound is None:
        return
    value = speed.latency_ms if speed else None
    check = _at_least(LATENCY, value, bound)
    if value is None or check.value is None:
        yield check.model_copy(update={"at_most": True})
        return
    verdict: Verdict = "passed" if check.value <= bound else "too high"
    note = "" if verdict == "passed" else "take a smaller image_size or model_id, or a faster machine"
    yield GateCheck(
        name=check.name, value=value, bound=bound, at_most=True, passed=verdict == "passed", verdict=verdict, note=note
    )


def _format(record: FormatRecord, bound: float, on_loss: str) -> GateCheck:
    """Whether an export is as good as the model; one that nobody asked for by name never fails."""
    loss = record.measured.loss if record.measured else None
    is_good = record.status == "kept" and loss is not None and loss <= bound
    passed = is_good or on_loss == "drop" or record.status == "left out"
    verdict: Verdict = "passed"
    if not is_good:
        failed: Verdict = "not measured" if loss is None else "too high"
        verdict = "left out" if passed else failed
    return GateCheck(
        name=f"AP lost as {record.name}",
        value=loss,
        bound=bound,
        at_most=True,
        passed=passed,
        verdict=verdict,
        note=record.reason,
    )


def _at_least(name: str, value: Any, bound: float) -> GateCheck:
    if value is None:
        return _failed(name, None, bound, "not measured", "do the evaluation images have boxes?")
    if not isinstance(value, int | float) or not math.isfinite(value):
        return _failed(name, None, bound, "not a number", "training has diverged, lower learning_rate")
    verdict: Verdict = "passed" if value >= bound else "too low"
    return GateCheck(name=name, value=value, bound=bound, passed=verdict in _PASSING, verdict=verdict)


def _failed(name: str, value: float | None, bound: float, verdict: Verdict, note: str) -> GateCheck:
    return GateCheck(name=name, value=value, bound=bound, passed=False, verdict=verdict, note=note)
