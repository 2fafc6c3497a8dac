"""The records of the quality gate: one check, and the report of all of them, `gate.json`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

from boxwright.config import Frozen
from boxwright.errors import GateError
from boxwright.evaluation.records import ToldApart
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
