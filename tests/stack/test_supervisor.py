"""The supervisor's own process: killed, it is replaced; it and the one that waits end together, and nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from waiting import wait_for

from boxwright.stack import supervisor
from boxwright.stack.processes import ProcessTable

# A supervisor of one service, which sleeps.
SCRIPT = """
import os, sys
from pathlib import Path
from boxwright.stack.supervision import Supervised
from boxwright.stack.supervisor import supervise

service = Supervised("service", lambda: [sys.executable, "-c", "import time; time.sleep(60)"], os.environ)
supervise(Path(sys.argv[1]), lambda: [service], [sys.executable, *sys.argv])
"""


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ProcessTable]:
    """With a supervisor, one that waits, and the service."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    table = ProcessTable(tmp_path)
    table.start(supervisor.NAME, [sys.executable, str(script), str(tmp_path)], os.environ)
    wait_for(lambda: table.find("service") is not None and len(both(table)) == 2, "a supervisor, and one that waits")
    yield table
    supervisor.stop(tmp_path)
    table.stop("service")


def both(table: ProcessTable) -> set[int]:
    """The supervisor, and the one that waits."""
    leader = table.find(supervisor.NAME)
    return {leader.pid, *(one.pid for one in children(leader))} if leader else set()


def children(leader: psutil.Process) -> list[psutil.Process]:
    return [child for child in leader.children() if "script.py" in command_of(child)]


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def test_a_killed_supervisor_is_replaced_and_so_is_the_service(table: ProcessTable) -> None:
    before, service = both(table), table.find("service")
    table.find(supervisor.NAME).kill()
    service.kill()
    wait_for(lambda: len(both(table)) == 2 and both(table) != before, "the one that waited, with another one")
    wait_for(lambda: table.find("service") not in (None, service), "the service")
    assert supervisor.accounts_of(table.home).read()["service"].restarts == 1


def test_the_one_that_waits_is_replaced(table: ProcessTable) -> None:
    leader = table.find(supervisor.NAME)
    (waiting,) = children(leader)
    waiting.kill()
    wait_for(lambda: waiting not in children(leader) and len(both(table)) == 2, "another one that waits")
    assert table.find(supervisor.NAME) == leader


def test_stopped_both_are_gone_and_the_service_runs_on(table: ProcessTable) -> None:
    service = table.find("service")
    supervisor.stop(table.home)
    assert (table.find(supervisor.NAME), table.left_behind(supervisor.NAME)) == (None, [])
    assert table.find("service") == service
