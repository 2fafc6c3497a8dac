"""Detached processes that outlive the command that started them: start, look up, stop.

A process is remembered in a small JSON file by pid **and** start time, because a pid is given out again after
its process ended: without the time, `down` after a reboot could stop somebody else's program. Its environment has a
mark, which its children inherit: those that outlive it are found by that.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from boxwright.errors import StorageError

# The start time is derived from the clock of the machine, which may be corrected a little while it runs.
START_TIME_TOLERANCE = 2.0
TAIL_BYTES = 100_000
# What a process makes is its owner's alone: databases, logs and volumes hold what keys protect.
PRIVATE = 0o077
# The variable that holds a process's mark.
MARK = "BOXWRIGHT_STACK_PROCESS"
# Python programs that set their title write over their environment, unless this is set.
_KEEP_ENVIRONMENT = {"SPT_NOENV": "1"}


@dataclass(frozen=True)
class ProcessTable:
    """The processes started below one folder.

    Attributes:
        home: folder that receives `run/<name>.json` and `logs/<name>.log`.
    """

    home: Path

    def log_path(self, name: str) -> Path:
        """The log file of a process; a new start appends to it."""
        return self.home / "logs" / f"{name}.log"

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Starts a process in a session of its own, with `home` as its working directory, unless it runs already.

        Args:
            name: what the process is called in files and messages.
            command: program and arguments.
            environment: the whole environment of the process.

        Returns:
            The pid.

        Raises:
            StorageError: if the program cannot be started.
        """
        if (running := self.find(name)) is not None:
            return int(running.pid)
        log = self.log_path(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            log.chmod(0o600)
            try:
                process = subprocess.Popen(
                    list(command),
                    env={**environment, **_KEEP_ENVIRONMENT, MARK: self._mark(name)},
                    cwd=self.home,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    umask=PRIVATE,
                )
            except OSError as error:
                raise StorageError(
                    f"{name}: {command[0]} cannot be started ({error.strerror}); run `make setup`"
                ) from None
        self.remember(name, process.pid)
        return process.pid

    def remember(self, name: str, pid: int) -> None:
        """Notes which process bears a name from now on."""
        try:
            created = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            created = time.time()
        write_whole(self._record_path(name), json.dumps({"pid": pid, "created": created}))

    def find(self, name: str) -> psutil.Process | None:
        """The running process of that name, or `None` if it ended, never ran, or its pid is another's now."""
        try:
            record = json.loads(self._record_path(name).read_text("utf-8"))
            process = psutil.Process(record["pid"])
            alive = process.status() != psutil.STATUS_ZOMBIE
            same = abs(process.create_time() - record["created"]) <= START_TIME_TOLERANCE
        except (FileNotFoundError, json.JSONDecodeError, psutil.NoSuchProcess):
            return None
        return process if alive and same else None

    def stop(self, name: str, grace: float = 10.0) -> bool:
        """Stops a process with all its children, those of processes of its name before it included.

        Asks first, kills after `grace` seconds.

        Returns:
            Whether it was running.
        """
        leader = self.find(name)
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
            # Each time from the start: a process may have had children after the first look.
            members = self._members(name, leader)
            for process in members:
                _signal(process, number)
            _wait(members, seconds)
        self._record_path(name).unlink(missing_ok=True)
        return leader is not None

    def left_behind(self, name: str) -> list[psutil.Process]:
        """Children, at any depth, of processes of that name that have ended."""
        leader = self.find(name)
        own = {process.pid for process in _family(leader)} if leader else set()
        return [process for process in self._members(name, leader) if process.pid not in own]

    def _members(self, name: str, leader: psutil.Process | None) -> list[psutil.Process]:
        """A process and its children, those of its earlier starts included."""
        found = {process.pid: process for process in (_session(leader.pid) if leader else [])}
        for process in psutil.process_iter():
            if _mark_of(process) == self._mark(name):
                found[process.pid] = process
        return list(found.values())

    def _mark(self, name: str) -> str:
        return f"{self.home.resolve()}:{name}"

    def last_line(self, name: str) -> str:
        """The last line of the log that is not empty; an error line where there is one near the end."""
        try:
            with self.log_path(name).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                lines = log.read().decode("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        filled = [line.strip() for line in lines if line.strip()]
        errors = [line for line in filled[-20:] if "error" in line.lower() or "fatal" in line.lower()]
        return (errors or filled or [""])[-1]

    def _record_path(self, name: str) -> Path:
        return self.home / "run" / f"{name}.json"


def write_whole(path: Path, text: str) -> None:
    """Writes a file that is never seen half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, "utf-8")
    os.replace(temporary, path)


def kill(process: psutil.Process) -> None:
    """Ends a process at once, unless it has ended."""
    _signal(process, signal.SIGKILL)


def _family(leader: psutil.Process) -> list[psutil.Process]:
    """The process, its descendants, and whoever else is in its session (children whose parent died)."""
    try:
        children = leader.children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    return [leader, *children, *_session(leader.pid)]


def _session(number: int) -> list[psutil.Process]:
    """The processes of a session, its leader among them."""
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == number:
                members.append(process)
        except (ProcessLookupError, PermissionError):
            continue
    return members


def _mark_of(process: psutil.Process) -> str | None:
    try:
        mark: str | None = process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
    return mark


def _wait(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Waits until processes have ended; one that nobody has taken note of yet, a zombie, has."""
    deadline = time.monotonic() + seconds
    while any(map(_is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    # Takes note of those that are this process's own.
    psutil.wait_procs(processes, timeout=0)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    # psutil compares the start time before it sends, so that a pid given out again is spared.
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass
