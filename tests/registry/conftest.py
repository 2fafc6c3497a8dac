"""The same registry twice: as a database file, and behind a real MLflow server that all tests of this folder share."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from boxwright.registry.opening import open_registry
from boxwright.registry.port import Registry, Release

MakeRelease = Callable[..., Release]


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    """A database of the test's own."""
    return Path(shutil.copyfile(empty_store, tmp_path / "mlflow.sqlite"))


@dataclass(frozen=True)
class Server:
    """An MLflow server, and the database below it."""

    address: str
    store: Path

    def empty(self) -> None:
        """Forgets all that tests have made."""
        with closing(sqlite3.connect(self.store, timeout=60)) as database:
            tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                if table == "experiments":
                    database.execute("DELETE FROM experiments WHERE experiment_id != 0")
                elif table not in ("alembic_version", "workspaces"):
                    database.execute(f'DELETE FROM "{table}"')
            database.commit()


@pytest.fixture(scope="session")
def shared_server(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mlflow-server")
    store = Path(shutil.copyfile(empty_store, folder / "mlflow.sqlite"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{store}"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--workers", "1"],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, folder / "server.log")
            yield Server(f"http://127.0.0.1:{port}", store)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise AssertionError(f"no MLflow server: {log.read_text()[-2000:]}")


@pytest.fixture
def server(shared_server: Server) -> Server:
    """The server, with nothing in it."""
    shared_server.empty()
    return shared_server


@pytest.fixture(params=["file", "server"])
def tracking_uri(request: pytest.FixtureRequest) -> str:
    """An empty registry, opened as a file by MLflow's own client, and over REST."""
    if request.param == "file":
        return f"sqlite:///{request.getfixturevalue('store')}"
    return str(request.getfixturevalue("server").address)


@pytest.fixture
def registry(tracking_uri: str) -> Registry:
    return open_registry(tracking_uri)


@pytest.fixture
def mlflow(tracking_uri: str) -> MlflowClient:
    """MLflow's own client, to look at what the registry has written, and to write as others do."""
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


@pytest.fixture
def release(tmp_path: Path) -> MakeRelease:
    """Makes releases that differ in what is given."""
    picture = tmp_path / "predictions.png"
    picture.write_bytes(b"a picture")

    def make(run_id: str, as_of: str = "2025-03-01", ap: float = 0.4, **changes: Any) -> Release:
        facts: dict[str, Any] = {
            "model_name": "detector",
            "run_id": run_id,
            "archive_uri": f"{tmp_path}/{run_id}/output/model.tar.gz",
            "as_of": datetime.fromisoformat(as_of).replace(tzinfo=UTC),
            "metrics": {"AP": ap, "AP50": ap + 0.1, "images": 72.0},
            "fingerprint": "sha256:abc",
            "parent": "models:/detector/1",
            "model_id": "retinanet-efficientnet-lite0-320",
            "classes": ["RBC", "WBC ☃ 'quoted'"],
            "config_json": '{"training": "s3://data/train", "hyperparameters": {"epochs": 3}}',
            "code_version": "0.1.0",
            "pictures": [picture],
        }
        return Release(**(facts | changes))

    return make
