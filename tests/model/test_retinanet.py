"""Which anchors a box is learnt from."""

from __future__ import annotations

import numpy as np
import pytest

from boxwright.model.catalogue import model_spec

SIZE = 320
PADDING = [-1.0, -1.0, -1.0, -1.0]


@pytest.fixture(scope="module")
def detector():
    from boxwright.model.families import create_detector

    return create_detector(model_spec("retinanet-efficientnet-lite0-320"), num_classes=2, image_size=SIZE)


def targets(detector, boxes, labels):
    deltas, classes = detector.label_encoder(
        np.zeros((1, SIZE, SIZE, 3), "float32"), np.array([boxes], "float32"), np.array([labels], "float32")
    )
    return np.asarray(deltas)[0], np.asarray(classes)[0]


@pytest.mark.parametrize("size", [2, 6, 12, 20, 60, 200])
def test_a_box_of_any_size_has_anchors_to_learn_from(detector, size):
    box = [101.3, 80.7, 101.3 + size, 80.7 + size]
    deltas, classes = targets(detector, [box, PADDING], [1, -1])

    positive = classes >= 0
    assert positive.any()
    assert (classes[positive] == 1).all()
    anchors = np.asarray(detector.anchor_boxes())[positive]
    widths = anchors[:, 2] - anchors[:, 0]
    centres = (anchors[:, 0] + anchors[:, 2]) / 2
    decoded = centres + deltas[positive, 0] * widths
    np.testing.assert_allclose(decoded, (box[0] + box[2]) / 2, atol=1e-3)
    np.testing.assert_allclose(np.exp(deltas[positive, 2]) * widths, size, rtol=1e-4)


def test_two_small_boxes_in_reach_of_the_same_anchors_both_have_some(detector):
    _, classes = targets(detector, [[100, 100, 105, 105], [109, 100, 115, 106], PADDING], [0, 1, -1])

    assert set(classes[classes >= 0]) == {0, 1}


def test_an_image_without_objects_has_no_positive_anchor(detector):
    _, classes = targets(detector, [PADDING], [-1])

    assert (classes == -1).all()
