"""Which places learn which box."""

from __future__ import annotations

import numpy as np
import pytest

from boxwright.model.gfl.assignment import assign
from boxwright.model.gfl.boxes import place_grid

SIZE, STRIDES = 320, (8, 16, 32)
PADDING = [-1.0, -1.0, -1.0, -1.0]


@pytest.fixture(scope="module")
def grid():
    return place_grid(SIZE, STRIDES)


def assigned(grid, boxes, labels, predicted=None, scores=None, classes=2):
    """The first image's targets; by default each place predicts a square of seven strides, and no class."""
    places, strides = grid
    if predicted is None:
        reach = strides[:, None] * 3.5
        predicted = np.concatenate([places - reach, places + reach], axis=-1)
    if scores is None:
        scores = np.full((len(places), classes), 0.01)
    targets = assign(
        places,
        strides,
        np.array([boxes], "float32"),
        np.array([labels], "float32"),
        np.array([predicted], "float32"),
        np.array([scores], "float32"),
    )
    return {name: np.asarray(value)[0] for name, value in vars(targets).items()}


@pytest.mark.parametrize("size", [1, 2, 6, 12, 20, 60, 200, 318])
def test_a_box_of_any_size_has_places_to_learn_from(grid, size):
    start = min(101.3, 319 - size)
    box = [start, start, start + size, start + size]
    found = assigned(grid, [box, PADDING], [1, -1])

    learning = found["matched"] >= 0
    assert learning.any()
    assert (found["labels"][learning] == 1).all() and (found["labels"][~learning] == -1).all()
    np.testing.assert_allclose(found["boxes"][learning], [box] * learning.sum())
    assert found["quality"][learning].max() > 0
    assert not found["quality"][~learning].any()


def test_the_place_that_predicts_a_box_best_learns_the_root_of_its_own_overlap(grid):
    places, strides = grid
    reach = strides[:, None] * 3.5
    predicted = np.concatenate([places - reach, places + reach], axis=-1)
    box = [100, 100, 180, 180]
    best = int(np.argmin(np.abs(places - [148, 132]).sum(-1)))
    predicted[best] = [100, 100, 180, 160]
    found = assigned(grid, [box], [0], predicted)
    assert found["quality"].argmax() == best
    np.testing.assert_allclose([found["share"][best], found["quality"][best]], [1, 0.75**0.5], rtol=1e-5)


def test_of_places_with_the_same_overlap_those_that_know_the_class_are_taken(grid):
    places, strides = grid
    predicted = np.tile([100.0, 100.0, 260.0, 260.0], (len(places), 1))
    scores = np.full((len(places), 2), 0.01)
    scores[:40, 1] = scores[700:720, 1] = 0.9
    found = assigned(grid, [[100, 100, 260, 260]], [1], predicted, scores)
    learning = np.flatnonzero(found["matched"] >= 0)
    inside = (places[700:720] > 100).all(-1) & (places[700:720] < 260).all(-1)
    assert set(learning) <= set(700 + np.flatnonzero(inside))


def test_a_place_that_two_boxes_want_goes_to_the_one_that_it_overlaps_more(grid):
    outer, inner = [40, 40, 240, 240], [120, 120, 160, 160]
    found = assigned(grid, [outer, inner], [0, 1])
    for index, box in enumerate((outer, inner)):
        learning = found["matched"] == index
        assert learning.any()
        np.testing.assert_allclose(found["boxes"][learning], [box] * learning.sum())
        assert (found["labels"][learning] == index).all()


def test_two_small_boxes_in_reach_of_the_same_places_both_have_some(grid):
    found = assigned(grid, [[100, 100, 105, 105], [109, 100, 115, 106], PADDING], [0, 1, -1])
    assert set(found["labels"][found["matched"] >= 0]) == {0, 1}


def test_a_box_that_no_predicted_box_overlaps_is_learnt_all_the_same(grid):
    places, strides = grid
    predicted = np.concatenate([places + 300, places + 310], axis=-1)
    found = assigned(grid, [[10, 10, 30, 30]], [0], predicted)
    learning = found["matched"] == 0
    assert learning.any()
    np.testing.assert_allclose(found["share"][learning], 1)


def test_an_image_without_objects_has_background_only(grid):
    found = assigned(grid, [PADDING], [-1])
    assert (found["matched"] == -1).all() and (found["labels"] == -1).all() and not found["quality"].any()
