from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from boxwright.errors import StorageError
from boxwright.stack.processes import ProcessTable

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
# A parent that ignores SIGTERM and says which child it has.
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True); time.sleep(60)",
]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in 60 s"
        time.sleep(0.05)


def has_ended(pid: int) -> bool:
    """Also where nobody has taken note of it yet."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def table(tmp_path: Path) -> ProcessTable:
    return ProcessTable(tmp_path)


def test_a_process_is_started_once_found_by_another_table_and_stopped(table: ProcessTable) -> None:
    pid = table.start("sleeper", SLEEPER, os.environ)
    assert table.start("sleeper", SLEEPER, os.environ) == pid
    found = ProcessTable(table.home).find("sleeper")
    assert found is not None and found.pid == pid
    assert os.getsid(pid) == pid

    assert table.stop("sleeper", grace=5)

    assert not psutil.pid_exists(pid)
    assert table.find("sleeper") is None
    assert not table.stop("sleeper")


def test_a_process_that_ignores_the_request_is_killed_with_its_children(table: ProcessTable) -> None:
    pid = table.start("stubborn", STUBBORN, os.environ)
    wait_until(lambda: table.log_path("stubborn").read_text().strip().isdigit())
    child = int(table.log_path("stubborn").read_text())

    table.stop("stubborn", grace=0.3)

    assert has_ended(pid)
    assert has_ended(child)


def test_children_of_a_process_that_died_are_stopped(table: ProcessTable) -> None:
    pid = table.start("stubborn", STUBBORN, os.environ)
    wait_until(lambda: table.log_path("stubborn").read_text().strip().isdigit())
    child = int(table.log_path("stubborn").read_text())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert psutil.pid_exists(child)

    assert not table.stop("stubborn", grace=0.3)

    assert has_ended(child)


def test_what_bears_another_name_is_left_alone_though_it_is_a_child(table: ProcessTable) -> None:
    """As the services are of their supervisor."""
    code = (
        "import os, sys, time; from boxwright.stack.processes import ProcessTable;"
        "ProcessTable(__import__('pathlib').Path(sys.argv[1])).start('service', [sys.executable, '-c',"
        "'import time; time.sleep(60)'], os.environ); time.sleep(60)"
    )
    table.start("parent", [sys.executable, "-c", code, str(table.home)], os.environ)
    wait_until(lambda: table.find("service") is not None)
    try:
        assert table.stop("parent", grace=5)
        assert table.find("service") is not None
    finally:
        assert table.stop("service", grace=5)


def test_a_pid_that_was_given_to_another_program_is_left_alone(table: ProcessTable) -> None:
    pid = table.start("other", SLEEPER, os.environ)
    record = table.home / "run" / "other.json"
    (table.home / "run" / "ours.json").write_text(
        json.dumps({"pid": pid, "created": json.loads(record.read_text())["created"] - 100})
    )
    try:
        assert table.find("ours") is None
        assert not table.stop("ours", grace=0.1)
        assert table.find("other") is not None
    finally:
        table.stop("other")


def test_output_goes_to_the_log_and_its_error_line_is_found(table: ProcessTable) -> None:
    table.start("talker", [sys.executable, "-c", "print('Error: no disk'); print('bye')"], os.environ)
    wait_until(lambda: table.find("talker") is None)
    assert table.last_line("talker") == "Error: no disk"
    assert table.last_line("unknown") == ""


def test_a_missing_program_is_named(table: ProcessTable) -> None:
    with pytest.raises(StorageError, match="ghost: /no/such/program cannot be started"):
        table.start("ghost", ["/no/such/program"], os.environ)
