"""One line in the log for a kind of fault: what a client can make happen a thousand times is told once a minute."""

from __future__ import annotations

import logging
import time
from typing import Any

_SECONDS = 60.0
_MOST_KINDS = 1000
# What a request can go wrong with is told here, beside uvicorn and asyncio, which tell it themselves.
REQUESTS = logging.getLogger("boxwright.requests")
_NOISY = ("uvicorn.error", "asyncio", REQUESTS.name)


class OncePerKind(logging.Filter):
    """Lets one record of a kind through in a minute, with the number of those that were kept back since the last.

    A kind is a message without its values, and the type of the exception with the place where it was raised.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[Any, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        if record.levelno < logging.WARNING:
            return True
        kind, now = (record.msg, *_raised(record)), time.monotonic()
        said, kept_back = self._kinds.get(kind, (-_SECONDS, 0))
        if now - said < _SECONDS:
            self._kinds[kind] = (said, kept_back + 1)
            return False
        if len(self._kinds) >= _MOST_KINDS:
            self._kinds.clear()
        self._kinds[kind] = (now, 0)
        if kept_back:
            text = record.getMessage().rstrip()
            record.msg, record.args = f"{text} (and {kept_back} more like it since it was last told)", None
        return True


def _raised(record: logging.LogRecord) -> tuple[Any, Any]:
    """Type of an exception, and where it was raised."""
    kind, _, trace = record.exc_info or (None, None, None)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return kind, trace and (trace.tb_frame.f_code.co_filename, trace.tb_lineno)


def tell_once() -> None:
    """From now on, faults of requests are told once a minute."""
    for name in _NOISY:
        logger = logging.getLogger(name)
        if not any(isinstance(one, OncePerKind) for one in logger.filters):
            logger.addFilter(OncePerKind())
