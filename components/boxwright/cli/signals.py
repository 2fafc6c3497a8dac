"""The end of a command that is asked to stop by a signal."""

from __future__ import annotations

import signal
from typing import Any


def end_on_sigterm() -> None:
    """Lets SIGTERM end this process as Ctrl-C does, so that what is open is closed, with a shell's code for it."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)
