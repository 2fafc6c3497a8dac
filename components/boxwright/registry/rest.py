"""The registry over MLflow's REST API, for processes that may not pay for MLflow's own client.

That one takes five seconds and 140 MB to import, in every process of Airflow's server. This one has only what looking
at the registry and moving aliases need, under the names of `MlflowClient`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx

from boxwright.errors import StorageError, UsageError
from boxwright.registry.versions import RUN_ID

SECONDS = 10.0
_API = "/api/2.0/mlflow"
_PAGE = 500
_MODELS_PAGE = 100
_RUNS = 10
_HISTORY = 5000


@dataclass(frozen=True)
class RestVersion:
    """One version, as `boxwright.registry.versions.read_version` takes it."""

    name: str
    version: str
    source: str
    run_id: str
    creation_timestamp: int
    tags: dict[str, str] = field(repr=False)

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> RestVersion:
        """Reads what MLflow answers."""
        return cls(
            name=str(found["name"]),
            version=str(found["version"]),
            source=str(found.get("source", "")),
            run_id=str(found.get("run_id", "")),
            creation_timestamp=int(found.get("creation_timestamp", 0)),
            tags={str(tag["key"]): str(tag.get("value", "")) for tag in found.get("tags", ())},
        )


@dataclass(frozen=True)
class RestRun:
    """One run: its id, its tags, and the names of its metrics."""

    run_id: str
    experiment_id: str
    tags: dict[str, str] = field(repr=False)
    metrics: tuple[str, ...] = ()

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> RestRun:
        """Reads what MLflow answers."""
        data = found.get("data", {})
        return cls(
            run_id=str(found["info"]["run_id"]),
            experiment_id=str(found["info"]["experiment_id"]),
            tags={str(tag["key"]): str(tag.get("value", "")) for tag in data.get("tags", ())},
            metrics=tuple(str(metric["key"]) for metric in data.get("metrics", ())),
        )


@dataclass(frozen=True)
class RestModel:
    """One registered model; `aliases` is version by alias."""

    name: str
    aliases: dict[str, str]
    description: str = ""

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> RestModel:
        """Reads what MLflow answers."""
        aliases = {str(one["alias"]): str(one["version"]) for one in found.get("aliases", ())}
        return cls(str(found["name"]), aliases, str(found.get("description", "")))


class RestClient:
    """The registry of one MLflow server.

    Every method raises StorageError where the server does not answer, and UsageError where it refuses.

    Args:
        tracking_uri: address of the server; user and password may be part of it, or are `MLFLOW_TRACKING_USERNAME` and
            `MLFLOW_TRACKING_PASSWORD`, or `MLFLOW_TRACKING_TOKEN`, as for MLflow's own client.
        transport: other than the network, for tests.

    Raises:
        UsageError: the address is no server's.
    """

    def __init__(self, tracking_uri: str, transport: httpx.BaseTransport | None = None) -> None:
        if urlsplit(tracking_uri).scheme not in ("http", "https"):
            kind = tracking_uri.partition(":")[0]
            raise UsageError(
                f"the registry is opened as {kind}:, which these pages cannot read; start an MLflow server over it and "
                "set MLFLOW_TRACKING_URI to its address (`boxwright up` does both)"
            )
        self._uri, self._transport = tracking_uri.rstrip("/"), transport

    @cached_property
    def _http(self) -> httpx.Client:
        environment = os.environ
        user, token = environment.get("MLFLOW_TRACKING_USERNAME"), environment.get("MLFLOW_TRACKING_TOKEN")
        return httpx.Client(
            base_url=self._uri,
            auth=(user, environment.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None,
            headers={"Authorization": f"Bearer {token}"} if token and not user else {},
            timeout=SECONDS,
            transport=self._transport,
        )

    @property
    def shown(self) -> str:
        """The server's address without a password."""
        parts = urlsplit(self._uri)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def registered_models(self) -> list[RestModel]:
        """All registered models."""
        pages = self._pages("registered-models/search", "registered_models", {"max_results": _MODELS_PAGE})
        return [RestModel.of_json(one) for page in pages for one in page]

    def get_registered_model(self, name: str) -> RestModel:
        """One registered model."""
        return RestModel.of_json(self._get("registered-models/get", {"name": name})["registered_model"])

    def version_pages(self, query: str = "", page: int = _PAGE) -> Iterator[list[RestVersion]]:
        """The versions that match a filter of MLflow's, newest first, a page at a time."""
        asked = {"filter": query, "max_results": page, "order_by": "creation_timestamp DESC"}
        for found in self._pages("model-versions/search", "model_versions", asked):
            yield [RestVersion.of_json(one) for one in found]

    def get_model_version(self, name: str, version: str) -> RestVersion:
        """One version."""
        found = self._get("model-versions/get", {"name": name, "version": version})
        return RestVersion.of_json(found["model_version"])

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Makes or moves an alias."""
        self._ask("POST", "registered-models/alias", json={"name": name, "alias": alias, "version": version})

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Removes an alias."""
        self._ask("DELETE", "registered-models/alias", json={"name": name, "alias": alias})

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Writes a tag of a version."""
        self._ask("POST", "model-versions/set-tag", json={"name": name, "version": version, "key": key, "value": value})

    def run_address(self, model_name: str, run_id: str) -> str | None:
        """The page of a run's MLflow run, for a browser; None where there is none."""
        run = self.find_run(model_name, run_id)
        return f"{self.shown}/#/experiments/{run.experiment_id}/runs/{run.run_id}" if run else None

    def find_run(self, model_name: str, run_id: str) -> RestRun | None:
        """The MLflow run of a run; None where there is none."""
        asked = {"filter": f"name = '{model_name}'", "max_results": 1}
        experiments = self._get("experiments/search", asked).get("experiments", ())
        if not experiments:
            return None
        ids = [str(experiments[0]["experiment_id"])]
        query = {"experiment_ids": ids, "filter": f"tags.`{RUN_ID}` = '{run_id}'", "max_results": _RUNS}
        runs = self._ask("POST", "runs/search", json=query).get("runs", ())
        # Some databases compare without case.
        return next((run for run in map(RestRun.of_json, runs) if run.tags.get(RUN_ID) == run_id), None)

    def metric_history(self, run: RestRun, name: str) -> list[tuple[int, float]]:
        """(step, value) of a metric of a run, as they were logged."""
        asked = {"run_id": run.run_id, "metric_key": name, "max_results": _HISTORY}
        pages = self._pages("metrics/get-history", "metrics", asked)
        return [(int(one.get("step", 0)), float(one["value"])) for page in pages for one in page]

    def _pages(self, path: str, key: str, asked: Mapping[str, Any]) -> Iterator[list[Any]]:
        token = None
        while True:
            found = self._get(path, {**asked, **({"page_token": token} if token else {})})
            yield list(found.get(key, ()))
            token = found.get("next_page_token")
            if not token:
                return

    def _get(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("GET", path, params=dict(asked))

    def _ask(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, f"{_API}/{path}", **given)
            found = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise StorageError(
                f"the model registry {self.shown} did not answer as it should ({type(error).__name__}); start MLflow, "
                "or correct MLFLOW_TRACKING_URI of Airflow's server, then load the page again"
            ) from None
        if answer.is_success and isinstance(found, dict):
            return found
        said = str(found.get("message", ""))[:300] if isinstance(found, dict) else ""
        text = f"the model registry {self.shown} answered {answer.status_code}: {said or answer.reason_phrase}"
        if answer.status_code in (429, 500, 502, 503, 504):
            raise StorageError(f"{text}; try again, and look at MLflow's log if it goes on")
        raise UsageError(text)
