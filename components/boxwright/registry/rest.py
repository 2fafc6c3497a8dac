"""MLflow through the REST API of its server, for every process that has one to ask.

MLflow's own client takes five seconds and 140 MB to import.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from boxwright.registry.mlflow_client import RUNNING, VERSIONS_PAGE, Metric, MissingError, MlflowRun
from boxwright.registry.mlflow_http import MlflowHttp
from boxwright.registry.port import RegisteredModel, Version
from boxwright.registry.tags import read_version

_MODELS_PAGE = 100
_RUNS = 10
_HISTORY = 5000


class RestClient:
    """The `MlflowClient` of a server.

    Args:
        tracking_uri: address of the server, see `MlflowHttp`.
        quick: for a process that others wait for, see `MlflowHttp`.
        transport: other than the network, for tests.
    """

    def __init__(self, tracking_uri: str, quick: bool = False, transport: httpx.BaseTransport | None = None) -> None:
        self._uri = tracking_uri
        self._http = MlflowHttp(tracking_uri, quick, transport)

    @property
    def shown(self) -> str:
        """See `MlflowClient`."""
        return self._http.shown

    @property
    def address(self) -> str:
        """See `MlflowClient`."""
        return self._http.shown

    def models(self) -> list[RegisteredModel]:
        """See `MlflowClient`."""
        pages = self._http.pages("registered-models/search", "registered_models", {"max_results": _MODELS_PAGE})
        return [_model(one) for page in pages for one in page]

    def model(self, name: str) -> RegisteredModel:
        """See `MlflowClient`."""
        return _model(self._http.get("registered-models/get", {"name": name})["registered_model"])

    def create_model(self, name: str) -> None:
        """See `MlflowClient`."""
        self._http.post("registered-models/create", {"name": name})

    def version_pages(self, query: str = "", page: int = VERSIONS_PAGE) -> Iterator[list[Version]]:
        """See `MlflowClient`."""
        asked = {"filter": query, "max_results": page, "order_by": "creation_timestamp DESC"}
        for found in self._http.pages("model-versions/search", "model_versions", asked):
            yield [_version(one) for one in found]

    def version(self, name: str, number: int) -> Version:
        """See `MlflowClient`."""
        asked = {"name": name, "version": str(number)}
        return _version(self._http.get("model-versions/get", asked)["model_version"])

    def version_of_alias(self, name: str, alias: str) -> Version:
        """See `MlflowClient`."""
        return _version(self._http.get("registered-models/alias", {"name": name, "alias": alias})["model_version"])

    def create_version(self, name: str, source: str, run_id: str | None, tags: Mapping[str, str]) -> Version:
        """See `MlflowClient`."""
        made = {"name": name, "source": source, "run_id": run_id, "tags": _pairs(tags)}
        return _version(self._http.post("model-versions/create", made, again=False)["model_version"])

    def set_version_tag(self, name: str, number: int, key: str, value: str) -> None:
        """See `MlflowClient`."""
        written = {"name": name, "version": str(number), "key": key, "value": value}
        self._http.post("model-versions/set-tag", written)

    def set_alias(self, name: str, alias: str, number: int) -> None:
        """See `MlflowClient`."""
        self._http.post("registered-models/alias", {"name": name, "alias": alias, "version": str(number)})

    def delete_alias(self, name: str, alias: str) -> None:
        """See `MlflowClient`."""
        self._http.ask("DELETE", "mlflow/registered-models/alias", json={"name": name, "alias": alias})

    def experiment(self, name: str) -> str | None:
        """See `MlflowClient`."""
        try:
            found = self._http.get("experiments/get-by-name", {"experiment_name": name})
        except MissingError:
            return None
        return str(found["experiment"]["experiment_id"])

    def create_experiment(self, name: str) -> str:
        """See `MlflowClient`."""
        return str(self._http.post("experiments/create", {"name": name})["experiment_id"])

    def runs(self, experiment_id: str, query: str) -> list[MlflowRun]:
        """See `MlflowClient`."""
        asked = {"experiment_ids": [experiment_id], "filter": query, "max_results": _RUNS}
        return [_run(one) for one in self._http.post("runs/search", asked).get("runs", ())]

    def create_run(self, experiment_id: str, tags: Mapping[str, str]) -> MlflowRun:
        """See `MlflowClient`."""
        made = {"experiment_id": experiment_id, "start_time": _now(), "tags": _pairs(tags)}
        return _run(self._http.post("runs/create", made, again=False)["run"])

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """See `MlflowClient`."""
        values = [
            {"key": one.name, "value": _number(one.value), "timestamp": one.time, "step": one.step} for one in metrics
        ]
        written = {"run_id": run_id, "metrics": values, "params": _pairs(params or {}), "tags": _pairs(tags or {})}
        self._http.post("runs/log-batch", written)

    def log_file(self, run: MlflowRun, path: Path, folder: str) -> None:
        """See `MlflowClient`; a server that does not take files itself leaves them to MLflow's own client."""
        place = urlsplit(run.artifacts)
        if place.scheme != "mlflow-artifacts" or place.netloc:
            from boxwright.registry.mlflow_library import LibraryClient

            LibraryClient(self._uri, nullcontext()).log_file(run, path, folder)
            return
        target = quote(f"{place.path.strip('/')}/{folder}/{path.name}")
        self._http.ask("PUT", f"mlflow-artifacts/artifacts/{target}", content=path.read_bytes())

    def end_run(self, run_id: str, status: str) -> None:
        """See `MlflowClient`."""
        self._http.post("runs/update", {"run_id": run_id, "status": status, "end_time": _now()})

    def reopen_run(self, run_id: str) -> None:
        """See `MlflowClient`."""
        self._http.post("runs/update", {"run_id": run_id, "status": RUNNING})

    def metric_history(self, run_id: str, name: str) -> list[tuple[int, float]]:
        """See `MlflowClient`."""
        asked = {"run_id": run_id, "metric_key": name, "max_results": _HISTORY}
        pages = self._http.pages("metrics/get-history", "metrics", asked)
        return [(int(one.get("step", 0)), float(one["value"])) for page in pages for one in page]


def _model(found: Mapping[str, Any]) -> RegisteredModel:
    aliases = {str(one["alias"]): int(one["version"]) for one in found.get("aliases", ())}
    return RegisteredModel(str(found["name"]), aliases)


def _version(found: Mapping[str, Any]) -> Version:
    return read_version(
        name=str(found["name"]),
        number=str(found["version"]),
        source=str(found.get("source", "")),
        created=int(found.get("creation_timestamp", 0)),
        tags=_named(found.get("tags", ())),
        aliases=[str(alias) for alias in found.get("aliases", ())],
    )


def _run(found: Mapping[str, Any]) -> MlflowRun:
    info, data = found["info"], found.get("data", {})
    return MlflowRun(
        run_id=str(info["run_id"]),
        experiment_id=str(info["experiment_id"]),
        status=str(info.get("status", "")),
        started=int(info.get("start_time", 0)),
        artifacts=str(info.get("artifact_uri", "")),
        tags=_named(data.get("tags", ())),
        params=_named(data.get("params", ())),
        metrics=_named(data.get("metrics", ())),
    )


def _named(pairs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {str(pair["key"]): str(pair.get("value", "")) for pair in pairs}


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _number(value: float) -> float | str:
    """JSON has no NaN and no infinity; MLflow takes their names."""
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _now() -> int:
    return int(time.time() * 1000)
