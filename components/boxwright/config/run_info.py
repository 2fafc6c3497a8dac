"""The identity of one run beside its configuration: its id, the time it stands for, and its page."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from pydantic import AwareDatetime

from boxwright.config.fields import Frozen

# The TFX pipeline of a run, and the Airflow DAG that runs it.
PIPELINE = "object_detection_training"
# The file that has what a study chose.
TUNED_FILE = "tuned.json"


class RunInfo(Frozen):
    """One run of the pipeline.

    Attributes:
        run_id: names the run and its outputs; Airflow's, or one of `new_run`.
        as_of: the time that the run stands for: the end of its data interval, or when it was triggered.
        interval_start: where its data interval begins; None for a run that stands for a moment.
        url: the run's page in Airflow, where it has one.
        rejected: who or what turned the run's model down, if that happened.
        study: the study that chose the run's settings, where one did.
        tuned: what it chose, as a JSON object of hyperparameters.
    """

    run_id: str
    as_of: AwareDatetime
    interval_start: AwareDatetime | None = None
    url: str | None = None
    rejected: str | None = None
    study: str | None = None
    tuned: str | None = None

    @property
    def parents_until(self) -> AwareDatetime:
        """The latest as-of time of a model that this run may build on, so that a backfill never learns from later.

        The start of the run's interval: its own version stands for the interval's end, and so does a re-run's.
        """
        return self.interval_start or self.as_of


def new_run(run_id: str | None = None) -> RunInfo:
    """A run outside of Airflow, which stands for the present."""
    now = datetime.now(UTC)
    return RunInfo(run_id=run_id or f"cli__{now:%Y-%m-%dT%H-%M-%S}-{uuid.uuid4().hex[:6]}", as_of=now)
