"""The outcome of a study, written where people look: data, page and the settings that won."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from boxwright.config import TUNED_FILE, RunConfig, RunInfo, Value
from boxwright.packaging import publish
from boxwright.pipeline import Phase, TracedTrial, nodes_of, note_trials, run_nodes
from boxwright.storage import connected, write_json
from boxwright.tuning.records import Outcome, Proof, TrialState
from boxwright.tuning.report import REPORT_PAGE, write_report
from boxwright.tuning.study import Study


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


def publish_outcome(config: RunConfig, run: RunInfo, folder: Path, chosen: Mapping[str, Value] | None = None) -> None:
    """Puts the report and its data where the run's model will be, and with it the settings that won.

    Args:
        config: the run, with the dates in its URIs filled in.
        run: that the model belongs to.
        folder: of the study, where `show` has written.
        chosen: hyperparameters by name; None while nothing has won.
    """
    if chosen is not None:
        write_json(folder / TUNED_FILE, chosen)
    with connected(config.storage):
        publish(config, run.run_id, folder, [Outcome.FILE, REPORT_PAGE, *([TUNED_FILE] if chosen is not None else [])])


def trace_outcome(config: RunConfig, run: RunInfo, study: Study) -> None:
    """Notes in ML Metadata what the run's model will be made of: what was chosen, and the trials that it came from.

    Args:
        config: the run, with the settings that won.
        run: with study and settings.
        study: whose trials have ended.

    Raises:
        BoxwrightError: ML Metadata cannot be used.
    """
    run_nodes(config, run, nodes_of(Phase.STUDY))
    note_trials(
        run.run_id,
        study.name,
        [
            TracedTrial(one.number, one.state.value, one.state is TrialState.FAILED, one.settings, one.value)
            for one in study.trials()
        ],
    )
