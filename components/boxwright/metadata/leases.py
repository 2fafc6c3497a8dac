"""A lease for each step of a run: of all processes on all machines, only its holder does the step.

A step gets a second copy when its worker seemed lost and was not, or when a message came twice. The copy waits until
the first one has ended or its lease has expired. Beside a SQLite file, a lease is a file lock, which ends with its
process. In PostgreSQL, it lasts some seconds and is renewed: a process that cannot renew its lease ends itself, and the
next holder first closes the connections of the one before, so that nothing is written late.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO

from boxwright.config import MetadataAddress
from boxwright.errors import StorageError
from boxwright.metadata.server_lease import ServerLease, end_children

log = logging.getLogger("boxwright")

# Seconds that a copy waits for a holder whose lease has not expired.
PATIENCE = 300.0
POLL = 0.5


class LostLeaseError(StorageError):
    """Another process holds the lease of the step now."""


class Lease:
    """A lease that this process holds.

    Args:
        is_ours: whether this process still holds it.
    """

    def __init__(self, is_ours: Callable[[], bool]) -> None:
        self._is_ours = is_ours

    def require(self) -> None:
        """Makes sure, before something is written, that this process still holds the lease; else ends its children.

        Raises:
            LostLeaseError: another process has taken the step over.
            StorageError: the server cannot be asked.
        """
        if not self._is_ours():
            end_children()
            raise LostLeaseError(
                "another process has taken this step over, since this one was not heard of; this copy ends"
            )


@contextmanager
def held(address: MetadataAddress, run_id: str, step: str, patience: float | None = None) -> Iterator[Lease]:
    """Holds the lease of a step; waits while another process has it.

    Args:
        address: of ML Metadata; its tables are there.
        run_id: of the run.
        step: the node's id.
        patience: seconds to wait; `PATIENCE` if unset.

    Raises:
        StorageError: another process still has it after that.
        UsageError: the server does not let this process in.
    """
    patience = PATIENCE if patience is None else patience
    name = f"{step} of run {run_id}"
    if address.path is None:
        lease = ServerLease(address, run_id, step)
        _wait(lease.try_to_take, lease.holder, name, patience)
        with lease.renewed():
            yield Lease(lease.is_ours)
        return
    path = address.path.parent / "locks" / f"step-{sha256(f'{run_id}/{step}'.encode()).hexdigest()[:24]}.lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _FileLock(path)
    _wait(lock.try_to_take, lambda: f"which holds {path}", name, patience)
    try:
        yield Lease(lambda: True)
    finally:
        lock.give_back()


def _wait(try_to_take: Callable[[], bool], holder: Callable[[], str], name: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    told = False
    while not try_to_take():
        if not told:
            log.info("%s is under way in another process (%s); waiting for its end", name, holder())
            told = True
        if time.monotonic() > deadline:
            raise StorageError(
                f"{name} is under way in another process ({holder()}), and not at its end after {patience:.0f} s; this "
                "copy ends: wait for the other, or end it if it hangs"
            )
        time.sleep(POLL)


class _FileLock:
    """A lock by a file, which belongs to this process alone: children do not inherit it, and it ends with the process.

    Args:
        path: the file, which is removed when the lock is given back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def try_to_take(self) -> bool:
        file = self._path.open("w")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before may have removed this very file since it was opened: its lock keeps nobody out.
            taken = os.path.samestat(self._path.stat(), os.fstat(file.fileno()))
        except (BlockingIOError, FileNotFoundError):
            taken = False
        if taken:
            self._file = file
        else:
            file.close()
        return taken

    def give_back(self) -> None:
        self._path.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()
