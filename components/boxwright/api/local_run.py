"""A run in a process of its own on this machine: it leaves no TensorFlow in the caller's, and can be stopped."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import IO, Any

from boxwright.api.children import last_error, plain_environment
from boxwright.api.run import Run, ended_as
from boxwright.errors import UsageError, error_of
from boxwright.pipeline import LOG, RESULT, LocalRun

_SECONDS_BETWEEN_LOOKS = 0.5


class LocalProcess(Run):
    """A run that is under way in a child process; the process is started here.

    Args:
        local: the run's record, which the child goes on with.
    """

    def __init__(self, local: LocalRun) -> None:
        super().__init__(local.run.run_id)
        self._local = local
        self._log, self._result = local.folder / LOG, local.folder / RESULT
        command = [sys.executable, "-m", "boxwright", "run", "--resume", self.run_id, "--json"]
        with self._result.open("w") as result, self._log.open("w") as log:
            # A session of its own: Ctrl-C at a terminal is for the caller, who then stops it.
            self._process = subprocess.Popen(
                command, stdout=result, stderr=log, env=plain_environment(), start_new_session=True
            )

    @property
    def status(self) -> str:
        """See `Run`."""
        code = self._process.poll()
        if code is None:
            return "running"
        return ended_as(code) if code else str(self._read()["status"])

    def wait(self) -> Run:
        """See `Run`."""
        try:
            with self._log.open() as log:
                while self._process.poll() is None:
                    _print_new(log)
                    time.sleep(_SECONDS_BETWEEN_LOOKS)
                _print_new(log)
        except KeyboardInterrupt:
            self._process.terminate()
            self._process.wait()
            print(f"stopped; boxwright.resume({self.run_id!r}) goes on with it", file=sys.stderr)
            raise
        self._raise_if_failed()
        return self

    def logs(self) -> str:
        """See `Run`."""
        return self._log.read_text()

    def stop(self) -> None:
        """See `Run`."""
        from boxwright.registry import open_registry

        open_registry().ask_to_stop(self._local.config.model_name, self.run_id)

    def _raise_if_failed(self) -> None:
        if code := self._process.poll():
            raise error_of(code)(f"run {self.run_id}: {last_error(self.logs())}")

    def _outcome(self) -> Mapping[str, Any]:
        if self._process.poll() is None:
            raise UsageError(f"run {self.run_id} is under way; `wait()` waits for its end")
        self._raise_if_failed()
        found = self._read()
        return {**found, "archive": found["model_archive"]}

    def _read(self) -> dict[str, Any]:
        return dict(json.loads(self._result.read_text()))


def _print_new(log: IO[str]) -> None:
    """Shows what was added to the log since the last call."""
    if text := log.read():
        print(text, end="", file=sys.stderr, flush=True)
