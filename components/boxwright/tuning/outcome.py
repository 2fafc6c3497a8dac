"""The outcome of a study, written where people look: data, page and the settings that won."""

from __future__ import annotations

from pathlib import Path

from boxwright.config import RunConfig, RunInfo, Value
from boxwright.packaging import publish
from boxwright.storage import connected, write_json
from boxwright.tuning.records import Outcome, Proof
from boxwright.tuning.report import REPORT_PAGE, write_report
from boxwright.tuning.study import Study

TUNED_FILE = "tuned.json"


def show(study: Study, folder: Path, ended: str | None = None, proof: Proof | None = None) -> Outcome:
    """Writes the outcome of a study so far, as data and as a page.

    Args:
        study: with its trials.
        folder: of the study.
        ended: why no more trials are begun, where that is so.
        proof: where it is there.
    """
    outcome = Outcome(
        study=study.name,
        status="chosen" if proof else "running",
        ended=ended,
        objective=study.tuning.objective,
        trials=study.trials(),
        proof=proof,
        chosen=proof.settings if proof else {},
    )
    outcome.write(folder)
    importance, basis = study.importance()
    write_report(folder, outcome, importance, basis, study.tuning.is_loss)
    return outcome


def publish_outcome(config: RunConfig, run: RunInfo, folder: Path, chosen: dict[str, Value]) -> None:
    """Puts the settings that won beside the model that is made of them, with the report and its data.

    Args:
        config: the run, with the dates in its URIs filled in.
        run: that the model belongs to.
        folder: of the study, where `show` has written.
        chosen: hyperparameters by name.
    """
    write_json(folder / TUNED_FILE, chosen)
    with connected(config.storage):
        publish(config, run.run_id, folder, [Outcome.FILE, TUNED_FILE, REPORT_PAGE])
