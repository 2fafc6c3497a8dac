"""MLflow through its own client, where there is no server: a database file, or what else that client can open.

Importing it takes five seconds and 140 MB, so it is imported with the first call.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from boxwright.errors import BoxwrightError, StorageError, UsageError, without_secrets
from boxwright.postgresql import load_psycopg2
from boxwright.quiet import quieten_loggers
from boxwright.registry.mlflow_client import RUNNING, VERSIONS_PAGE, Metric, MlflowRun, failure_kind
from boxwright.registry.port import RegisteredModel, Version
from boxwright.registry.tags import read_version
from boxwright.registry.writer_lock import SQLITE


class LibraryClient:
    """The `MlflowClient` of anything that MLflow can open.

    Args:
        tracking_uri: such as `sqlite:////data/mlflow.sqlite`.
        lock: held while a store is opened: two processes must not create its tables at the same time.
    """

    def __init__(self, tracking_uri: str, lock: AbstractContextManager[Any]) -> None:
        self._uri, self._lock = tracking_uri, lock

    @property
    def shown(self) -> str:
        """See `MlflowClient`."""
        return without_secrets(self._uri)

    @property
    def address(self) -> str | None:
        """See `MlflowClient`."""
        return self.shown if self._uri.startswith(("http:", "https:")) else None

    @cached_property
    def _client(self) -> Any:
        """MLflow's client, which has answered."""
        _quieten()
        if self._uri.startswith("postgresql"):
            load_psycopg2()
        with self._lock:
            from mlflow import MlflowClient

            _quieten_loggers()
            client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
            client.search_registered_models(max_results=1)
            client.search_experiments(max_results=1)
            return client

    def models(self) -> list[RegisteredModel]:
        """See `MlflowClient`."""
        with self._explained():
            pages = self._pages(self._client.search_registered_models)
            return [_model(one) for page in pages for one in page]

    def model(self, name: str) -> RegisteredModel:
        """See `MlflowClient`."""
        with self._explained():
            return _model(self._client.get_registered_model(name))

    def create_model(self, name: str) -> None:
        """See `MlflowClient`."""
        with self._explained():
            self._client.create_registered_model(name)

    def version_pages(self, query: str = "", page: int = VERSIONS_PAGE) -> Iterator[list[Version]]:
        """See `MlflowClient`."""
        with self._explained():
            search, order = self._client.search_model_versions, ["creation_timestamp DESC"]
            for found in self._pages(search, query, max_results=page, order_by=order):
                yield [_version(one) for one in found]

    def version(self, name: str, number: int) -> Version:
        """See `MlflowClient`."""
        with self._explained():
            return _version(self._client.get_model_version(name, str(number)))

    def version_of_alias(self, name: str, alias: str) -> Version:
        """See `MlflowClient`."""
        with self._explained():
            return _version(self._client.get_model_version_by_alias(name, alias))

    def create_version(self, name: str, source: str, run_id: str | None, tags: Mapping[str, str]) -> Version:
        """See `MlflowClient`."""
        with self._explained():
            made = self._client.create_model_version(
                name=name, source=source, run_id=run_id, tags=dict(tags), await_creation_for=0
            )
            return _version(made)

    def set_version_tag(self, name: str, number: int, key: str, value: str) -> None:
        """See `MlflowClient`."""
        with self._explained():
            self._client.set_model_version_tag(name, str(number), key, value)

    def set_alias(self, name: str, alias: str, number: int) -> None:
        """See `MlflowClient`."""
        with self._explained():
            self._client.set_registered_model_alias(name, alias, str(number))

    def delete_alias(self, name: str, alias: str) -> None:
        """See `MlflowClient`."""
        with self._explained():
            self._client.delete_registered_model_alias(name, alias)

    def experiment(self, name: str) -> str | None:
        """See `MlflowClient`."""
        with self._explained():
            found = self._client.get_experiment_by_name(name)
            return str(found.experiment_id) if found else None

    def create_experiment(self, name: str) -> str:
        """See `MlflowClient`; a database file has its files beside it."""
        location = None
        if self._uri.startswith(SQLITE):
            # MLflow's own default is a folder in whatever directory the process happens to run.
            database = Path(self._uri.removeprefix(SQLITE)).absolute()
            location = (database.parent / "mlartifacts" / name).as_uri()
        with self._explained():
            return str(self._client.create_experiment(name, artifact_location=location))

    def runs(self, experiment_id: str, query: str) -> list[MlflowRun]:
        """See `MlflowClient`."""
        with self._explained():
            return [_run(one) for one in self._client.search_runs([experiment_id], query)]

    def create_run(self, experiment_id: str, tags: Mapping[str, str]) -> MlflowRun:
        """See `MlflowClient`."""
        with self._explained():
            return _run(self._client.create_run(experiment_id, tags=dict(tags)))

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """See `MlflowClient`."""
        from mlflow import entities

        with self._explained():
            self._client.log_batch(
                run_id,
                [entities.Metric(one.name, one.value, one.time, one.step) for one in metrics],
                [entities.Param(name, value) for name, value in (params or {}).items()],
                [entities.RunTag(name, value) for name, value in (tags or {}).items()],
            )

    def log_file(self, run: MlflowRun, path: Path, folder: str) -> None:
        """See `MlflowClient`."""
        with self._explained():
            self._client.log_artifact(run.run_id, str(path), folder)

    def end_run(self, run_id: str, status: str) -> None:
        """See `MlflowClient`."""
        with self._explained():
            self._client.set_terminated(run_id, status)

    def reopen_run(self, run_id: str) -> None:
        """See `MlflowClient`."""
        with self._explained():
            self._client.update_run(run_id, status=RUNNING)

    def metric_history(self, run_id: str, name: str) -> list[tuple[int, float]]:
        """See `MlflowClient`."""
        with self._explained():
            return [(one.step, one.value) for one in self._client.get_metric_history(run_id, name)]

    def _pages(self, search: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        token = None
        while True:
            page = search(*arguments, page_token=token, **options)
            yield page
            token = page.token
            if not token:
                return

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns MLflow's failures into typed errors of one line without secrets."""
        try:
            yield
        except BoxwrightError:
            raise
        except Exception as error:
            if isinstance(error, ModuleNotFoundError):
                raise UsageError(
                    f"the model registry {self.shown} needs the package {error.name}; install it, or set "
                    "MLFLOW_TRACKING_URI to the address of an MLflow server"
                ) from None
            if not _is_of_mlflow(error):
                raise
            said = _one_line(str(error), self._uri)
            kind = failure_kind(getattr(error, "error_code", ""), StorageError)
            if kind is not StorageError:
                raise kind(f"the model registry {self.shown} refused: {said}") from error
            raise StorageError(
                f"the model registry {self.shown} did not answer as it should ({said}); start it, or correct "
                "MLFLOW_TRACKING_URI, then run again"
            ) from error


def _quieten() -> None:
    """Defaults that MLflow reads from the environment; what is set already wins."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def _quieten_loggers() -> None:
    # Creating the tables alone logs some sixty lines.
    quieten_loggers(("mlflow", "alembic", "urllib3.connectionpool"), logging.ERROR)


def _is_of_mlflow(error: Exception) -> bool:
    package = type(error).__module__.split(".")[0]
    return isinstance(error, OSError) or package in ("mlflow", "sqlalchemy", "requests", "urllib3", "alembic")


def _one_line(text: str, uri: str) -> str:
    """A library's message without the password, which it may repeat without the address around it."""
    if password := urlsplit(uri).password:
        for written in (password, unquote(password)):
            text = text.replace(written, "***")
    return re.sub(r"\s+", " ", without_secrets(text))[:300]


def _model(found: Any) -> RegisteredModel:
    return RegisteredModel(found.name, {alias: int(number) for alias, number in found.aliases.items()})


def _version(found: Any) -> Version:
    return read_version(found.name, found.version, found.source, found.creation_timestamp, found.tags, found.aliases)


def _run(found: Any) -> MlflowRun:
    return MlflowRun(
        run_id=found.info.run_id,
        experiment_id=found.info.experiment_id,
        status=found.info.status,
        started=found.info.start_time,
        artifacts=found.info.artifact_uri,
        tags=dict(found.data.tags),
        params=dict(found.data.params),
        metrics={name: str(value) for name, value in found.data.metrics.items()},
    )
