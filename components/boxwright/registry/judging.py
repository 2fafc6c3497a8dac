"""Holds a version that a run would reuse against the gate of that run: its bounds, and the champion of today."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from boxwright.config import RunConfig, RunInfo
from boxwright.errors import DataError
from boxwright.evaluation import (
    DETECTIONS_FILE,
    EvaluationSummary,
    FormatsSummary,
    GateReport,
    beside_champion,
    check_gate,
)
from boxwright.registry.champion import open_champion
from boxwright.registry.open_model import ModelSource, open_model
from boxwright.registry.port import Version
from boxwright.storage import download_file, join

log = logging.getLogger("boxwright.release")


def judge_again(config: RunConfig, run: RunInfo, version: Version, examples_dir: Path) -> GateReport:
    """The checks of the run's gate on what was measured when the version was made.

    Its dataset is the run's, so its metrics are those that training again would be judged by. Another champion than
    the one of then answers on the same images now. Only the latency is of the machine of then, and says so.

    Args:
        config: whose gate counts.
        run: the run that would reuse the version.
        version: made by a run of the same recipe.
        examples_dir: folder of `build_examples` of the run.

    Raises:
        DataError: what was measured then is neither beside the archive nor in it.
        StorageError: storage or the registry does not answer.
    """
    summary = _measured(version)
    if config.gate.must_beat_champion is not None or config.gate.max_class_loss is not None:
        summary = _beside_todays_champion(config, run, version, summary, examples_dir)
    report = check_gate(summary, config.gate, _formats(config, version), config.export.on_loss)
    return report.of_earlier_run(version.run_id)


def _measured(version: Version) -> EvaluationSummary:
    try:
        return EvaluationSummary.read(_results(version))
    except DataError as error:
        log.info("%s; reading the archive of %s instead", error, version.reference)
    with open_model(ModelSource.of(version)) as folder:
        return EvaluationSummary.read(folder)


def _formats(config: RunConfig, version: Version) -> FormatsSummary | None:
    """The formats that this run asks for, as far as they were measured then; None where none was."""
    try:
        found = FormatsSummary.read(_results(version))
    except DataError:
        return None
    wanted = config.export.beside_archive
    return found.model_copy(update={"formats": tuple(one for one in found.formats if one.name in wanted)})


def _results(version: Version) -> str:
    """The folder that the version's run published: the archive is in it."""
    return version.archive_uri.rpartition("/")[0]


def _beside_todays_champion(
    config: RunConfig, run: RunInfo, version: Version, summary: EvaluationSummary, examples_dir: Path
) -> EvaluationSummary:
    # As its own run would ask now: a model never has to beat itself.
    itself = run.model_copy(update={"run_id": version.run_id})
    with open_champion(config, itself) as champion, tempfile.TemporaryDirectory() as temporary:
        then = summary.champion
        if champion and then and summary.comparison and then.reference == champion.reference:
            return summary
        detections = Path(temporary, DETECTIONS_FILE)
        try:
            download_file(join(_results(version), DETECTIONS_FILE), detections)
        except DataError as error:
            log.warning("%s cannot be compared with a champion: %s", version.reference, error)
        return beside_champion(summary, detections, champion, examples_dir, Path(temporary))
