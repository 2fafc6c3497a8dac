"""Runs over two machines with disks of their own, which share ML Metadata in PostgreSQL, S3 and the registry."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from postgres_server import PASSWORD, Postgres
from seaweed import Seaweed

from boxwright.config.run_info import new_run
from boxwright.config.settings import Settings
from boxwright.metadata.store import open_store
from boxwright.pipeline.launching import compile_pipeline
from boxwright.pipeline.runner import run_pipeline
from boxwright.registry.opening import open_registry

QUICK = {"epochs": 2, "image_size": 64, "batch_size": 4}
Use = Callable[[int], Path]


@pytest.fixture
def uri(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
def use(uri: str, s3: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    """Makes this process one of two machines, by its number."""
    bucket = s3.make_bucket(f"machines-{abs(hash(tmp_path)):x}")
    monkeypatch.setenv("BOXWRIGHT_METADATA_URI", uri)
    monkeypatch.setenv("BOXWRIGHT_PIPELINE_ROOT", f"{bucket}/pipeline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.sqlite")

    def become(number: int) -> Path:
        home = tmp_path / ("first" if number == 0 else "the-second-one")
        monkeypatch.setenv("BOXWRIGHT_HOME", str(home))
        monkeypatch.setenv("BOXWRIGHT_CACHE", str(home / "cache"))
        return home

    become(0)
    return become


def test_two_machines_do_a_run_between_them(
    use: Use, uri: str, postgres: Postgres, settings_of: Any, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("BOXWRIGHT_VERBOSE", "1")
    caplog.set_level(logging.DEBUG)
    did: dict[int, list[str]] = {0: [], 1: []}

    def in_turn(step: str) -> None:
        number = len(did[0] + did[1]) % 2
        did[number].append(step)
        use(number)

    result = run_pipeline(settings_of(hyperparameters=QUICK, model_name="of-two"), new_run("between"), in_turn)
    assert (result["status"], result["version"], len(open_registry().versions("of-two"))) == ("registered", 1, 1)
    homes = {number: use(number) for number in did}
    config, settings = settings_of(), Settings.from_environment()
    nodes = [item.pipeline_node for item in compile_pipeline(config, new_run(), settings).nodes]
    for number, home in homes.items():
        # Each has what its own steps put out, and what these read of the other's, and not more.
        read = {name for node in nodes if node.node_info.id in did[number] for name in node.upstream_nodes}
        expected = set(did[number]) | read & set(did[0] + did[1])
        (part,) = [folder for folder in (home / "pipeline").iterdir() if folder.name != "checkpoints"]
        assert {folder.name for folder in part.iterdir() if not folder.name.startswith(".")} == expected

    artifacts = open_store(Settings.from_environment().metadata).get_artifacts()
    assert len(artifacts) == len(did[0] + did[1])
    assert all(one.uri.startswith("boxwright://pipeline/") for one in artifacts)
    rows = {table: postgres.query(uri, f"SELECT * FROM {table}") for table in tables(postgres, uri)}
    assert {str(home) for home in homes.values()} == {home for _, home, *_ in rows["boxwright_worker"]}
    of_artifacts = str({table: found for table, found in rows.items() if table != "boxwright_worker"})
    assert not any(str(home) in of_artifacts for home in homes.values()), "no address is a machine's own"
    said = "".join([caplog.text, *capfd.readouterr(), json.dumps(result), str(rows)])
    assert "BoxwrightDataset" in said, "TFX says all that it does"
    assert PASSWORD not in said and quote(PASSWORD, safe="") not in said
    assert postgres.query(uri, "SELECT * FROM boxwright_lease") == []


def tables(postgres: Postgres, uri: str) -> list[str]:
    found = postgres.query(uri, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    return [name for (name,) in found]


def test_a_run_ends_as_it_would_where_the_server_is_restarted_in_each_step(
    use: Use, postgres: Postgres, settings_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfx.orchestration.portable import execution_publish_utils

    publish = execution_publish_utils.publish_succeeded_execution
    restarted: list[int] = []

    def after_a_restart(*args: Any, execution_id: int, **named: Any) -> Any:
        if execution_id not in restarted:
            # With a connection that is open, and the step's work done.
            restarted.append(execution_id)
            postgres.stop()
            postgres.start()
        return publish(*args, execution_id=execution_id, **named)

    monkeypatch.setattr(execution_publish_utils, "publish_succeeded_execution", after_a_restart)
    steps: list[str] = []
    result = run_pipeline(settings_of(hyperparameters=QUICK, model_name="restarted"), new_run("restarts"), steps.append)
    assert (result["status"], len(open_registry().versions("restarted"))) == ("registered", 1)
    assert len(restarted) == len(steps)
    assert len(open_store(Settings.from_environment().metadata).get_artifacts()) == len(steps)
