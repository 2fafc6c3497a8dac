"""The fastest batch size, learned while serving.

A GPU takes eight in the time of one; two cores take eight times as long, or longer. So the size climbs in powers of two
as long as each step up saves time a picture, and comes down again when it no longer does.
"""

from __future__ import annotations

# A step up delays the first picture of a batch: it has to pay.
_GAIN = 0.95
_SMOOTHING = 0.3
# The first run of a size builds what later ones use, and one alone says little.
_LEAST_RUNS = 3
_BATCHES_BETWEEN_TRIES = 100


class BatchSize:
    """The size of the next batch.

    Args:
        largest: that is allowed.
    """

    def __init__(self, largest: int) -> None:
        self._sizes = [1 << i for i in range(largest.bit_length())]
        if self._sizes[-1] != largest:
            self._sizes.append(largest)
        self._at = 0
        self._runs = [0] * len(self._sizes)
        self._seconds = [0.0] * len(self._sizes)
        self._since_try = self._tries = 0

    @property
    def wanted(self) -> int:
        """The size that a batch should have, if that many pictures wait."""
        return self._sizes[self._next()]

    def choose(self, waiting: int) -> int:
        """The size of a batch when `waiting` pictures wait; at least one."""
        return min(self.wanted, max(1, waiting))

    def note(self, pictures: int, seconds: float) -> None:
        """Learns from a batch of `pictures` that took `seconds`."""
        self._since_try += 1
        if pictures not in self._sizes:
            return
        place = self._sizes.index(pictures)
        self._runs[place] += 1
        if self._runs[place] <= 2:
            self._seconds[place] = seconds / pictures
        else:
            self._seconds[place] += _SMOOTHING * (seconds / pictures - self._seconds[place])
        if place != self._at and self._runs[place] >= _LEAST_RUNS:
            self._since_try = 0
            self._tries += 1
        self._move()

    def _move(self) -> None:
        above, below = self._at + 1, self._at - 1
        if self._is_known(above) and self._seconds[above] < _GAIN * self._seconds[self._at]:
            self._at = above
        elif self._is_known(below) and self._seconds[self._at] >= _GAIN * self._seconds[below]:
            self._at = below

    def _is_known(self, place: int) -> bool:
        known = range(len(self._sizes))
        return place in known and min(self._runs[place], self._runs[self._at]) >= _LEAST_RUNS

    def _next(self) -> int:
        """The place of the best size; of a neighbour where that is not known yet, or was not tried for long."""
        if self._runs[self._at] < _LEAST_RUNS:
            return self._at
        neighbours = [place for place in (self._at + 1, self._at - 1) if 0 <= place < len(self._sizes)]
        if unknown := [place for place in neighbours if self._runs[place] < _LEAST_RUNS]:
            return unknown[0]
        if neighbours and self._since_try >= _BATCHES_BETWEEN_TRIES:
            return neighbours[self._tries % len(neighbours)]
        return self._at
