"""Supervision of processes: what dies is started again, after waits that grow, until it is given up.

A supervisor need not be the parent of what it looks after: it finds running processes in the table, whoever started
them. One that takes over from another that was killed therefore leaves all of them running.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from boxwright.stack.processes import ProcessTable, kill, write_whole

# Seconds between two looks at all processes, and between two at what dead ones left behind.
POLL = 0.5
SWEEP = 10.0


@dataclass(frozen=True)
class Patience:
    """The rule for restarting a process that dies: how often, and after how long.

    Attributes:
        first_wait: seconds before the first new start; doubled for each that follows.
        longest_wait: seconds that no wait exceeds.
        settled: seconds after which a process that dies counts as one that had started well.
        attempts: starts in a row, none of which settled, after which it is given up.
    """

    first_wait: float = 1.0
    longest_wait: float = 30.0
    settled: float = 60.0
    attempts: int = 5

    def wait(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return float(min(self.first_wait * 2 ** (failures - 1), self.longest_wait))


@dataclass(frozen=True)
class Supervised:
    """A process to look after.

    Attributes:
        name: its name in the table.
        command: gives program and arguments; called at each start.
        environment: the whole environment of the process.
        may_start: whether what it needs is there; it waits for that, and does not fail.
        prepare: what has to be done before each start.
        keeps_work: whether children that outlive it go on with their work: those that have children of their own.
    """

    name: str
    command: Callable[[], Sequence[str]]
    environment: Mapping[str, str]
    may_start: Callable[[], bool] = lambda: True
    prepare: Callable[[], None] = lambda: None
    keeps_work: bool = False


class Phase(StrEnum):
    """The supervisor's stance on a process."""

    WAITING = "waiting"
    RUNNING = "running"
    RESTARTING = "restarting"
    DEAD = "dead"


@dataclass
class Account:
    """The history of one process.

    Attributes:
        phase: what the supervisor does about it.
        since: when that began, in seconds since 1970.
        restarts: new starts.
        failures: starts in a row, up to now, that did not settle.
        next_start: not before this moment it is started.
        line: the last line of its log when it died.
    """

    phase: Phase = Phase.WAITING
    since: float = 0.0
    restarts: int = 0
    failures: int = 0
    next_start: float = 0.0
    line: str = ""

    def turn(self, phase: Phase, now: float) -> None:
        """Begins a phase, unless it is in that one."""
        if phase is not self.phase:
            self.phase, self.since = phase, now


class Accounts:
    """The accounts of all processes, in a file that other programs read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = ""

    def read(self) -> dict[str, Account]:
        """The accounts by name; empty where nobody supervises."""
        try:
            found = json.loads(self._path.read_text("utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return {name: Account(**{**fields, "phase": Phase(fields["phase"])}) for name, fields in found.items()}

    def write(self, accounts: Mapping[str, Account]) -> None:
        """Writes the accounts, if they changed since the last call."""
        text = json.dumps({name: asdict(account) for name, account in accounts.items()})
        if text != self._written:
            write_whole(self._path, text)
            self._written = text

    def remove(self) -> None:
        """Forgets them all."""
        self._path.unlink(missing_ok=True)


class Supervisor:
    """Keeps processes running.

    Args:
        table: where they are started and found.
        processes: what to look after.
        accounts: where it writes what became of them, and reads what another supervisor has written before it.
        say: takes a line for each thing that it does.
        patience: how often it starts again what dies.
    """

    def __init__(
        self,
        table: ProcessTable,
        processes: Sequence[Supervised],
        accounts: Accounts,
        say: Callable[[str], None] = print,
        patience: Patience | None = None,
    ) -> None:
        self._table = table
        self._processes = processes
        self._file = accounts
        self._say = say
        self._patience = patience or Patience()
        known = accounts.read()
        self._accounts = {one.name: known.get(one.name, Account(since=time.time())) for one in processes}
        self._idle: set[int] = set()
        self._next_sweep = 0.0

    def look(self) -> None:
        """Looks at each process once, and starts what has to be started."""
        for one in self._processes:
            account = self._accounts[one.name]
            running = self._table.find(one.name)
            if running is not None:
                self._note_running(account, running)
            elif account.phase is Phase.RUNNING:
                self._note_death(one, account)
            elif account.phase is not Phase.DEAD and time.time() >= account.next_start and one.may_start():
                self._start(one, account)
        if time.monotonic() >= self._next_sweep:
            self._sweep()
        self._file.write(self._accounts)

    def _note_running(self, account: Account, running: psutil.Process) -> None:
        account.turn(Phase.RUNNING, running.create_time())
        if time.time() - account.since >= self._patience.settled:
            account.failures = 0

    def _note_death(self, one: Supervised, account: Account) -> None:
        self._fail(one, account, self._table.last_line(one.name))

    def _fail(self, one: Supervised, account: Account, line: str) -> None:
        now = time.time()
        account.failures += 1
        account.line = line
        if account.failures >= self._patience.attempts:
            account.turn(Phase.DEAD, now)
            self._say(f"{one.name} died {account.failures} times in a row and is given up: {line}")
            return
        wait = self._patience.wait(account.failures)
        account.next_start = now + wait
        account.turn(Phase.RESTARTING, now)
        self._say(f"{one.name} died, and is started again in {wait:.0f} s: {line}")

    def _start(self, one: Supervised, account: Account) -> None:
        if account.phase is Phase.RESTARTING:
            account.restarts += 1
        try:
            if not one.keeps_work:
                # Children of the one before may hold its ports.
                self._table.stop(one.name, grace=1.0)
            one.prepare()
            pid = self._table.start(one.name, one.command(), one.environment)
        # Whatever it is, the others are to be looked after.
        except Exception as error:
            self._fail(one, account, str(error))
            return
        account.turn(Phase.RUNNING, time.time())
        self._say(f"{one.name} started, pid {pid}")

    def _sweep(self) -> None:
        """Ends children that outlived their parent once they have been without work at two sweeps."""
        self._next_sweep = time.monotonic() + SWEEP
        idle = {
            process.pid: process
            for one in self._processes
            if one.keeps_work
            for process in without_work(self._table.left_behind(one.name))
        }
        for pid in idle.keys() & self._idle:
            kill(idle[pid])
        self._idle = set(idle)


def without_work(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """The processes that have neither a parent among the others nor a child."""
    parents = {process.pid: _parent(process) for process in processes}
    return [
        process for process in processes if parents[process.pid] not in parents and process.pid not in parents.values()
    ]


def _parent(process: psutil.Process) -> int:
    try:
        return int(process.ppid())
    except psutil.NoSuchProcess:
        return 0
