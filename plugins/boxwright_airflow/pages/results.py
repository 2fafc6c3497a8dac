"""The files of a run beside its archive, read with the server's own storage credentials.

Files there are small and never change once the version is registered, so the last of them are kept in memory.
"""

from __future__ import annotations

import json
import math
from functools import cached_property, lru_cache
from typing import Any

from pydantic import ValidationError

from boxwright.errors import BoxwrightError
from boxwright.evaluation import GALLERY_FILE, METRICS_FILE, GateReport, gallery_picture
from boxwright.packaging import RunFacts
from boxwright.storage import join, read_bytes
from boxwright_airflow.pages.version_facts import Card

JSON_LIMIT = 20_000_000  # bytes
PICTURE_LIMIT = 5_000_000
GATE_FILE = "gate.json"
VALIDATION_FILE, VALIDATION_PAGE = "validation_report.json", "validation_report.html"


class Results:
    """The results of one version's run; what cannot be read is None, and `problems` says why.

    Args:
        card: the version.
    """

    def __init__(self, card: Card) -> None:
        self.card = card
        self.problems: list[str] = []

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """`metrics.json`; empty where it cannot be read."""
        return self._mapping(METRICS_FILE) or {}

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics over all classes by name."""
        return _numbers(self.evaluation.get("metrics"))

    @cached_property
    def per_class(self) -> dict[str, dict[str, float]]:
        """Metrics by class name."""
        found = self.evaluation.get("per_class")
        return {name: _numbers(one) for name, one in found.items()} if isinstance(found, dict) else {}

    @property
    def threshold(self) -> float | None:
        """The score at which F1 is largest."""
        return _numbers(self.evaluation).get("threshold")

    def gate(self) -> GateReport | None:
        """The checks of `gate.json`."""
        found = self._mapping(GATE_FILE)
        try:
            return None if found is None else GateReport(checks=found.get("checks", ()))
        except ValidationError:
            self._note(f"{GATE_FILE} is no gate report")
            return None

    def run(self) -> dict[str, Any] | None:
        """`run.json`."""
        return self._mapping(RunFacts.FILE)

    def validation(self) -> dict[str, Any] | None:
        """`validation_report.json`."""
        return self._mapping(VALIDATION_FILE)

    def gallery(self) -> list[dict[str, Any]]:
        """The entries of `gallery.json` that can be shown."""
        found = self._read(GALLERY_FILE)
        entries = found if isinstance(found, list) else []
        known = [one for one in entries if isinstance(one, dict) and isinstance(one.get("picture"), int)]
        return [{"file": "", "caption": "", **one} for one in known]

    def uri(self, name: str) -> str:
        """The URI of a file of the run."""
        return join(self.card.folder, name)

    def _mapping(self, name: str) -> dict[str, Any] | None:
        found = self._read(name)
        return found if isinstance(found, dict) else None

    def _read(self, name: str) -> Any:
        if not self.card.folder:
            self._note("the version's tag boxwright.archive names no archive of a Boxwright run")
            return None
        try:
            return json.loads(_stored(self.uri(name), JSON_LIMIT))
        except (BoxwrightError, ValueError, RecursionError) as error:
            said = str(error) if isinstance(error, BoxwrightError) else "it is no JSON"
            self._note(f"{name} cannot be read: {said}")
            return None

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _numbers(found: Any) -> dict[str, float]:
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, int | float) and math.isfinite(value)}


def picture(card: Card, number: int) -> bytes:
    """One picture of the gallery, as JPEG.

    Raises:
        BoxwrightError: it cannot be read.
    """
    return _stored(join(card.folder, gallery_picture(number)), PICTURE_LIMIT)


@lru_cache(maxsize=256)
def _stored(uri: str, limit: int) -> bytes:
    return read_bytes(uri, limit)
