"""A connection that cannot be kept for nothing: late headers, unread answers and too many of them end it.

uvicorn bounds the size of headers and the time between requests, and nothing else of this.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from boxwright.config import ServingConfig
from boxwright.serving.http.repeated import REQUESTS

_LOOKS = 4  # in the shorter of both time limits
_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def bounded_connection(limits: ServingConfig) -> type[asyncio.Protocol]:
    """The class of a server's connections.

    Args:
        limits: of which `header_timeout`, `answer_timeout` and `max_connections` are meant.
    """

    class BoundedConnection(_Connection):
        config_of_limits = limits

    return BoundedConnection


class _Connection(H11Protocol):
    config_of_limits: ServingConfig

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._waiting_since = self._moved = self.loop.time()
        self._unread = 0
        self._timer: asyncio.TimerHandle | None = None
        limits = self.config_of_limits
        self._seconds = min(limits.header_timeout, limits.answer_timeout) / _LOOKS
        if len(self.connections) > limits.max_connections:
            self._make_room()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    @property
    def _is_waiting(self) -> bool:
        """Whether no request of it is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> None:
        """Ends the connection that has waited longest for a request; this one, where all others are being answered."""
        waiting = [one for one in cast("set[_Connection]", self.connections) if one._is_waiting]
        most = self.config_of_limits.max_connections
        REQUESTS.warning("more than %d connections at a time: those that send nothing are closed", most)
        longest = min(waiting, key=lambda one: one._waiting_since)
        self.connections.discard(longest)
        longest.transport.abort()

    def _look(self) -> None:
        """Ends the connection where it is late, and else looks again soon."""
        now, limits = self.loop.time(), self.config_of_limits
        unread = self.transport.get_write_buffer_size()
        if unread == 0 or unread < self._unread:
            self._moved = now
        self._unread = unread
        if unread and now - self._moved > limits.answer_timeout:
            REQUESTS.warning(
                "a client read nothing of its answer for %g s: its connection is closed", limits.answer_timeout
            )
            self.transport.abort()
            return
        if not unread and self._is_waiting and now - self._waiting_since > limits.header_timeout:
            if self.conn.trailing_data[0]:
                REQUESTS.warning(
                    "a request was not complete after %g s: its connection is closed", limits.header_timeout
                )
                self.transport.write(_LATE)
            self.transport.close()
            return
        self._timer = self.loop.call_later(self._seconds, self._look)
