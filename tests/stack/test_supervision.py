from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from waiting import wait_for

from boxwright.stack import supervision
from boxwright.stack.processes import ProcessTable
from boxwright.stack.supervision import Accounts, Patience, Phase, Supervised, Supervisor, without_work

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
FAILING = [sys.executable, "-c", "import sys; print('Error: port is taken'); sys.exit(1)"]
# Its child goes on without it; the grandchild is that child's work, and ends when the file is there.
PARENT = """
import os, pathlib, sys, time
if not os.fork():
    if not os.fork():
        while not pathlib.Path(sys.argv[1]).exists():
            time.sleep(0.02)
        os._exit(0)
    print(os.getpid(), flush=True)
    os.wait()
    time.sleep(60)
time.sleep(60)
"""
QUICK = Patience(first_wait=0.1, longest_wait=0.2, settled=60, attempts=3)

Make = Callable[..., Supervisor]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ProcessTable]:
    found = ProcessTable(tmp_path)
    yield found
    for record in (tmp_path / "run").glob("*.json"):
        found.stop(record.stem, grace=0.1)


@pytest.fixture
def make(table: ProcessTable) -> Make:
    """A supervisor of one process, as one that starts anew would be."""

    def made(command: list[str], patience: Patience = QUICK, **options: object) -> Supervisor:
        one = Supervised("one", lambda: command, os.environ, **options)
        return Supervisor(table, [one], accounts_of(table), patience=patience)

    return made


def accounts_of(table: ProcessTable) -> Accounts:
    return Accounts(table.home / "accounts.json")


def account(table: ProcessTable) -> supervision.Account:
    return accounts_of(table).read()["one"]


def child_of(table: ProcessTable) -> psutil.Process:
    wait_for(lambda: bool(table.log_path("one").read_text().strip()), "a child")
    return psutil.Process(int(table.log_path("one").read_text().splitlines()[0]))


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def look_until(supervisor: Supervisor, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        supervisor.look()
        time.sleep(0.01)


def test_what_dies_is_started_again_and_counted(table: ProcessTable, make: Make) -> None:
    supervisor = make(SLEEPER)
    supervisor.look()
    first = table.find("one")
    assert first is not None and account(table).phase is Phase.RUNNING
    first.kill()

    look_until(supervisor, lambda: account(table).phase is Phase.RESTARTING)
    look_until(supervisor, lambda: table.find("one"))

    second = table.find("one")
    assert second is not None and second.pid != first.pid
    assert account(table).restarts == 1


def test_what_dies_at_once_waits_longer_each_time_and_is_given_up_with_its_line(
    table: ProcessTable, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor = make(FAILING)
    begin = time.monotonic()
    look_until(supervisor, lambda: accounts_of(table).read() and account(table).phase is Phase.DEAD)
    assert time.monotonic() - begin >= 0.3, "0.1 s before the second start, 0.2 s before the third"
    found = account(table)
    assert (found.failures, found.line, found.restarts) == (3, "Error: port is taken", 2)
    assert "one died 3 times in a row and is given up: Error: port is taken" in capsys.readouterr().out

    supervisor.look()
    assert table.find("one") is None


def test_what_settled_before_it_died_is_never_given_up(table: ProcessTable, make: Make) -> None:
    supervisor = make(SLEEPER, Patience(first_wait=0.01, settled=0.05, attempts=2))
    for time_around in range(4):
        look_until(supervisor, lambda: table.find("one"))
        time.sleep(0.1)
        supervisor.look()
        table.find("one").kill()
        look_until(supervisor, lambda before=time_around: account(table).restarts > before)
    assert account(table).phase is Phase.RUNNING


def test_a_program_that_cannot_be_started_is_given_up_with_the_reason(table: ProcessTable, make: Make) -> None:
    supervisor = make(["/no/such/program"])
    look_until(supervisor, lambda: accounts_of(table).read() and account(table).phase is Phase.DEAD)
    assert "/no/such/program cannot be started" in account(table).line


def test_it_waits_for_what_a_process_needs_and_that_is_no_failure(table: ProcessTable, make: Make) -> None:
    there: list[bool] = []
    supervisor = make(SLEEPER, may_start=lambda: bool(there))
    supervisor.look()
    assert (table.find("one"), account(table).phase, account(table).failures) == (None, Phase.WAITING, 0)
    there.append(True)
    supervisor.look()
    assert table.find("one")


def test_another_supervisor_takes_over_what_runs(table: ProcessTable, make: Make) -> None:
    make(SLEEPER).look()
    pid = table.find("one").pid
    other = make(SLEEPER)
    other.look()
    assert table.find("one").pid == pid and account(table).restarts == 0


def test_another_supervisor_remembers_what_was_given_up(table: ProcessTable, make: Make) -> None:
    supervisor = make(FAILING)
    look_until(supervisor, lambda: accounts_of(table).read() and account(table).phase is Phase.DEAD)
    other = make(FAILING)
    other.look()
    assert table.find("one") is None and account(table).failures == 3


def test_children_of_a_dead_process_end_before_it_is_started_again(
    table: ProcessTable, make: Make, tmp_path: Path
) -> None:
    supervisor = make([sys.executable, "-c", PARENT, str(tmp_path / "end")])
    supervisor.look()
    child = child_of(table)
    table.find("one").kill()
    look_until(supervisor, lambda: accounts_of(table).read() and account(table).restarts == 1)
    assert has_ended(child)


def test_children_at_work_go_on_without_their_parent_and_end_after_it(
    table: ProcessTable, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "SWEEP", 0.05)
    supervisor = make([sys.executable, "-c", PARENT, str(tmp_path / "end")], keeps_work=True)
    supervisor.look()
    child = child_of(table)
    table.find("one").kill()
    look_until(supervisor, lambda: account(table).restarts == 1)
    for _ in range(5):
        time.sleep(0.06)
        supervisor.look()
    assert child.is_running() and child in table.left_behind("one")
    assert child not in without_work(table.left_behind("one"))

    (tmp_path / "end").touch()

    look_until(supervisor, lambda: has_ended(child))
    assert table.find("one"), "the process itself runs on"
