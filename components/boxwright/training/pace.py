"""How long the steps of a training take, apart from the start-up of a process."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Seconds of a step in the long run. The first step builds the network's program, and is left out.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = 0.0
        self._warm = False
        self._seconds = 0.0
        self._steps = 0

    def begin(self) -> None:
        """The steps of a round begin now: what passed since the last one is not theirs."""
        self._last = self._clock()

    def step(self) -> None:
        """A step has ended."""
        now = self._clock()
        if self._warm:
            self._seconds += now - self._last
            self._steps += 1
        self._warm, self._last = True, now

    @property
    def seconds(self) -> float | None:
        """Mean seconds of a step; None before the second one has ended."""
        return self._seconds / self._steps if self._steps else None


def in_minutes(seconds: float) -> str:
    """Seconds as `3 min 05 s`."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s"
