"""MLflow as the registry uses it: connecting quietly, one MLflow run for each run, and its failures in one line."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from boxwright.errors import BoxwrightError, StorageError, UsageError
from boxwright.registry.versions import RUN_ID, Release, lineage_tags

LOCK_SECONDS = 300
_SQLITE = "sqlite:///"
_BATCH = 100
_REFUSALS = (
    "INVALID_PARAMETER_VALUE",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "INVALID_STATE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
)


def writer_lock(tracking_uri: str) -> FileLock:
    """A lock between the processes of this machine that write to one registry.

    It lies beside a database file, else in the folder for temporary files.
    """
    if tracking_uri.startswith(_SQLITE):
        path = Path(f"{tracking_uri.removeprefix(_SQLITE)}.lock").absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        digest = hashlib.sha256(tracking_uri.encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir(), f"boxwright-{os.getuid()}-{digest}.lock")
    return FileLock(path, timeout=LOCK_SECONDS)


def connect(tracking_uri: str, lock: FileLock) -> Any:
    """An `MlflowClient` that answers, or the error of why not.

    A database file is opened under the lock: two processes must not create its tables at the same time.
    """
    _quieten()
    with explained(tracking_uri), lock:
        from mlflow import MlflowClient

        _quieten_loggers()
        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        client.search_registered_models(max_results=1)
        client.search_experiments(max_results=1)
        return client


def _quieten() -> None:
    """Defaults that MLflow reads from the environment; what is set already wins."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def _quieten_loggers() -> None:
    # Creating the tables alone logs some sixty lines.
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def explained(tracking_uri: str) -> Iterator[None]:
    """Turns MLflow's failures into typed errors of one line without secrets."""
    try:
        yield
    except BoxwrightError:
        raise
    except Timeout as error:
        raise StorageError(
            f"another process held {error.lock_file} for {LOCK_SECONDS} s; end it if it hangs, then run again"
        ) from None
    except Exception as error:
        if not _is_of_registry(error):
            raise
        shown = _without_password(tracking_uri)
        code = getattr(error, "error_code", type(error).__name__)
        said = _one_line(str(error), tracking_uri)
        if code in _REFUSALS:
            raise UsageError(f"the model registry {shown} refused: {said}") from error
        raise StorageError(
            f"the model registry {shown} did not answer as it should ({said}); start it, or correct "
            "MLFLOW_TRACKING_URI, then run again"
        ) from error


def _is_of_registry(error: Exception) -> bool:
    package = type(error).__module__.split(".")[0]
    return isinstance(error, OSError) or package in ("mlflow", "sqlalchemy", "requests", "urllib3", "alembic")


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    return uri.replace(f"{parts.netloc.rpartition('@')[0]}@", "***@", 1) if "@" in parts.netloc else uri


def _one_line(text: str, uri: str) -> str:
    password = urlsplit(uri).password
    text = text.replace(uri, _without_password(uri))
    text = text.replace(password, "***") if password else text
    return re.sub(r"\s+", " ", text)[:300]


def ensure_model(client: Any, name: str) -> None:
    """Makes the registered model where it is not there."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def source_of(archive_uri: str, mlflow_run: Any) -> str:
    """What MLflow shows as the version's source: the archive, or the run where the archive is a local path.

    A server refuses local paths outside its own artifacts.
    """
    if urlsplit(archive_uri).scheme in ("", "file"):
        return str(mlflow_run.info.artifact_uri)
    return archive_uri


def log_run(client: Any, tracking_uri: str, release: Release, status: str = "FINISHED") -> Any:
    """The MLflow run of a run, with its metrics, hyperparameters and pictures; made or completed as need be.

    It ends as `status` says; what ended well stays as it is.
    """
    run = run_of(client, tracking_uri, release.model_name, release.run_id)
    if run.info.status == "FINISHED":
        return run
    _log_facts(client, run, release)
    for picture in release.pictures:
        client.log_artifact(run.info.run_id, str(picture), "report" if picture.suffix == ".html" else "pictures")
    client.set_terminated(run.info.run_id, status)
    return run


def run_of(client: Any, tracking_uri: str, model_name: str, run_id: str) -> Any:
    """The MLflow run of a run: found by its tag, or made."""
    experiment_id = _experiment(client, tracking_uri, model_name)
    found = client.search_runs([experiment_id], f"tags.`{RUN_ID}` = '{run_id}'")
    run = next((one for one in found if one.data.tags.get(RUN_ID) == run_id), None)
    return run or client.create_run(experiment_id, tags={RUN_ID: run_id, "mlflow.runName": run_id})


def _experiment(client: Any, tracking_uri: str, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None
    if tracking_uri.startswith(_SQLITE):
        # MLflow's own default is a folder in whatever directory the process happens to run.
        database = Path(tracking_uri.removeprefix(_SQLITE)).absolute()
        location = (database.parent / "mlartifacts" / name).as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        # Another machine, which no lock holds back, has made it in between.
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


def _log_facts(client: Any, run: Any, release: Release) -> None:
    from mlflow.entities import Metric, Param, RunTag

    # With the time the run was made as theirs, metrics that are logged again replace themselves.
    time = run.info.start_time
    config = json.loads(release.config_json)
    hyperparameters = release.hyperparameters or config.get("hyperparameters", {})
    settings = {"model_id": release.model_id, **hyperparameters}
    metrics = [Metric(key(name), value, time, 0) for name, value in release.metrics.items()]
    metrics += [
        Metric(key(f"epoch/{name}"), value, time, epoch)
        for name, values in release.curves.items()
        for epoch, value in enumerate(values)
    ]
    params = [Param(name, str(value)) for name, value in settings.items() if name not in run.data.params]
    # A run's tags are shorter than a version's.
    tags = [RunTag(name, value[:5000]) for name, value in lineage_tags(release).items()]
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(run.info.run_id, metrics=metrics[start : start + _BATCH])
    client.log_batch(run.info.run_id, params=params, tags=tags)


def key(name: str) -> str:
    """`name` as MLflow takes it for a metric or a tag."""
    return re.sub(r"[^\w .:/-]", "_", name, flags=re.ASCII)[:200]
