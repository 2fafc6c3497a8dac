"""The registry through a real MLflow server, which takes no local path as a version's source."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from boxwright.registry.opening import open_registry
from boxwright.registry.port import Release

MakeRelease = Callable[..., Release]


def test_a_server_registers_local_and_remote_archives(server: Any, release: MakeRelease, tmp_path: Path) -> None:
    registry = open_registry(server.address)
    local = registry.register(release("run-1", archive_uri=f"{tmp_path}/run-1/model.tar.gz"))
    remote = registry.register(release("run-2", archive_uri="s3://models/run-2/output/model.tar.gz", ap=0.5))
    assert registry.register(release("run-1")) == local
    assert local.archive_uri == f"{tmp_path}/run-1/model.tar.gz"
    assert remote.archive_uri == "s3://models/run-2/output/model.tar.gz"
    assert registry.resolve("models:/detector@champion") == remote
    client = MlflowClient(tracking_uri=server.address, registry_uri=server.address)
    assert client.get_model_version("detector", "2").source == remote.archive_uri
    run_id = client.get_model_version("detector", "1").run_id
    assert [file.path for file in client.list_artifacts(run_id, "pictures")] == ["pictures/predictions.png"]
    assert open_registry(f"sqlite:///{server.store}").versions("detector") == (local, remote), (
        "the same store, opened as a file"
    )


LOOKING_IN = """
import sys
from boxwright.registry import find_start, open_registry
from boxwright.config import RunInfo, parse_config
from datetime import UTC, datetime

registry = open_registry()
champion = registry.resolve("models:/detector@champion")
listed = [version.version for version in registry.versions("detector")]
registry.promote("models:/detector/1")
registry.rollback("detector")
registry.log_epoch("detector", "training", {"epoch": 0.0, "loss": 1.0})
config = parse_config({"training": "/t", "output": "/o"})
start = find_start(config, RunInfo(run_id="next", as_of=datetime(2030, 1, 1, tzinfo=UTC)))
print(champion.version, listed, start.parent, "mlflow" in sys.modules)
"""


def test_a_process_that_asks_a_server_does_not_load_mlflow(server: Any, release: MakeRelease) -> None:
    for number in (1, 2):
        open_registry(server.address).register(release(f"run-{number}", f"2025-0{number}-01", ap=number / 10))
    asked = subprocess.run(
        [sys.executable, "-c", LOOKING_IN],
        env=os.environ | {"MLFLOW_TRACKING_URI": server.address},
        capture_output=True,
        text=True,
    )
    assert (asked.stdout, asked.returncode) == ("2 [1, 2] models:/detector/2 False\n", 0), asked.stderr


def test_a_process_that_registers_at_a_server_does_not_load_mlflow(server: Any, release: MakeRelease) -> None:
    registering = (
        "import sys\n"
        "from boxwright.registry.opening import open_registry\n"
        "from boxwright.registry.port import Release\n"
        "version = open_registry(sys.argv[1]).register(Release.model_validate_json(sys.argv[2]))\n"
        "print(version.reference, 'mlflow' in sys.modules)"
    )
    facts = release("run-1").model_dump_json()
    asked = subprocess.run(
        [sys.executable, "-c", registering, server.address, facts], capture_output=True, text=True, check=True
    )
    assert asked.stdout == "models:/detector/1 False\n"
    client = MlflowClient(tracking_uri=server.address, registry_uri=server.address)
    (picture,) = client.list_artifacts(client.get_model_version("detector", "1").run_id, "pictures")
    assert (picture.path, picture.file_size) == ("pictures/predictions.png", len(b"a picture"))


RACE = """
import sys, time
from pathlib import Path
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Release

uri, me, other, rounds, *facts = sys.argv[1:]
registry = open_registry(uri)
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
    machines: str, server: Any, release: MakeRelease, tmp_path: Path
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
                    server.address,
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
    registry = open_registry(server.address)
    for number in range(ROUNDS):
        versions = registry.versions(f"race-{number}")
        assert sorted(version.run_id for version in versions) == ["run-a", "run-b"]
        assert all(version.settled for version in versions)
        aliases = registry.aliases(f"race-{number}")
        champion = next(version for version in versions if version.version == aliases["champion"])
        assert (champion.run_id, aliases["candidate"]) == ("run-b", 2)
        assert aliases.get("previous") in (None, *(one.version for one in versions if one.run_id == "run-a"))
