"""One MLflow run for each run: found or made, with its metrics, hyperparameters, pictures and epochs."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

from boxwright.registry.mlflow_client import FINISHED, ExistsError, Metric, MlflowClient, MlflowRun, quoted
from boxwright.registry.port import RUN_ID, Release
from boxwright.registry.tags import lineage_tags

# MLflow's tag of a run below another one.
PARENT_RUN = "mlflow.parentRunId"
_BATCH = 100
_TRAINING = "training/"


def source_of(archive_uri: str, mlflow_run: MlflowRun) -> str:
    """The source of a version in MLflow: the archive, or the run if the archive is a local path.

    A server refuses local paths outside its own artifacts.
    """
    return mlflow_run.artifacts if urlsplit(archive_uri).scheme in ("", "file") else archive_uri


def log_run(client: MlflowClient, release: Release, status: str = FINISHED) -> MlflowRun:
    """The MLflow run of a run, with its metrics, hyperparameters and pictures; made or completed as need be.

    It ends as `status` says; what ended well stays as it is.
    """
    run = run_of(client, release.model_name, release.run_id)
    if run.status == FINISHED:
        return run
    _log_facts(client, run, release)
    for picture in release.pictures:
        client.log_file(run, picture, "report" if picture.suffix == ".html" else "pictures")
    client.end_run(run.run_id, status)
    return run


def run_of(client: MlflowClient, model_name: str, run_id: str, part_of: str | None = None) -> MlflowRun:
    """The MLflow run of a run: found by its tag, or made, below that of the run `part_of` where there is one."""
    experiment_id = client.experiment(model_name) or _create_experiment(client, model_name)
    if found := _find(client, experiment_id, run_id):
        return found
    tags = {RUN_ID: run_id, "mlflow.runName": run_id}
    if part_of is not None:
        tags[PARENT_RUN] = run_of(client, model_name, part_of).run_id
    return client.create_run(experiment_id, tags)


def find_run(client: MlflowClient, model_name: str, run_id: str) -> MlflowRun | None:
    """The MLflow run of a run; None where there is none."""
    experiment_id = client.experiment(model_name)
    return _find(client, experiment_id, run_id) if experiment_id else None


def log_epoch(client: MlflowClient, run: MlflowRun, record: dict[str, float]) -> None:
    """Writes the record of one epoch under `training/`."""
    time, step = run.started, int(record["epoch"])
    client.log(
        run.run_id, [Metric(f"{_TRAINING}{key(name)}", value, time + step, step) for name, value in record.items()]
    )


def read_epochs(client: MlflowClient, run: MlflowRun) -> list[dict[str, float]]:
    """The epochs that were logged: one record each, in order."""
    epochs: dict[int, dict[str, float]] = {}
    for name in sorted(run.metrics):
        if name.startswith(_TRAINING):
            for step, value in client.metric_history(run.run_id, name):
                epochs.setdefault(step, {})[name.removeprefix(_TRAINING)] = value
    return [{**record, "epoch": float(step)} for step, record in sorted(epochs.items())]


def _find(client: MlflowClient, experiment_id: str, run_id: str) -> MlflowRun | None:
    found = client.runs(experiment_id, f"tags.`{RUN_ID}` = {quoted(run_id)}")
    # Some databases compare without case.
    return next((one for one in found if one.tags.get(RUN_ID) == run_id), None)


def _create_experiment(client: MlflowClient, name: str) -> str:
    try:
        return client.create_experiment(name)
    except ExistsError:
        # Another machine, which no lock holds back, has made it in between.
        found = client.experiment(name)
        if found is None:
            raise
        return found


def _log_facts(client: MlflowClient, run: MlflowRun, release: Release) -> None:
    # With the time the run was made as theirs, metrics that are logged again replace themselves.
    time = run.started
    config = json.loads(release.config_json)
    hyperparameters = release.hyperparameters or config.get("hyperparameters", {})
    settings = {"model_id": release.model_id, **hyperparameters}
    metrics = [Metric(key(name), value, time, 0) for name, value in release.metrics.items()]
    metrics += [
        Metric(key(f"epoch/{name}"), value, time, epoch)
        for name, values in release.curves.items()
        for epoch, value in enumerate(values)
    ]
    params = {name: str(value) for name, value in settings.items() if name not in run.params}
    # A run's tags are shorter than a version's.
    tags = {name: value[:5000] for name, value in lineage_tags(release).items()}
    for start in range(0, len(metrics), _BATCH):
        client.log(run.run_id, metrics[start : start + _BATCH])
    client.log(run.run_id, params=params, tags=tags)


def key(name: str) -> str:
    """`name` as MLflow takes it for a metric or a tag."""
    return re.sub(r"[^\w .:/-]", "_", name, flags=re.ASCII)[:200]
