"""A lease for each step of a run: whoever has it is the only one that does the step, on all machines together.

A second copy of a step is a task that was given away because its worker seemed to be lost and lives, or a message that
came twice. It waits until the first has ended or can be taken to have. Beside a SQLite file a lease is a lock that goes
with its process. In PostgreSQL it lasts for some seconds and is renewed: who could not renew it ends by itself, and
what that one has open to the server is closed before another begins, so that what comes late is not written.
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
from boxwright.metadata.server_lease import ServerLease

log = logging.getLogger("boxwright")

# Seconds for which a copy waits for a holder that does well.
PATIENCE = 300.0
POLL = 0.5


class LostLeaseError(StorageError):
    """Another process has the step now."""


class Lease:
    """A lease that this process holds.

    Args:
        is_ours: whether it does still.
    """

    def __init__(self, is_ours: Callable[[], bool]) -> None:
        self._is_ours = is_ours

    def require(self) -> None:
        """Makes sure, before something is written, that no other process has taken the step over.

        Raises:
            LostLeaseError: one has.
            StorageError: the server cannot be asked.
        """
        if not self._is_ours():
            raise LostLeaseError(
                "another process has taken this step over, since this one was not heard of; this copy ends"
            )


@contextmanager
def held(address: MetadataAddress, run_id: str, step: str, patience: float | None = None) -> Iterator[Lease]:
    """Holds the lease of a step; waits for a holder that has it.

    Args:
        address: of ML Metadata; its tables are there.
        run_id: of the run.
        step: the node's id.
        patience: seconds for which a holder is waited for that does well; `PATIENCE` if unset.

    Raises:
        StorageError: another process still holds it.
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
    files: list[IO[str]] = []
    _wait(lambda: bool(_locked(path, files)), lambda: f"which holds {path}", name, patience)
    try:
        yield Lease(lambda: True)
    finally:
        path.unlink(missing_ok=True)
        files[0].close()


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


def _locked(path: Path, files: list[IO[str]]) -> list[IO[str]]:
    """Appends the open file of a lock to `files` if nobody has it.

    Of the kind that is a process's own: it is neither its children's nor outlives it.
    """
    file = path.open("w")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The one before removes the file at its end: the lock of one that is not there any more is nobody's.
        is_there = path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except (BlockingIOError, FileNotFoundError):
        is_there = False
    if is_there:
        files.append(file)
    else:
        file.close()
    return files
