"""An Airflow whose users log in through FAB: its own api-server with our pages, a registry, and a run under way."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import airflow_env
import httpx
import prepare_airflow
import pytest
import tinyset
from fab_visits import FabAirflow, Visitor
from made_versions import register_version
from waiting import wait_for

from boxwright.dataset.validation import Report
from boxwright.registry.port import Registry

FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


@pytest.fixture(scope="module")
def fab_airflow(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path, seaweed_server: Any
) -> Iterator[FabAirflow]:
    """The server, until the module's last test."""
    folder = tmp_path_factory.mktemp("fab")
    tinyset.write(folder / "set" / "training")
    store = shutil.copyfile(empty_store, folder / "mlflow.sqlite")
    with _mlflow(store) as address, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        registry = _registry(store, folder)
        bucket = seaweed_server.make_bucket("of-fab")
        lists = {"MLFLOW_TRACKING_URI": address, "BOXWRIGHT_ALLOWED_URIS": f"{folder},{bucket}"}
        environment = _environment(folder, url) | lists | seaweed_server.environment
        _prepare(folder, environment)
        with _api_server(folder, url, environment):
            yield FabAirflow(url, registry, folder / "set", bucket)


@pytest.fixture(scope="module")
def visitors(fab_airflow: FabAirflow) -> Iterator[dict[str | None, Visitor]]:
    """One of each role, logged in with a password, and one who is not."""
    found: dict[str | None, Visitor] = {}
    for role in (None, *(name.lower() for name in (*prepare_airflow.ROLES, prepare_airflow.OF_OTHER_DAG))):
        client = httpx.Client(base_url=fab_airflow.url, timeout=60, trust_env=False)
        if role:
            login = client.post("/auth/token", json={"username": role, "password": prepare_airflow.PASSWORD})
            client.cookies.set("_token", login.raise_for_status().json()["access_token"])
        found[role] = Visitor(role, fab_airflow, client)
    yield found
    for one in found.values():
        one.client.close()


def _registry(store: Path, folder: Path) -> Registry:
    """With three versions, and the training of the prepared run under way."""
    from boxwright.registry.opening import open_registry

    registry = open_registry(f"sqlite:///{store}")
    for number in (1, 2, 3):
        register_version(registry, folder, f"run-{number}", f"2026-03-0{number}", number / 10)
    looked_at = {"training": {"annotations": str(folder / "set" / "training" / "annotations.json")}}
    Report(fingerprint="f" * 64, splits=looked_at).write(folder / "run-1" / "output" / "validation_report.json")
    registry.begin_training("detector", prepare_airflow.RUN_ID, {})
    return registry


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def _mlflow(store: Path) -> Iterator[str]:
    """Address of MLflow's real server in a thread."""
    from mlflow.server import app, handlers
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handlers, "_model_registry_store", RegistryStore(f"sqlite:///{store}"))
        patch.setattr(handlers, "_tracking_store", TrackingStore(f"sqlite:///{store}", str(store.parent)))
        server = make_server("127.0.0.1", 0, app, _Threads, _Quiet)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _environment(folder: Path, url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))}
    code = (airflow_env.REPOSITORY / "components", airflow_env.PLUGINS)
    settings = {
        "CORE__AUTH_MANAGER": FAB,
        "CORE__DAGS_FOLDER": str(airflow_env.DAGS),
        "CORE__PLUGINS_FOLDER": str(airflow_env.PLUGINS),
        "CORE__LOAD_EXAMPLES": "False",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
        "API__BASE_URL": url,
        "API__SECRET_KEY": "a secret of the tests' pages",
        "API_AUTH__JWT_SECRET": "a secret of the tests that is long enough for its algorithm to be taken",
        "LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
    }
    return kept | {f"AIRFLOW__{name}": value for name, value in settings.items()} | {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "BOXWRIGHT_HOME": str(folder / "home"),
        "PYTHONPATH": os.pathsep.join(map(str, (*code, kept.get("PYTHONPATH", "")))),
    }  # fmt: skip


def _prepare(folder: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, prepare_airflow.__file__, str(folder / "run-1" / "output")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


@contextmanager
def _api_server(folder: Path, url: str, environment: dict[str, str]) -> Iterator[None]:
    port = url.rpartition(":")[2]
    command = [
        sys.executable,
        "-m",
        "airflow",
        "api-server",
        "--host",
        "127.0.0.1",
        "--port",
        port,
        "--workers",
        "1",
        "--apps",
        "core",
    ]
    command += ["--apps", "core"]
    with (folder / "api-server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: process.poll() is not None or _answers(url), "the api-server")
        assert process.poll() is None, (folder / "api-server.log").read_text()[-4000:]
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/version", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False
