"""A model that is served by a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import weakref
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from boxwright.api.children import last_error, plain_environment
from boxwright.config import ServingConfig, parse_record
from boxwright.errors import error_of

_SECONDS_TO_END = 30.0


@dataclass(frozen=True)
class Server:
    """An HTTP server of a model; for `with`, which ends it.

    Attributes:
        url: where it answers.
    """

    url: str
    _process: subprocess.Popen[str] = field(repr=False)

    @property
    def pid(self) -> int:
        """Id of its process."""
        return self._process.pid

    def stop(self) -> None:
        """Ends it, after the requests that are under way."""
        self._process.terminate()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def start_server(model: str, port: int, settings: dict[str, Any]) -> Server:
    """Starts `boxwright serve`, and waits until it answers.

    Args:
        model: reference or URI.
        port: of 127.0.0.1; 0 for a free one.
        settings: limits by name.

    Raises:
        UsageError: a limit is wrong.
        StorageError: the port is taken.
        DataError: see `boxwright.Detector`.
    """
    parse_record(ServingConfig, {"port": port, **settings})
    limits = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "boxwright", "serve", "--model", model, "--port", str(port), *limits]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=plain_environment(), text=True, start_new_session=True
        )
        assert process.stdout is not None
        try:
            ready = process.stdout.readline()
        except BaseException:  # Ctrl-C, which does not reach a process of its own session
            process.terminate()
            raise
        if not ready:
            errors.seek(0)
            raise error_of(process.wait())(last_error(errors.read()))
    server = Server(ready.rpartition(" on ")[2].strip(), process)
    weakref.finalize(server, process.terminate)  # at the latest with this process
    return server
