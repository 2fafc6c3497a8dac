"""What `boxwright status` says of a stack whose services do not run, or whose supervisor does not."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from boxwright.cli.app import app
from boxwright.config.settings import Settings
from boxwright.stack import supervisor
from boxwright.stack.environment import Stack, find_stack
from boxwright.stack.processes import ProcessTable
from boxwright.stack.services import services_of
from boxwright.stack.state import Health, states_of
from boxwright.stack.supervision import Account, Phase

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def stack(home: Settings) -> Stack:
    return find_stack(home)


@pytest.fixture
def table(stack: Stack) -> Iterator[ProcessTable]:
    """Of the stack, with a process that stands for its supervisor."""
    found = ProcessTable(stack.folder)
    found.start(supervisor.NAME, SLEEPER, os.environ)
    yield found
    found.stop(supervisor.NAME, grace=0)
    found.stop("mlflow", grace=0)


def health_of(stack: Stack) -> dict[str, Health]:
    return {state.name: state.health for state in states_of(stack)}


def note(stack: Stack, phase: Phase) -> None:
    accounts = {service.name: Account(phase, since=time.time(), restarts=4) for service in services_of(stack)}
    supervisor.accounts_of(stack.folder).write(accounts)


def test_what_was_never_started_is_stopped_and_the_exit_code_says_so(stack: Stack) -> None:
    assert set(health_of(stack).values()) == {Health.STOPPED}
    done = CliRunner().invoke(app, ["status", "--json"])
    told = json.loads(done.output)
    assert (done.exit_code, told["ready"]) == (4, False)
    assert {one["state"] for one in told["services"]} == {"stopped"}


@pytest.mark.parametrize(
    ("phase", "health"),
    [
        (Phase.WAITING, Health.RESTARTING),
        (Phase.RUNNING, Health.RESTARTING),
        (Phase.RESTARTING, Health.RESTARTING),
        (Phase.DEAD, Health.DEAD),
    ],
)
def test_a_service_without_a_process_is_on_its_way_or_dead(
    stack: Stack, table: ProcessTable, phase: Phase, health: Health
) -> None:
    note(stack, phase)
    assert health_of(stack)["mlflow"] is health
    (state,) = [state for state in states_of(stack) if state.name == "mlflow"]
    assert (state.restarts, state.pid, state.since is None) == (4, None, False)


def test_without_a_supervisor_nothing_is_on_its_way(stack: Stack, table: ProcessTable) -> None:
    note(stack, Phase.RESTARTING)
    table.stop(supervisor.NAME, grace=0)
    assert set(health_of(stack).values()) == {Health.DEAD}


def test_a_service_that_does_not_answer_is_starting_and_after_long_not_ready(
    stack: Stack, table: ProcessTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(stack, Phase.RUNNING)
    Path(stack.folder / "logs").mkdir(exist_ok=True)
    table.log_path("mlflow").write_text("begins\nError: no disk\n")
    table.start("mlflow", SLEEPER, os.environ)
    assert health_of(stack)["mlflow"] is Health.STARTING
    monkeypatch.setattr("boxwright.stack.state.START_SECONDS", 0)
    assert health_of(stack)["mlflow"] is Health.NOT_READY
    assert "mlflow not ready: Error: no disk" in CliRunner().invoke(app, ["status"]).output
