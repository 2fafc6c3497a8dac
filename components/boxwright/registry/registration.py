"""Registers a packaged model with the facts of its run, or points the run at the version that another one made."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from boxwright.config import RunConfig, RunInfo
from boxwright.errors import StorageError, UsageError
from boxwright.evaluation import PICTURES, REPORT_PAGE, FormatsSummary, GateReport
from boxwright.packaging import RunFacts, publish
from boxwright.registry.judging import judge_again
from boxwright.registry.opening import open_registry
from boxwright.registry.parents import find_start
from boxwright.registry.port import Release, ReleasedFormat, Version
from boxwright.registry.reuse import find_finished
from boxwright.storage import StoredRecord
from boxwright.training import Record, read_history

log = logging.getLogger("boxwright.release")


class ReusedVersion(StoredRecord):
    """The content of `reused.json`: which version a run took instead of making one.

    Attributes:
        version: its reference.
        archive: URI of its `model.tar.gz`.
        run_id: of the run that made it.
    """

    FILE = "reused.json"
    ADVICE = "clear reuse_version"

    version: str
    archive: str
    run_id: str


def register_model(
    config: RunConfig,
    run: RunInfo,
    package_dir: Path,
    evaluation_dir: Path,
    archive_uri: str,
    formats: FormatsSummary | None = None,
    accepted: bool = True,
) -> Version:
    """Makes, or finds, the run's version in the registry.

    Args:
        config: the run's configuration.
        run: has one version, however often this step runs; not accepted where somebody turned it down.
        package_dir: folder of `package_model`, for `run.json` and the losses by epoch.
        evaluation_dir: folder of `evaluate`, for the report and its pictures.
        archive_uri: the uploaded `model.tar.gz`.
        formats: what else the model was written in.
        accepted: False for a model that did not pass its gate.
    """
    release = _release(config, run, package_dir, evaluation_dir, archive_uri, formats, accepted)
    return open_registry().register(release)


def record_failure(
    config: RunConfig,
    run: RunInfo,
    package_dir: Path,
    evaluation_dir: Path,
    archive_uri: str,
    formats: FormatsSummary | None = None,
) -> None:
    """Leaves the metrics and pictures of a run without a version in its MLflow run, which ends as failed.

    Takes what `register_model` takes. A registry that does not answer costs a warning.
    """
    release = _release(config, run, package_dir, evaluation_dir, archive_uri, formats, accepted=False)
    try:
        open_registry().record_failure(release)
    except StorageError as error:
        log.warning("MLflow does not know that this run failed: %s", error)


def _release(
    config: RunConfig,
    run: RunInfo,
    package_dir: Path,
    evaluation_dir: Path,
    archive_uri: str,
    formats: FormatsSummary | None,
    accepted: bool,
) -> Release:
    facts = RunFacts.read(package_dir)
    return Release(
        model_name=config.model_name,
        run_id=run.run_id,
        archive_uri=archive_uri,
        as_of=run.as_of,
        interval_start=run.interval_start,
        metrics={name: value for name, value in facts.metrics.items() if value is not None},
        fingerprint=facts.dataset_fingerprint,
        parent=facts.parent,
        model_id=facts.model_id,
        classes=list(facts.classes),
        category_ids=list(facts.category_ids),
        config_json=config.to_json(),
        hyperparameters=facts.hyperparameters,
        recipe=facts.recipe,
        code_version=facts.code_version,
        run_url=run.url,
        pictures=[path for name in (*PICTURES, REPORT_PAGE) if (path := evaluation_dir / name).exists()],
        curves=_curves(read_history(package_dir)),
        accepted=accepted and run.rejected is None,
        rejected_by=run.rejected if accepted else "by the quality gate",
        study=run.study,
        tuned=run.tuned,
        formats=None if formats is None else tuple(_released(formats)),
    )


def _released(summary: FormatsSummary) -> Iterator[ReleasedFormat]:
    for one in summary.kept:
        if (measured := one.measured) and (loss := measured.loss) is not None:
            yield ReleasedFormat(
                name=one.name,
                ap_difference=round(-loss, 6),
                ms=round(measured.latency_ms, 2),
                mb=round(measured.size_bytes / 1e6, 2),
            )


def _curves(history: list[Record]) -> dict[str, list[float]]:
    # What is not measured after each epoch is not a curve.
    names = [name for name in history[0] if name != "epoch" and all(name in one for one in history)] if history else []
    return {name: [record[name] for record in history] for name in names}


def reuse_version(config: RunConfig, run: RunInfo, fingerprint: str, examples_dir: Path) -> Version:
    """Finds the version that a finished run of the same recipe made, and says in the run's output which it is.

    It is held against this run's gate, as a model that it had trained itself would be; `gate.json` is in the output.

    Args:
        config: the run's configuration.
        run: the run, which gets no version of its own.
        fingerprint: of the dataset.
        examples_dir: folder of `build_examples`, for a champion to be measured on.

    Raises:
        GateError: it does not pass the gate of this run. The version itself stays as it is.
        UsageError: it was deleted or withdrawn since `choose_seed` found it.
    """
    version = find_finished(config, run, fingerprint, find_start(config, run).parent)
    if version is None:
        raise UsageError(
            f"the version of {config.model_name} that this run was to reuse is gone; clear choose_seed to train"
        )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        report = judge_again(config, run, version, examples_dir)
        report.write(folder)
        publish(config, run.run_id, folder, [GateReport.FILE])
        report.raise_if_failed(f"{version.reference}, which has this run's recipe, does not pass this run's gate")
        reused = ReusedVersion(version=version.reference, archive=version.archive_uri, run_id=version.run_id)
        reused.write(folder)
        publish(config, run.run_id, folder, [reused.FILE])
    _say_what_it_lacks(config, version)
    return version


def _say_what_it_lacks(config: RunConfig, version: Version) -> None:
    """A model that is taken again is not written again."""
    there = {one.name for one in version.formats}
    for name in config.export.beside_archive:
        if name not in there:
            log.warning(
                "%s has no %s, which this run asks for: `boxwright export %s` writes it, or force=True trains anew",
                version.reference, name, version.reference,
            )  # fmt: skip
