"""Of two processes that do one step, one writes: the other waits, or ends by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from ml_metadata.proto import metadata_store_pb2 as proto
from postgres_server import Postgres
from waiting import wait_for

from boxwright.config import MetadataAddress
from boxwright.errors import StorageError, UsageError
from boxwright.metadata import server_lease
from boxwright.metadata.leases import held
from boxwright.metadata.server_lease import ServerLease, is_dead, lease_seconds, this_process
from boxwright.metadata.store import open_store
from boxwright.metadata.tables import make_tables

# Seconds, for tests: the fewest.
SECONDS = 6
RUN, STEP = "manual__2026-11-29T10:00:00+00:00", "fine_tune"
# Holds the lease of a step with a store open, until it is told to write; a child stands for one that works for it.
HOLDER = """
import subprocess, sys
from ml_metadata.proto import metadata_store_pb2 as proto
from boxwright.config import MetadataAddress
from boxwright.metadata.leases import held
from boxwright.metadata.store import open_store

address = MetadataAddress.parse(sys.argv[1])
with held(address, sys.argv[2], sys.argv[3]) as lease:
    store = open_store(address)
    child = subprocess.Popen(["sleep", "600"])
    print("held", child.pid, flush=True)
    sys.stdin.readline()
    lease.require()
    kind = store.get_execution_type("work").id
    store.put_executions([proto.Execution(type_id=kind, name=sys.argv[4])])
    print("written", flush=True)
    child.kill()
"""


# Passes on what comes to a port. Stopped, it is a network that is cut: nothing comes, and nothing says so.
WAY = """
import asyncio, sys

async def pass_on(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()

async def relay(near_reader, near_writer):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    await asyncio.gather(pass_on(near_reader, writer), pass_on(reader, near_writer))

async def main():
    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


class Copies:
    """Copies of one step, each a process."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.address = MetadataAddress.parse(uri)
        make_tables(self.address)
        self.store.put_execution_type(proto.ExecutionType(name="work"))
        self._processes: list[subprocess.Popen[str]] = []
        self.children: dict[int, int] = {}

    @property
    def store(self):
        return open_store(self.address)

    def written(self) -> list[str]:
        """The copies that have written to ML Metadata."""
        return [one.name for one in self.store.get_executions()]

    def start(self, name: str, step: str = STEP, uri: str = "", code: str = HOLDER) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, uri or self.uri, RUN, step, name]
        environment = os.environ | {"BOXWRIGHT_LEASE_SECONDS": str(SECONDS)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, text=True, env=environment, **pipes)
        self._processes.append(process)
        return process

    def wait_until_held(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        said = process.stdout.readline().split()
        assert said and said[0] == "held", process.stderr and process.stderr.read()
        self.children[process.pid] = int(said[1])

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Lets a copy write; its exit code and what it said as an error."""
        _, errors = process.communicate("\n", timeout=120)
        return process.returncode, errors

    def end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
        for pid in self.children.values():
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def copies_in_postgresql(postgres: Postgres) -> Iterator[Copies]:
    made = Copies(postgres.new_database())
    yield made
    made.end()


@pytest.fixture(params=["postgresql", "sqlite"])
def copies(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Copies]:
    if request.param == "postgresql":
        yield request.getfixturevalue("copies_in_postgresql")
        return
    made = Copies(f"sqlite:///{tmp_path}/metadata.sqlite")
    yield made
    made.end()


def test_a_second_copy_waits_until_the_first_is_done(copies: Copies) -> None:
    first, other_step = copies.start("first"), copies.start("other step", "evaluate")
    copies.wait_until_held(first)
    copies.wait_until_held(other_step)
    second = copies.start("second")
    assert copies.finish(first)[0] == 0
    copies.wait_until_held(second)
    assert copies.written() == ["first"]
    assert copies.finish(second)[0] == 0 and copies.finish(other_step)[0] == 0
    assert copies.written() == ["first", "second", "other step"]


def test_a_second_copy_ends_where_the_first_does_well(copies: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXWRIGHT_LEASE_SECONDS", str(SECONDS))
    first = copies.start("first")
    copies.wait_until_held(first)
    said = rf"{STEP} of run .* is under way in another process \(.*\), and not at its end after 8 s; this copy ends"
    # Longer than a lease lasts that is not renewed.
    with pytest.raises(StorageError, match=said), held(copies.address, RUN, STEP, patience=SECONDS + 2):
        pytest.fail("two have it")
    assert copies.finish(first)[0] == 0


def test_a_copy_that_was_killed_is_followed_at_once(copies: Copies) -> None:
    first = copies.start("first")
    copies.wait_until_held(first)
    first.kill()
    first.wait()
    with held(copies.address, RUN, STEP, patience=0):
        assert copies.written() == []


def test_a_frozen_copy_writes_nothing_once_another_has_begun(copies_in_postgresql: Copies) -> None:
    copies = copies_in_postgresql
    first = copies.start("first")
    copies.wait_until_held(first)
    first.send_signal(signal.SIGSTOP)
    second = copies.start("second")
    copies.wait_until_held(second)
    assert copies.finish(second)[0] == 0
    # It was told to write, and goes on.
    first.stdin.write("\n")
    first.stdin.flush()
    first.send_signal(signal.SIGCONT)
    code, errors = copies.finish(first)
    assert (code, copies.written()) == (StorageError.exit_code, ["second"])
    assert "could not renew its lease" in errors or "another process has taken this step over" in errors
    wait_for(lambda: _is_gone(copies.children[first.pid]), "what worked for the frozen copy has ended")


def test_what_works_for_a_copy_ends_with_its_lease() -> None:
    program = (
        "import subprocess\nfrom boxwright.metadata.leases import Lease\n"
        "print(subprocess.Popen(['sleep', '600']).pid, flush=True)\nLease(lambda: False).require()"
    )
    lost = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said, errors = lost.communicate(timeout=60)  # a child that is left would hold the pipes open
    assert "LostLeaseError: another process has taken this step over" in errors
    wait_for(lambda: _is_gone(int(said)), "its child has ended")


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_a_copy_had_open_to_the_server_is_closed_before_another_begins(
    copies_in_postgresql: Copies, postgres: Postgres
) -> None:
    copies = copies_in_postgresql
    first = copies.start("first")
    copies.wait_until_held(first)
    sessions = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'boxwright-%'"
    before = postgres.query(copies.uri, sessions)
    assert before
    first.send_signal(signal.SIGSTOP)
    second = copies.start("second")
    copies.wait_until_held(second)
    assert not set(before) & set(postgres.query(copies.uri, sessions))
    first.send_signal(signal.SIGCONT)
    assert copies.finish(second)[0] == 0


def test_a_copy_that_cannot_reach_the_server_ends_before_its_lease_does(
    copies_in_postgresql: Copies, postgres: Postgres
) -> None:
    copies = copies_in_postgresql
    first = copies.start("first")
    copies.wait_until_held(first)
    postgres.stop()
    try:
        assert first.wait(120) == StorageError.exit_code
    finally:
        postgres.start()
    assert copies.written() == []
    with held(copies.address, RUN, STEP, patience=SECONDS):
        pass


def test_a_copy_that_is_cut_off_ends_by_itself_while_another_goes_on(
    copies_in_postgresql: Copies, postgres: Postgres
) -> None:
    copies = copies_in_postgresql
    command = [sys.executable, "-c", WAY, str(postgres.port)]
    way = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert way.stdout
        cut = copies.uri.replace(f":{postgres.port}/", f":{way.stdout.readline().strip()}/")
        first = copies.start("first", uri=cut)
        copies.wait_until_held(first)
        way.send_signal(signal.SIGSTOP)
        second = copies.start("second")
        copies.wait_until_held(second)
        assert first.wait(120) == StorageError.exit_code
        way.send_signal(signal.SIGCONT)
        assert copies.finish(second)[0] == 0
    finally:
        way.kill()
        way.communicate()
    assert copies.written() == ["second"]


def test_a_copy_that_waits_with_pythons_lock_is_ended_as_well(copies_in_postgresql: Copies) -> None:
    copies = copies_in_postgresql
    waits = HOLDER.replace("    sys.stdin.readline()\n", "    import ctypes; ctypes.PyDLL(None).sleep(600)\n")
    first = copies.start("first", code=waits)
    copies.wait_until_held(first)
    assert first.wait(120) != 0
    second = copies.start("second")
    copies.wait_until_held(second)
    assert copies.finish(second)[0] == 0 and copies.written() == ["second"]


def test_a_restart_of_the_server_within_a_lease_is_outlived(copies_in_postgresql: Copies, postgres: Postgres) -> None:
    copies = copies_in_postgresql
    with held(copies.address, RUN, STEP) as lease:
        postgres.stop()
        postgres.start()
        lease.require()


def test_a_renewal_that_comes_late_sets_no_timer_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that outlives its lease, as one of a notebook, would be ended by that timer."""
    armed: list[float] = []
    entered = threading.Event()

    def arm(seconds: float, **options: Any) -> None:
        entered.set()
        time.sleep(0.3)
        armed.append(seconds)

    lease = ServerLease(MetadataAddress.parse("postgresql://u@127.0.0.1:9/none"), RUN, STEP)
    lease._good_until = server_lease._now() + 60
    monkeypatch.setattr(server_lease.faulthandler, "dump_traceback_later", arm)
    monkeypatch.setattr(server_lease.faulthandler, "cancel_dump_traceback_later", armed.clear)
    with lease.renewed():
        entered.clear()
        late = threading.Thread(target=lease._arm)
        late.start()
        entered.wait(10)
    late.join()
    assert armed == []


def test_a_process_is_known_to_be_dead_only_where_it_can_be_seen() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    machine, own_pid, started = this_process().split()
    assert not is_dead(this_process())
    assert is_dead(f"{machine} {own_pid} {int(started) - 1}"), "its pid is another's now"
    assert not is_dead(f"elsewhere {own_pid} 1")
    process.kill()
    assert is_dead(f"{machine} {process.pid} 1"), "what is left of it does nothing"
    process.communicate()
    assert is_dead(f"{machine} {process.pid} 1")


@pytest.mark.parametrize("text", ["five", "5", "1e9", "nan"])
def test_how_long_a_lease_lasts_is_checked(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXWRIGHT_LEASE_SECONDS", text)
    with pytest.raises(UsageError, match="expected a number of seconds from 6 to 86400"):
        lease_seconds()
