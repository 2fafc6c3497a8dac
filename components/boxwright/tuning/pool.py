"""A pool of trainings, each in a process of its own; one that is killed is started again and goes on."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from boxwright.errors import StorageError
from boxwright.tuning.process import ERROR_FILE

log = logging.getLogger("boxwright.tuning")
# Starts of a training at most, where it was killed or its storage did not answer.
TRIES = 3
_POLL_SECONDS = 0.2
_LOG = "log.txt"
_SHOWN = 300


@dataclass(frozen=True)
class Job:
    """A training.

    Attributes:
        name: of its folder below that of the study.
        what: `trial` or `proof`.
        argument: its number, or settings as JSON.
    """

    name: str
    what: str
    argument: str


@dataclass(frozen=True)
class Ended:
    """A training that ended.

    Attributes:
        job: which one.
        problem: why it failed, on one line; None where it came to its end, or told its study itself.
        kind: of the failure.
        signal: that ended its process in the last try; None where none did.
    """

    job: Job
    problem: str | None = None
    kind: str | None = None
    signal: int | None = None


@dataclass
class Pool:
    """The trainings of a study that are under way.

    Args:
        folder: of the study, with `study.json`.
        size: trainings at a time.
    """

    folder: Path
    size: int
    _running: dict[str, tuple[Job, subprocess.Popen[bytes]]] = field(default_factory=dict)
    _tries: dict[str, int] = field(default_factory=dict)

    @property
    def has_room(self) -> bool:
        """Whether another one may begin."""
        return len(self._running) < self.size

    @property
    def is_empty(self) -> bool:
        """Whether none is under way."""
        return not self._running

    @property
    def _environment(self) -> dict[str, str]:
        """The environment of the processes. Where several share a GPU, none of them reserves all of its memory."""
        return {**os.environ, **({"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if self.size > 1 else {})}

    def start(self, job: Job) -> None:
        """Begins a training, or goes on with it."""
        out_dir = self.folder / job.name
        out_dir.mkdir(parents=True, exist_ok=True)
        (out_dir / ERROR_FILE).unlink(missing_ok=True)
        self._tries[job.name] = self._tries.get(job.name, 0) + 1
        command = [
            *(sys.executable, "-P", "-m", "boxwright.tuning.process"),
            *(str(self.folder), str(out_dir), str(os.getpid()), job.what, job.argument),
        ]
        with (out_dir / _LOG).open("ab") as output:
            # A session of its own: Ctrl-C reaches the tuning alone, which ends its trainings in order.
            started = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True, env=self._environment
            )
        self._running[job.name] = job, started

    def wait(self) -> Ended:
        """Waits until a training ends; one that can go on is begun again instead."""
        while True:
            for job, process in [*self._running.values()]:
                code = process.poll()
                if code is not None:
                    del self._running[job.name]
                    if ended := self._judge(job, code):
                        return ended
            time.sleep(_POLL_SECONDS)

    def _judge(self, job: Job, code: int) -> Ended | None:
        """The result of a process that ended; None where it was started again."""
        if code == 0:
            return Ended(job)
        killed_by = -code if code < 0 else None
        can_go_on = killed_by is not None or code == StorageError.exit_code
        if can_go_on and self._tries[job.name] < TRIES:
            why = f"was killed by signal {killed_by}" if killed_by else self._said(job, code)
            log.warning("%s %s; it goes on after its last whole epoch", job.name.replace("-", " ", 1), why)
            self.start(job)
            return None
        if killed_by is not None:
            hint = "; where the system did that, memory did not suffice" if killed_by == 9 else ""
            problem = f"the process was ended by signal {killed_by}, {self._tries[job.name]} times{hint}"
            return Ended(job, problem, f"signal {killed_by}", killed_by)
        return Ended(job, self._said(job, code), f"exit code {code}")

    def _said(self, job: Job, code: int) -> str:
        """The reason that a process gave, or its last line."""
        out_dir = self.folder / job.name
        if (out_dir / ERROR_FILE).exists():
            return str(json.loads((out_dir / ERROR_FILE).read_text())["message"])
        lines = (out_dir / _LOG).read_text(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"exit code {code}: {last[:_SHOWN]}" if last else f"exit code {code}"

    def close(self) -> None:
        """Ends all that is under way; each goes on after its last whole epoch when it is begun again."""
        for _, process in self._running.values():
            process.kill()
        for _, process in self._running.values():
            process.wait()
        self._running.clear()


@contextmanager
def pool_of(folder: Path, size: int) -> Iterator[Pool]:
    """A pool, with nothing under way once it is left."""
    pool = Pool(folder, size)
    try:
        yield pool
    finally:
        pool.close()
