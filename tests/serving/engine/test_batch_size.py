"""The size of batches, on machines that are a function of the test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from boxwright.serving.engine.batch_size import BatchSize


def served(size: BatchSize, seconds: Callable[[int], float], batches: int, waiting: int = 100) -> list[int]:
    """Sizes of the batches of a machine that takes `seconds(pictures)` for one."""
    chosen = []
    for _ in range(batches):
        pictures = size.choose(waiting)
        chosen.append(pictures)
        size.note(pictures, seconds(pictures))
    return chosen


def test_where_many_take_as_long_as_one_it_climbs_to_the_largest() -> None:
    chosen = served(BatchSize(8), lambda pictures: 0.1, 400)
    assert chosen[:3] == [1, 1, 1]
    assert chosen[12:60] == [8] * 48
    assert chosen.count(8) > 380


@pytest.mark.parametrize("seconds", [lambda pictures: 0.1 * pictures, lambda pictures: 0.1 * pictures**1.4])
def test_where_each_takes_its_time_it_stays_at_one_and_hardly_tries(seconds: Callable[[int], float]) -> None:
    chosen = served(BatchSize(8), seconds, 1000)
    assert set(chosen) == {1, 2}
    assert chosen.count(2) < 20


def test_the_best_may_lie_between() -> None:
    chosen = served(BatchSize(32), lambda pictures: 0.1 + 0.01 * pictures + 0.002 * pictures**2, 500)
    assert max(set(chosen[100:]), key=chosen[100:].count) == 8


def test_it_comes_down_when_the_machine_changes() -> None:
    size = BatchSize(8)
    assert served(size, lambda pictures: 0.1, 50)[-1] == 8
    assert served(size, lambda pictures: 0.1 * pictures**1.5, 1500)[-1] == 1


def test_it_climbs_again_from_the_middle() -> None:
    size = BatchSize(8)
    assert served(size, lambda pictures: 0.1 + (0.4 if pictures > 2 else 0), 50)[-1] == 2
    assert served(size, lambda pictures: 0.1, 1500)[-1] == 8


def test_no_more_than_wait_and_no_more_than_the_largest() -> None:
    size = BatchSize(6)
    served(size, lambda pictures: 0.1, 50)
    assert [size.choose(waiting) for waiting in (0, 1, 3, 6, 50)] == [1, 1, 3, 6, 6]
    assert served(BatchSize(1), lambda pictures: 0.1, 20) == [1] * 20
