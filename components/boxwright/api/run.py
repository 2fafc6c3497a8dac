"""A training that Python code started, wherever it runs, and its report."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from boxwright.errors import GateError, StoppedError
from boxwright.storage import join, read_bytes

if TYPE_CHECKING:
    from boxwright.evaluation import CocoMetrics
    from boxwright.packaging import RunFacts

_REPORT = "report.html"
_LARGEST_REPORT = 200_000_000


@dataclass(frozen=True)
class Report:
    """An HTML page that a notebook shows as it is.

    Attributes:
        uri: of the page.
    """

    uri: str

    @cached_property
    def html(self) -> str:
        """The page's source.

        Raises:
            DataError: it is gone.
        """
        return read_bytes(self.uri, _LARGEST_REPORT).decode()

    def _repr_html_(self) -> str:
        return page_frame(self.html)


def page_frame(page: str) -> str:
    """HTML that shows a page within another one, as a notebook is.

    Its styles stay in it, and it runs no script, as any page that is made from data.
    """
    return f'<iframe srcdoc="{html.escape(page)}" sandbox width="100%" height="700"></iframe>'


def ended_as(exit_code: int) -> str:
    """The status of a run that an error with this exit code ended."""
    return {GateError.exit_code: "rejected", StoppedError.exit_code: "stopped"}.get(exit_code, "failed")


class Run(ABC):
    """A training that was started.

    Attributes:
        run_id: its id.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    @property
    @abstractmethod
    def status(self) -> str:
        """Its status: `queued`, `running`, `registered`, `reused`, `rejected`, `stopped`, or `failed`.

        A model is rejected by the gate, or by a person.
        """

    @abstractmethod
    def wait(self) -> Run:
        """Shows the run until it has ended; returns it.

        Ctrl-C ends a run on this machine, which `resume` takes up again, and leaves one in Airflow as it is.

        Raises:
            BoxwrightError: the run failed, with the error of its kind.
        """

    @abstractmethod
    def logs(self) -> str:
        """The log of its steps so far."""

    @abstractmethod
    def stop(self) -> None:
        """Asks the training to end after the epoch that is under way, with all that it has learnt kept.

        Raises:
            UsageError: it has no training under way.
        """

    @abstractmethod
    def _outcome(self) -> Mapping[str, Any]:
        """`archive`, `model_name` and `version` of a run that ended with a model."""

    @property
    def archive(self) -> str:
        """URI of its `model.tar.gz`.

        Raises:
            UsageError: it has not ended with a model.
        """
        return str(self._outcome()["archive"])

    @property
    def model(self) -> str:
        """The registered version, `models:/NAME/VERSION`; what `Detector` takes.

        Raises:
            UsageError: it has not ended with a model.
        """
        found = self._outcome()
        return f"models:/{found['model_name']}/{found['version']}"

    @property
    def metrics(self) -> dict[str, float | None]:
        """COCO's metrics by name, on the images that `split` names."""
        return dict(self.facts.metrics)

    @property
    def per_class(self) -> dict[str, CocoMetrics]:
        """The metrics of each class by its name."""
        return dict(self.facts.per_class)

    @property
    def report(self) -> Report:
        """The evaluation's report."""
        return Report(join(self.folder, _REPORT))

    @cached_property
    def facts(self) -> RunFacts:
        """The content of `run.json`: dataset, seed, hyperparameters, metrics."""
        from boxwright.packaging import RunFacts

        return RunFacts.read(self.folder)

    @property
    def folder(self) -> str:
        """Folder or s3:// prefix with the archive, report, pictures, metrics and detections.

        Raises:
            UsageError: it has not ended with a model.
        """
        return self.archive.rpartition("/")[0]

    def __repr__(self) -> str:
        return f"<Run {self.run_id}: {self.status}>"
