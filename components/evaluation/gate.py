"""The quality gate: what a measured model must reach before it may be registered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from components.config import Frozen, Gate
from components.errors import GateError
from components.evaluation.metrics import DetectionMetrics
from components.storage import write_json

Verdict = Literal["passed", "too low", "not a number", "not measured", "nothing detected"]


class GateCheck(Frozen):
    """One check.

    Attributes:
        name: the metric, or `detections` for their number.
        value: what was measured; None where it is no finite number.
        bound: the least value that passes.
        passed: whether it does.
        verdict: `passed`, or in what way it does not.
    """

    name: str
    value: float | None
    bound: float
    passed: bool
    verdict: Verdict

    def __str__(self) -> str:
        if self.verdict == "too low":
            return f"{self.name} is {self._shown()}, at least {self.bound:g} is required"
        return {
            "nothing detected": "the model detects nothing at all on the evaluation images; at least 1 detection is "
            "required: train longer, or check learning_rate and the seed model",
            "not a number": f"{self.name} is not a number, at least {self.bound:g} is required: training has diverged, "
            "lower learning_rate",
            "not measured": f"{self.name} was not measured, at least {self.bound:g} is required: do the evaluation "
            "images have boxes?",
            "passed": f"{self.name} is {self._shown()}, at least {self.bound:g}",
        }[self.verdict]

    def _shown(self) -> str:
        """The value with four digits, or with all of them where rounding would lift it to the bound."""
        value = self.value or 0.0
        rounded = f"{value:.4f}"
        return repr(value) if value < self.bound <= float(rounded) else rounded


class GateReport(Frozen):
    """All checks of a model, those that passed too."""

    checks: tuple[GateCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def raise_if_failed(self) -> None:
        """Does nothing for a model that passed.

        Raises:
            GateError: naming each failed check with its value and bound.
        """
        failed = [str(check) for check in self.checks if not check.passed]
        if failed:
            raise GateError(f"the model is not registered: {'; '.join(failed)}")

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {"passed": self.passed, **self.model_dump(mode="json")}


def check_gate(metrics: DetectionMetrics | Mapping[str, Any], gate: Gate) -> GateReport:
    """Holds a model's metrics against the gate.

    A model without a single detection fails whatever the bounds are, and so does one whose metrics are missing or no
    numbers.

    Args:
        metrics: of `measure`, or its dictionary; where that has no `detections`, their number is not checked.
        gate: the bounds.
    """
    values = metrics.to_dict() if isinstance(metrics, DetectionMetrics) else metrics
    checks = [_check(name, values.get(name), bound) for name, bound in (("AP50", gate.min_ap50), ("AP", gate.min_ap))]
    if "detections" in values:
        checks.insert(0, _check("detections", values["detections"], 1))
    return GateReport(checks=tuple(checks))


def _check(name: str, value: Any, bound: float) -> GateCheck:
    verdict = _verdict(name, value, bound)
    known = verdict not in ("not measured", "not a number")
    return GateCheck(
        name=name, value=value if known else None, bound=bound, passed=verdict == "passed", verdict=verdict
    )


def _verdict(name: str, value: Any, bound: float) -> Verdict:
    if value is None:
        return "not measured"
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "not a number"
    if value >= bound:
        return "passed"
    return "nothing detected" if name == "detections" else "too low"


def write_gate_report(report: GateReport, path: Path) -> None:
    """Writes the report as JSON, atomically; it is written before the error of a failed gate is raised."""
    write_json(path, report.to_dict())
