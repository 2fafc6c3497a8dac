"""The results of a run for people, read with the server's own storage credentials.

Files there are small and change only when the task that wrote them is cleared, so the last of them are kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from boxwright.dataset.validation import REPORT_FILE, Report
from boxwright.errors import BoxwrightError
from boxwright.evaluation import (
    GALLERY_FILE,
    CocoMetrics,
    EvaluationSummary,
    FormatsSummary,
    GalleryEntry,
    GateReport,
    gallery_picture,
    parse_gallery,
)
from boxwright.packaging import RunFacts
from boxwright.storage import join, read_bytes
from boxwright_airflow.allowed import allowed_here

# A report of a hundred thousand bad records is not looked at here, but on its page.
FILE_LIMIT = 20_000_000  # bytes
PICTURE_LIMIT = 5_000_000
Value = TypeVar("Value")


class Results:
    """The files of one run; what cannot be read is None, and `problems` says why.

    Args:
        folder: URI of the run's output; empty where it is not known.
        stamp: another one where the files may have been written again.
        advice: what to do where a file is missing or broken.
    """

    def __init__(self, folder: str, stamp: str = "", advice: str = "") -> None:
        self.folder = folder
        self.problems: list[str] = []
        self._stamp, self._advice = stamp, advice

    @cached_property
    def evaluation(self) -> EvaluationSummary | None:
        """`metrics.json`."""
        return self._read(EvaluationSummary.FILE, EvaluationSummary.parse)

    @property
    def metrics(self) -> dict[str, int | float]:
        """Metrics over all classes by name, those that were measured."""
        found = self.evaluation.metrics if self.evaluation else {}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def per_class(self) -> dict[str, CocoMetrics]:
        """Metrics by class name."""
        return self.evaluation.per_class if self.evaluation else {}

    def gate(self) -> GateReport | None:
        """`gate.json`."""
        return self._read(GateReport.FILE, GateReport.parse)

    def formats(self) -> FormatsSummary | None:
        """`formats.json`."""
        return self._read(FormatsSummary.FILE, FormatsSummary.parse)

    def run(self) -> RunFacts | None:
        """`run.json`."""
        return self._read(RunFacts.FILE, RunFacts.parse)

    def validation(self) -> Report | None:
        """`validation_report.json`."""
        return self._read(REPORT_FILE, Report.parse)

    def gallery(self) -> Sequence[GalleryEntry]:
        """`gallery.json`; no entries where it cannot be read."""
        return self._read(GALLERY_FILE, parse_gallery) or ()

    def picture(self, number: int) -> bytes:
        """One picture of the gallery, as JPEG.

        Raises:
            BoxwrightError: it cannot be read.
        """
        uri = self.uri(gallery_picture(number))
        allowed_here().check_place(uri)
        return _picture(uri, self._stamp)

    def uri(self, name: str) -> str:
        """The URI of a file of the run."""
        return join(self.folder, name)

    def _read(self, name: str, parse: Callable[[bytes, str], Value]) -> Value | None:
        if not self.folder:
            self._note("the version's tag boxwright.archive names no archive of a Boxwright run")
            return None
        try:
            # The folder is what a tag in the registry says.
            allowed_here().check_place(self.uri(name))
            found: Value = _parsed(self.uri(name), self._stamp, parse)
            return found
        except BoxwrightError as error:
            advice = "try again when storage answers" if error.retryable else self._advice
            self._note(f"{name} cannot be read: {error}{advice and f'; {advice}'}")
            return None

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


# Read once for each try of the task that wrote it: pages ask every few seconds.
@lru_cache(maxsize=128)
def _parsed(uri: str, _stamp: str, parse: Callable[[bytes, str], Any]) -> Any:
    return parse(read_bytes(uri, FILE_LIMIT), uri)


@lru_cache(maxsize=128)
def _picture(uri: str, _stamp: str) -> bytes:
    return read_bytes(uri, PICTURE_LIMIT)
