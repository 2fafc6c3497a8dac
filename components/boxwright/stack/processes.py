"""Detached processes that outlive the command that started them: start, look up, stop.

A process is remembered in a small JSON file by pid **and** start time, because a pid is given out again after
its process ended: without the time, `down` after a reboot could stop somebody else's program.
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
TAIL_LINES = 200
# What a process makes is its owner's alone: databases, logs and volumes hold what keys protect.
PRIVATE = 0o077


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
                    env=dict(environment),
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
        self._remember(name, process.pid)
        return process.pid

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
        """Stops a process with all its children: asks first, kills after `grace` seconds.

        Returns:
            Whether it was running.
        """
        leader = self.find(name)
        family = self._orphans(name) if leader is None else _family(leader)
        for process in family:
            _signal(process, signal.SIGTERM)
        psutil.wait_procs(family, timeout=grace)
        # Again from the start: a process may have had children after the first look.
        left = self._orphans(name) if leader is None else _family(leader)
        for process in left:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(left, timeout=5)
        self._record_path(name).unlink(missing_ok=True)
        return leader is not None

    def _orphans(self, name: str) -> list[psutil.Process]:
        """The processes that a dead one left behind: its session, as far as it still writes to its log."""
        try:
            session = json.loads(self._record_path(name).read_text("utf-8"))["pid"]
        except (FileNotFoundError, json.JSONDecodeError):
            return []
        log = str(self.log_path(name).resolve())
        return [process for process in _session(session) if log in _open_files(process)]

    def last_line(self, name: str) -> str:
        """The last line of the log that is not empty; an error line where there is one near the end."""
        try:
            lines = self.log_path(name).read_text("utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        except FileNotFoundError:
            return ""
        filled = [line.strip() for line in lines if line.strip()]
        errors = [line for line in filled[-20:] if "error" in line.lower() or "fatal" in line.lower()]
        return (errors or filled or [""])[-1]

    def _record_path(self, name: str) -> Path:
        return self.home / "run" / f"{name}.json"

    def _remember(self, name: str, pid: int) -> None:
        try:
            created = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            created = time.time()
        path = self._record_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"pid": pid, "created": created}), "utf-8")
        os.replace(temporary, path)


def _family(leader: psutil.Process) -> list[psutil.Process]:
    """The process, its descendants, and whoever else is in its session (children whose parent died)."""
    members = {leader.pid: leader} if leader.is_running() else {}
    try:
        members.update({child.pid: child for child in leader.children(recursive=True)})
    except psutil.NoSuchProcess:
        pass
    members.update({process.pid: process for process in _session(leader.pid)})
    return list(members.values())


def _session(number: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == number:
                members.append(process)
        except (ProcessLookupError, PermissionError):
            continue
    return members


def _open_files(process: psutil.Process) -> set[str]:
    try:
        return {file.path for file in process.open_files()}
    except psutil.Error:
        return set()


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    # psutil compares the start time before it sends, so that a pid given out again is spared.
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass
