"""Boxes as distances from places, and their overlaps."""

from __future__ import annotations

import numpy as np
import pytest

from boxwright.model.gfl.boxes import (
    BINS,
    boxes_of,
    distances_to,
    distribution_focal_loss,
    generalized_overlaps,
    mean_distances,
    overlaps,
    place_grid,
)


def test_places_are_the_centres_of_the_cells_of_each_level():
    places, strides = place_grid(64, (8, 16, 32))
    assert places.shape == (64 + 16 + 4, 2) and strides.tolist() == [8] * 64 + [16] * 16 + [32] * 4
    assert places[:2].tolist() == [[4, 4], [12, 4]]
    assert places[-4:].tolist() == [[16, 16], [48, 16], [16, 48], [48, 48]]


def test_distances_and_boxes_are_each_others_reverse():
    places, strides = place_grid(64, (8, 16, 32))
    distances = np.random.default_rng(0).uniform(0, 5, (2, len(places), 4)).astype("float32")
    boxes = boxes_of(distances, places, strides)
    np.testing.assert_allclose(boxes[0, 0], [4, 4, 4, 4] + distances[0, 0] * [-8, -8, 8, 8], rtol=1e-5)
    np.testing.assert_allclose(distances_to(boxes, places, strides), distances, atol=1e-5)


def test_overlaps_of_boxes_whose_areas_are_known():
    one = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 2, 2], [1, 1, 1, 1]], "float32")
    other = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [4, 0, 6, 2], [1, 1, 1, 1]], "float32")
    np.testing.assert_allclose(overlaps(one, other), [1, 8 / 24, 0, 0], rtol=1e-6)
    # The hull of the third pair is 6 x 2, and a third of it is between the boxes.
    np.testing.assert_allclose(generalized_overlaps(one, other), [1, 8 / 24, -4 / 12, 0], rtol=1e-6)


@pytest.mark.parametrize("distance", [0.0, 0.3, 5.0, 9.99, 12.0, 30.0, 50.0, 64.0])
def test_a_distribution_that_costs_least_has_the_distance_for_mean(distance):
    below = min(int(np.searchsorted(BINS, distance, side="right")) - 1, len(BINS) - 2)
    share = (distance - BINS[below]) / (BINS[below + 1] - BINS[below])
    chances = np.full(len(BINS), 1e-9)
    chances[[below, below + 1]] += [1 - share, share]
    best = np.log(chances).astype("float32")
    np.testing.assert_allclose(mean_distances(best[None]), [distance], atol=1e-4)
    least = float(distribution_focal_loss(best, np.float32(distance)))
    for other in np.random.default_rng(0).normal(size=(20, len(BINS))).astype("float32"):
        assert least < float(distribution_focal_loss(other, np.float32(distance)))


def test_distances_beyond_the_bins_count_as_the_nearest_one():
    logits = np.random.default_rng(0).normal(size=(2, len(BINS))).astype("float32")
    outside, at_the_end = (np.array(pair, "float32") for pair in ([-3, 100], [0, 64]))
    np.testing.assert_allclose(distribution_focal_loss(logits, outside), distribution_focal_loss(logits, at_the_end))
