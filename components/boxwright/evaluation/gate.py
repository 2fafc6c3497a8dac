"""The quality gate: what a measured model must reach before it may be registered."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from boxwright.config import Frozen, Gate
from boxwright.errors import GateError
from boxwright.evaluation.format_records import FormatRecord, FormatsSummary
from boxwright.evaluation.records import CocoMetrics, EvaluationSummary, Metrics, Speed, ToldApart
from boxwright.storage import StoredRecord

log = logging.getLogger("boxwright.evaluation")

Verdict = Literal[
    "passed",
    "too low",
    "too high",
    "not a number",
    "not measured",
    "nothing detected",
    "classes missing",
    "classes swapped",
    "classes guessed",
    "too few boxes",
    "not required",
    "worse than champion",
    "no champion",
    "left out",
]
LATENCY = "latency in ms"
_PASSING = ("passed", "no champion")
_SHOWN_CLASSES, _SHOWN_NAMES = 5, 20
_GUESSING_ADVICE = (
    "the report has pictures of what is taken for what; a larger image_size, more epochs or a lower learning_rate may "
    "help, or joining classes that nobody needs apart; gate_classes_told_apart=False lets such a model pass"
)


class GateCheck(Frozen):
    """One check.

    Attributes:
        name: what is checked.
        value: what was measured; None where it is not a finite number.
        bound: the least value that passes, or the most.
        at_most: whether `bound` is the most.
        passed: whether it does.
        verdict: `passed`, or in what way it does not. `no champion` (there is nothing to beat), `too few boxes` (to say
            whether a class is guessed), `not required` and `left out` (a format that the run goes on without) pass.
        note: what else there is to know, and what to do.
    """

    name: str
    value: int | float | None
    bound: float
    at_most: bool = False
    passed: bool
    verdict: Verdict
    note: str = ""

    def __str__(self) -> str:
        required = f"at {'most' if self.at_most else 'least'} {self.bound:g} is required"
        text = {
            "passed": f"{self.name} is {self._shown()}",
            "no champion": f"{self.name}: there is no champion",
            "nothing detected": f"the model detects nothing at all on the evaluation images ({self.name} 0)",
            "not a number": f"{self.name} is not a number",
            "not measured": f"{self.name} was not measured",
            "left out": f"{self.name}: the format is left out",
        }.get(self.verdict, f"{self.name} is {self._shown()}")
        return f"{text}, {required}{f': {self.note}' if self.note else ''}"

    def row(self) -> tuple[str, str, str, str]:
        """Name, value, bound and verdict as a table shows them."""
        bound = f"{'<=' if self.at_most else '>='} {self.bound:g}"
        return self.name, "-" if self.value is None else self._shown(), bound, self.verdict

    def _shown(self) -> str:
        """The value with four digits, or with all of them where rounding would lift it over the bound."""
        value = 0 if self.value is None else self.value
        if isinstance(value, int):
            return str(value)
        rounded = f"{value:.4f}"
        return repr(value) if (value < self.bound) != (float(rounded) < self.bound) else rounded


class GateReport(StoredRecord):
    """All checks of a model, passed or not: the content of `gate.json`.

    Attributes:
        checks: see `GateCheck`.
        told_apart: the evidence for the check of that name, by class name.
    """

    FILE = "gate.json"
    ADVICE = "clear quality_gate to write it again"

    checks: tuple[GateCheck, ...]
    told_apart: dict[str, ToldApart] = {}

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def of_earlier_run(self, run_id: str) -> GateReport:
        """The same, which says of what cannot be measured again that it is of the run that made the model."""
        note = f"as run {run_id} measured it"
        checks = tuple(
            check.model_copy(update={"note": "; ".join(filter(None, (check.note, note)))})
            if check.name == LATENCY
            else check
            for check in self.checks
        )
        return self.model_copy(update={"checks": checks})

    def table(self) -> str:
        """Every check with value, bound and verdict, as lines of text."""
        rows = [("check", "value", "bound", "verdict"), *(check.row() for check in self.checks)]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        return "\n".join("  ".join(cell.ljust(widths[i]) for i, cell in enumerate(row)).rstrip() for row in rows)

    def raise_if_failed(self, outcome: str = "the model is not registered") -> None:
        """Does nothing for a model that passed.

        Args:
            outcome: what became of the model.

        Raises:
            GateError: naming each failed check with its value and bound, and the whole table below.
        """
        failed = [str(check) for check in self.checks if not check.passed]
        if failed:
            raise GateError(f"{outcome}: {'; '.join(failed)}\n{self.table()}")

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"passed": self.passed, **super().to_dict()}

    def write(self, folder: Path) -> None:
        """Writes the report, and logs its table; that comes before the error of a failed gate."""
        super().write(folder)
        for line in self.table().splitlines():
            log.info("%s", line)


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
    notes = [f"too few boxes are placed right to say: {_some(unsure)}"] if unsure else []
    if guessed:
        verdict = "classes guessed" if is_required else "not required"
        notes = [f"{name} is no better than guessing: {judged[name].evidence()}" for name in guessed]
        del notes[_SHOWN_CLASSES:]
        if len(guessed) > len(notes):
            notes.append(f"and so are {_some(guessed[len(notes) :])}")
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


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(names[:_SHOWN_NAMES]) + more


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
