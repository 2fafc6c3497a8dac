"""The process that supervises the services of a stack, and the one that waits to take its place.

Both run this module. A lock decides which of them works. When that one ends, in whatever way, the system gives the lock
to the other, which starts a new standby.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from boxwright.stack.processes import ProcessTable

if TYPE_CHECKING:
    from boxwright.stack.supervision import Accounts, Supervised

NAME = "supervisor"
# Seconds between two starts of the one that waits.
STANDBY_WAIT = 2.0
STOP_ATTEMPTS = 20


def accounts_of(folder: Path) -> Accounts:
    """The supervisor's accounts of the services; the file exists as long as the stack is meant to run.

    Args:
        folder: of the stack, as in all functions here.
    """
    from boxwright.stack.supervision import Accounts

    return Accounts(folder / "services.json")


def start(folder: Path, environment: Mapping[str, str]) -> None:
    """Starts a supervisor, which takes over what runs, with a clean account of all services.

    Args:
        folder: of the stack.
        environment: of the services; `BOXWRIGHT_HOME` in it leads to the stack.
    """
    stop(folder)
    accounts_of(folder).remove()
    ProcessTable(folder).start(NAME, _command(), environment)


def stop(folder: Path) -> None:
    """Ends the supervisor and the one that waits; the services run on."""
    table = ProcessTable(folder)
    for _ in range(STOP_ATTEMPTS):
        table.stop(NAME, grace=0)
        # The one that waited may just have started another.
        if not table.left_behind(NAME):
            return


def _command() -> list[str]:
    return [sys.executable, "-P", "-m", "boxwright.stack.supervisor"]


def supervise(folder: Path, services: Callable[[], Sequence[Supervised]], command: Sequence[str]) -> None:
    """Waits until there is no other supervisor of this folder, then is it, without an end.

    Args:
        folder: of the stack.
        services: gives what to look after, when it is this one's turn.
        command: starts the one that waits.
    """
    with (folder / "supervisor.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ProcessTable(folder).remember(NAME, os.getpid())
        _say(f"supervisor {os.getpid()} begins")
        _look_after(folder, services(), command)


def _look_after(folder: Path, services: Sequence[Supervised], command: Sequence[str]) -> None:
    from boxwright.stack.supervision import POLL, Supervisor

    supervisor = Supervisor(ProcessTable(folder), services, accounts_of(folder), _say)
    standby, next_start = None, 0.0
    while True:
        try:
            if (standby is None or standby.poll() is not None) and time.monotonic() >= next_start:
                next_start = time.monotonic() + STANDBY_WAIT
                standby = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
            supervisor.look()
        # A full disk, say, passes.
        except OSError as error:
            _say(f"the services cannot be looked after: {error}")
            time.sleep(STANDBY_WAIT)
        _reap()
        time.sleep(POLL)


def _reap() -> None:
    """Takes note of children that ended, which would stay as zombies."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}", flush=True)


def _services() -> Sequence[Supervised]:
    from boxwright.config import Settings
    from boxwright.stack.environment import find_stack
    from boxwright.stack.services import supervised_services

    return supervised_services(find_stack(Settings.from_environment()), os.environ)


def main() -> None:
    """Supervises the stack of `BOXWRIGHT_HOME`, or waits to."""
    from boxwright.config import Settings

    supervise(Settings.from_environment().home / "stack", _services, _command())


if __name__ == "__main__":
    main()
