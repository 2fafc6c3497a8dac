"""A run without Airflow is known by its name from its first moment to its end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from boxwright.cli.app import app
from boxwright.config import RunConfig, parse_config
from boxwright.errors import GateError, StorageError, UsageError
from boxwright.pipeline.local_runs import find_run, running, start_run
from boxwright.registry.writer_lock import WriterLock


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of this test alone."""
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def config() -> RunConfig:
    return parse_config({"training": "s3://b/{as_of:%Y}", "output": "/o", "hyperparameters": {"epochs": 7}})


def test_the_last_run_that_stopped_is_found_with_all_its_settings(home: Path, config: RunConfig) -> None:
    start_run(config, "first")
    second = start_run(config)
    assert find_run() == second and find_run().config == config
    with running(second):
        pass
    assert find_run().run.run_id == "first"
    assert find_run(second.run.run_id).ended


def test_a_run_that_goes_on_has_the_defaults_of_its_model(home: Path) -> None:
    from boxwright.model import hyperparameters_of

    config = parse_config({"training": "a", "output": "b", "hyperparameters": {"epochs": 7}})
    chosen = hyperparameters_of(config)
    assert chosen.learning_rate != config.hyperparameters.learning_rate, "the model has a default of its own"
    start_run(config, "first")
    assert hyperparameters_of(find_run("first").config) == chosen


def test_a_run_that_fails_has_not_ended(home: Path, config: RunConfig) -> None:
    local = start_run(config, "failing")
    with pytest.raises(ZeroDivisionError), running(local):
        raise ZeroDivisionError
    assert find_run() == local


def test_a_run_whose_model_is_refused_has_ended_and_is_not_offered_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*arguments: object, **named: object) -> None:
        raise GateError("too low")

    def fails(*arguments: object, **named: object) -> None:
        raise StorageError("S3 is away")

    caplog.set_level("INFO", logger="boxwright")
    for run_id, work, offered in (("refused", refused, False), ("failed", fails, True)):
        caplog.clear()
        monkeypatch.setattr("boxwright.pipeline.run_pipeline", work)
        command = ["run", "--dataset", "/data", "--output", "/o", "--run-id", run_id]
        assert CliRunner().invoke(app, command).exit_code != 0
        assert ("stopped before its end" in caplog.text) is offered
        assert find_run(run_id).ended is not offered
    assert find_run().run.run_id == "failed"


def test_what_is_no_run_is_refused_with_those_that_are(home: Path, config: RunConfig) -> None:
    with pytest.raises(UsageError, match="start one with --dataset"):
        find_run()
    start_run(config, "monday")
    with pytest.raises(UsageError, match="no run 'tuesday'.*runs that can go on: monday"):
        find_run("tuesday")
    with pytest.raises(UsageError, match="no run '../monday'"):
        find_run("../monday")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "-x", "x" * 121, "a b"])
def test_a_name_that_is_no_folders_is_refused(name: str, home: Path, config: RunConfig) -> None:
    with pytest.raises(UsageError, match="--run-id"):
        start_run(config, name)


def test_no_two_runs_have_one_name(home: Path, config: RunConfig) -> None:
    start_run(config, "monday")
    with pytest.raises(UsageError, match="`boxwright run --resume monday` goes on with it"):
        start_run(config, "monday")


def test_a_run_is_one_process_at_a_time(home: Path, config: RunConfig) -> None:
    local = start_run(config, "monday")
    with running(local), pytest.raises(UsageError, match="under way in another process"), running(local):
        pass


HOLD = """
import sys
from boxwright.pipeline.local_runs import find_run, running
from boxwright.registry.writer_lock import WriterLock

with running(find_run("monday")), WriterLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_locks_that_a_killed_process_left_are_in_nobodys_way(home: Path, config: RunConfig) -> None:
    local, registry = start_run(config, "monday"), f"sqlite:///{home}/mlflow.sqlite"
    command = [sys.executable, "-c", HOLD, registry]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline()
        with pytest.raises(UsageError, match="under way in another process"), running(local):
            pass
        with (
            pytest.raises(StorageError, match="another process held .*; end it"),
            WriterLock(registry, 0.1),
        ):
            pass
        holder.kill()
    with running(local), WriterLock(registry, 0.1):
        pass
    assert find_run("monday").ended


def test_a_record_that_was_cut_is_in_nobodys_way(home: Path, config: RunConfig) -> None:
    local = start_run(config, "monday")
    start_run(config, "tuesday")
    record = home / "runs" / "tuesday" / "run.json"
    record.write_text(json.dumps({"run": None}))
    assert find_run() == local
