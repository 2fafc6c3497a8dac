"""Trying again: how often, how long to wait, and when a whole transfer has had enough."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from boxwright.errors import StorageError
from boxwright.storage.file_entry import ChangedError

ATTEMPTS = 9  # of one request: about half a minute of waiting in all, so that a server can restart
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0  # seconds
BUDGET, BUDGET_SHARE = 200, 0.1  # further attempts of a whole transfer: a number, and a share of its requests

Result = TypeVar("Result")


class GaveUpError(StorageError):
    """A request failed too often; whoever hears of it need not try again."""


class Retries:
    """The further attempts that one transfer may make, shared by its threads.

    A server that is down fails every request: without a budget, a million files would each wait their half minute.

    Args:
        requests: how many the transfer makes when nothing fails.
    """

    def __init__(self, requests: int) -> None:
        self._left = BUDGET + int(requests * BUDGET_SHARE)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.made = 0

    def stop(self) -> None:
        """Ends all waiting: the transfer has failed, or was interrupted."""
        self._stopped.set()

    def run(self, request: Callable[[], Result]) -> Result:
        """Makes a request until it succeeds.

        Raises:
            GaveUpError: with the last one's message, when attempts or budget are used up.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return request()
            except (ChangedError, GaveUpError):
                raise
            except StorageError as error:
                if attempt == ATTEMPTS or not self._take():
                    raise GaveUpError(f"{error} (tried {attempt} times)") from error
            self._wait(attempt)
        raise AssertionError("the last attempt returns or raises")

    def _take(self) -> bool:
        with self._lock:
            if self._left <= 0 or self._stopped.is_set():
                return False
            self._left -= 1
            self.made += 1
            return True

    def _wait(self, attempt: int) -> None:
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1))
        # Spread, so that many clients do not come back in the same moment.
        self._stopped.wait(longest * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
