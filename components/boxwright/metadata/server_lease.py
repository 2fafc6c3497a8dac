"""A lease in PostgreSQL: a row with its holder and the time at which it expires."""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from boxwright.config import MetadataAddress
from boxwright.errors import BoxwrightError, StorageError, UsageError
from boxwright.metadata import server
from boxwright.postgresql import load_psycopg2

if TYPE_CHECKING:
    from boxwright.postgresql import Connection

log = logging.getLogger("boxwright")

SECONDS_VARIABLE = "BOXWRIGHT_LEASE_SECONDS"
DEFAULT_SECONDS, FEWEST_SECONDS, MOST_SECONDS = 60.0, 6.0, 86400.0
# Renewals within the time that a lease lasts.
RENEWALS = 6
# Seconds after which this process is ended from outside of Python if it has outlived its lease.
GRACE = 5.0
# Seconds that the connections of the previous holder may take to close.
CLOSED_WITHIN = 20.0
# The name of a connection at the server, as libpq and with it ML Metadata take it.
_NAME = "PGAPPNAME"
# The name of the lease's own connections, which the next holder leaves open.
_OWN_NAME = "boxwright lease"
_TAKE = """
INSERT INTO boxwright_lease AS lease (run, step, token, holder, process, began, until)
VALUES (%(run)s, %(step)s, %(token)s, %(holder)s, %(process)s, clock_timestamp(),
        clock_timestamp() + %(seconds)s * interval '1 s')
ON CONFLICT (run, step) DO UPDATE SET token = excluded.token, holder = excluded.holder, process = excluded.process,
    began = excluded.began, until = excluded.until
WHERE lease.until < clock_timestamp() OR lease.token = %(dead)s
RETURNING token
"""
_OWN = "run = %(run)s AND step = %(step)s AND token = %(token)s"
_RENEW = f"""
UPDATE boxwright_lease SET until = clock_timestamp() + %(seconds)s * interval '1 s' WHERE {_OWN} RETURNING token
"""  # noqa: S608
_GIVE_BACK = f"DELETE FROM boxwright_lease WHERE {_OWN} RETURNING token"  # noqa: S608
_FIND = "SELECT token, process, holder, until FROM boxwright_lease WHERE run = %(run)s AND step = %(step)s"


def lease_seconds() -> float:
    """Seconds after which a lease expires unless it is renewed: `BOXWRIGHT_LEASE_SECONDS`.

    Raises:
        UsageError: it is not a number, or too small.
    """
    text = os.environ.get(SECONDS_VARIABLE) or str(DEFAULT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not FEWEST_SECONDS <= seconds <= MOST_SECONDS:
        raise UsageError(
            f"{SECONDS_VARIABLE}={text!a}: expected a number of seconds from {FEWEST_SECONDS:g} to {MOST_SECONDS:g}"
        )
    return seconds


class ServerLease:
    """The lease of one step.

    Args:
        address: of the server; its tables are there.
        run_id: of the run.
        step: the node's id.
    """

    def __init__(self, address: MetadataAddress, run_id: str, step: str) -> None:
        self._address = address
        self._seconds = lease_seconds()
        self._token = uuid.uuid4().hex
        self._row = {
            "run": run_id,
            "step": step,
            "token": self._token,
            "holder": f"host {socket.gethostname()}, pid {os.getpid()}",
            "process": this_process(),
            "seconds": self._seconds,
        }
        self._ended = threading.Event()
        # The timer is not armed again once the lease has been given back.
        self._arming = threading.Lock()
        self._good_until = 0.0

    def try_to_take(self) -> bool:
        """Takes the lease unless another process has it, and closes the previous holder's connections."""
        asked = _now()
        with server.session(self._address, _OWN_NAME) as made:
            with made.cursor() as cursor:
                cursor.execute(_FIND, self._row)
                before = cursor.fetchone()
                dead = before[0] if before and is_dead(before[1]) else ""
                cursor.execute(_TAKE, self._row | {"dead": dead})
                if cursor.fetchone() is None:
                    return False
            self._good_until = asked + self._seconds
            if before is not None:
                _close_connections(made, before[0])
        return True

    def holder(self) -> str:
        """The process that has the lease, for people."""
        found = self._ask(_FIND)
        return f"{found[2]}, with a lease until {found[3]:%H:%M:%S}" if found else "which has ended by now"

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renews the lease while the block runs, then gives it back; ends this process if the lease is lost."""
        before = os.environ.get(_NAME)
        # What this process opens to the server from now on, the next holder can close.
        os.environ[_NAME] = _session(self._token)
        threads = [threading.Thread(target=target, daemon=True) for target in (self._renew, self._watch)]
        for thread in threads:
            thread.start()
        self._arm()
        try:
            yield
        finally:
            with self._arming:
                self._ended.set()
                faulthandler.cancel_dump_traceback_later()
            os.environ.pop(_NAME)
            if before is not None:
                os.environ[_NAME] = before
            with suppress(BoxwrightError):
                self._ask(_GIVE_BACK)

    def is_ours(self) -> bool:
        """Renews the lease; whether it is still this process's.

        Raises:
            StorageError: the server cannot be asked.
        """
        return self._ask(_RENEW) is not None

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / RENEWALS):
            asked = _now()
            try:
                ours = self.is_ours()
            except BoxwrightError as error:
                log.warning("the lease of %s cannot be renewed: %s", self._row["step"], error)
                continue
            if ours:
                self._good_until = asked + self._seconds
                self._arm()
            elif not self._ended.is_set():
                self._end_process()

    def _arm(self) -> None:
        """Sets a timer that ends the process even where ML Metadata, waiting for a server, blocks Python."""
        with self._arming:
            if not self._ended.is_set():
                left = max(0.0, self._good_until - _now())
                # By its number: a caller may have replaced `sys.stderr`.
                faulthandler.dump_traceback_later(left + GRACE, file=2, exit=True)

    def _watch(self) -> None:
        """Ends the process when the lease has expired: it may have been frozen, or cut off from the server."""
        while not self._ended.wait(max(0.0, self._good_until - _now())):
            if _now() >= self._good_until and not self._ended.is_set():
                self._end_process()

    def _ask(self, statement: str) -> tuple[str, ...] | None:
        """The row that a statement finds.

        Raises:
            StorageError, UsageError: the server cannot be asked.
        """
        # A connection each time: one that was lost is of no use, and this is asked a few times a minute.
        with server.session(self._address, _OWN_NAME) as made, made.cursor() as cursor:
            cursor.execute("SET statement_timeout = '10s'")
            cursor.execute(statement, self._row)
            found: tuple[str, ...] | None = cursor.fetchone()
            return found

    def _end_process(self) -> None:
        """Ends this process and its children at once, so that nothing more is written."""
        line = (
            f"error: {self._row['step']} of run {self._row['run']} may be another process's by now, since this one "
            f"could not renew its lease within {self._seconds:.0f} s; this copy ends"
        )
        os.write(2, f"{line}\n".encode())
        end_children()
        sys.stderr.flush()
        os._exit(StorageError.exit_code)


def end_children() -> None:
    """Ends what works for this process at once: it may not write any more either."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()


def this_process() -> str:
    """A name that no other process has, on this machine or another."""
    return f"{_machine()} {os.getpid()} {_started(os.getpid())}"


def is_dead(process: str) -> bool:
    """Whether a process with a name of `this_process` was one of this machine and has ended."""
    machine, pid, started = process.split()
    return machine == _machine() and _started(int(pid)) != started


def _machine() -> str:
    """The boot of the machine, and the process namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"


def _started(pid: int) -> str:
    """Start of a process in ticks since boot; empty if there is none, or if it is a zombie."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]


def _session(token: str) -> str:
    return f"boxwright-{token}"


def _now() -> float:
    """Seconds that also pass while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _close_connections(made: Connection, token: str) -> None:
    """Ends the sessions of the previous holder, with whatever they were about to write, and waits until they are gone.

    Raises:
        UsageError: they are another user's.
        StorageError: they do not end.
    """
    errors = load_psycopg2().errors
    deadline = time.monotonic() + CLOSED_WITHIN
    with made.cursor() as cursor:
        while True:
            try:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                    (_session(token),),
                )
            except errors.InsufficientPrivilege:
                raise UsageError(
                    "what another process has open to ML Metadata cannot be closed: give all workers one log-in"
                ) from None
            if not cursor.fetchall():
                return
            if time.monotonic() > deadline:
                raise StorageError("connections of the process that did this step before cannot be closed; run again")
            time.sleep(0.1)
