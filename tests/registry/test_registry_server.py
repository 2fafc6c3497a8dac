"""The registry through a real MLflow server, which takes no local path as a version's source."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from boxwright.registry.mlflow_registry import Registry, Release

MakeRelease = Callable[..., Release]


@pytest.fixture
def server(store: Path, tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path / "server.log").open("wb")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{store}"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--workers", "1"],
        cwd=tmp_path,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, tmp_path / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        log.close()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise AssertionError(f"no MLflow server: {log.read_text()[-2000:]}")


def test_a_server_registers_local_and_remote_archives(
    server: str, store: Path, release: MakeRelease, tmp_path: Path
) -> None:
    registry = Registry(server)
    local = registry.register(release("run-1", archive_uri=f"{tmp_path}/run-1/model.tar.gz"))
    remote = registry.register(release("run-2", archive_uri="s3://models/run-2/output/model.tar.gz", ap=0.5))
    assert registry.register(release("run-1")) == local
    assert local.archive_uri == f"{tmp_path}/run-1/model.tar.gz"
    assert remote.archive_uri == "s3://models/run-2/output/model.tar.gz"
    assert registry.resolve("models:/detector@champion") == remote
    client = MlflowClient(tracking_uri=server, registry_uri=server)
    assert client.get_model_version("detector", "2").source == remote.archive_uri
    run_id = client.get_model_version("detector", "1").run_id
    assert [file.path for file in client.list_artifacts(run_id, "pictures")] == ["pictures/predictions.png"]
    assert Registry(f"sqlite:///{store}").versions("detector") == (local, remote), "the same store, opened as a file"


RACE = """
import sys, time
from pathlib import Path
from boxwright.registry.mlflow_registry import Registry, Release

uri, me, other, rounds, *facts = sys.argv[1:]
registry = Registry(uri)
registry.versions("nothing")
for number in range(int(rounds)):
    release = Release.model_validate_json(facts[0]).model_copy(update={"model_name": f"race-{number}"})
    Path(f"{me}-{number}").touch()
    deadline = time.monotonic() + 120
    while not Path(f"{other}-{number}").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    registry.register(release)
"""
ROUNDS = 6


@pytest.mark.parametrize("machines", ["one machine", "two machines"])
def test_two_runs_that_register_and_promote_at_once(
    machines: str, server: str, release: MakeRelease, tmp_path: Path
) -> None:
    processes = []
    for name, other, ap in (("a", "b", 0.5), ("b", "a", 0.6)):
        # The lock between processes lies in the folder for temporary files: two machines have two of them.
        temporary = tmp_path / (name if machines == "two machines" else "shared")
        temporary.mkdir(exist_ok=True)
        facts = release(f"run-{name}", ap=ap).model_dump_json()
        processes.append(
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    RACE,
                    server,
                    tmp_path / f"{name}-at",
                    tmp_path / f"{other}-at",
                    str(ROUNDS),
                    facts,
                ],
                cwd=Path(__file__).resolve().parents[2],
                env=os.environ | {"TMPDIR": str(temporary)},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    answers = [(process.communicate(timeout=600)[1], process.returncode) for process in processes]
    assert answers == [("", 0), ("", 0)]
    registry = Registry(server)
    for number in range(ROUNDS):
        versions = registry.versions(f"race-{number}")
        assert sorted(version.run_id for version in versions) == ["run-a", "run-b"]
        assert all(version.settled for version in versions)
        aliases = registry.aliases(f"race-{number}")
        champion = next(version for version in versions if version.version == aliases["champion"])
        assert (champion.run_id, aliases["candidate"]) == ("run-b", 2)
        assert aliases.get("previous") in (None, *(one.version for one in versions if one.run_id == "run-a"))
