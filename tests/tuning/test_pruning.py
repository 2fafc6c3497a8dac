"""Successive halving: who goes on at a rung, whatever was said of a trial before."""

from __future__ import annotations

import pytest

from boxwright.tuning.pruning import is_outpaced

RIVALS = [{1: 0.5, 3: 0.6}, {1: 0.4, 3: 0.7}, {1: 0.3}, {1: 0.2}, {1: 0.1}]


@pytest.mark.parametrize(
    ("own", "others", "outpaced"),
    [
        ({}, RIVALS, False),
        ({1: 0.0}, RIVALS[:1], False),
        ({1: 0.0}, RIVALS[:2], True),
        ({1: 0.6}, RIVALS, False),
        ({1: 0.45}, RIVALS, False),  # two of six go on
        ({1: 0.39}, RIVALS, True),
        ({1: 0.6, 2: 0.0}, RIVALS, False),  # no rung there
        ({1: 0.6, 3: 0.65}, RIVALS, True),
        ({1: 0.6, 3: 0.75}, RIVALS, False),
        ({2: 0.0}, RIVALS, True),  # behind the first rung, and not asked there before
        ({5: 0.9}, [{5: 0.1}, {5: 0.2}], False),
    ],
)
def test_the_best_third_goes_on(own, others, outpaced):
    assert is_outpaced(own, others, 1) is outpaced


def test_with_a_loss_the_lowest_go_on():
    losses = [{1: 3.0}, {1: 2.0}]
    assert is_outpaced({1: 2.5}, losses, 1, is_loss=True)
    assert not is_outpaced({1: 1.5}, losses, 1, is_loss=True)


def test_the_answer_is_the_same_when_it_is_asked_again():
    own = {1: 0.39}
    assert [is_outpaced(own, RIVALS, 1) for _ in range(3)] == [True] * 3


def test_rungs_lie_at_thrice_the_epochs():
    others = [{5: 0.9, 15: 0.9}, {5: 0.8, 15: 0.8}, {5: 0.7}]
    assert not is_outpaced({5: 0.95, 10: 0.0}, others, 5)
    assert is_outpaced({5: 0.95, 10: 0.0, 15: 0.5}, others, 5)
