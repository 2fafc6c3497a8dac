"""Anchors, matching, box code, losses and post-processing, on values that a person can check."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from boxwright.model.catalogue import AnchorGrid
from boxwright.model.zoo.anchors import anchor_boxes
from boxwright.model.zoo.boxes import decode, encode, match
from boxwright.model.zoo.losses import Targets, assign_targets, box_loss, focal_loss
from boxwright.model.zoo.pixels import ZooResizing, mean_colour, normalised
from boxwright.model.zoo.postprocess import detections

SCALES = (10.0, 10.0, 5.0, 5.0)


def test_anchors_are_ordered_by_level_row_column_shape_and_size():
    grid = AnchorGrid(scale=4.0, scales_per_octave=2, aspect_ratios=(1.0, 0.5, 2.0), min_level=3, max_level=4)
    anchors = anchor_boxes(grid, 32) * 32
    assert anchors.shape == ((4 * 4 + 2 * 2) * 6, 4)
    np.testing.assert_allclose(anchors[0], [4 - 16, 4 - 16, 4 + 16, 4 + 16], atol=1e-5)  # 32 = four strides of 8
    np.testing.assert_allclose((anchors[1, 2] - anchors[1, 0]) / 32, 2**0.5, rtol=1e-6)
    height, width = anchors[2, 2:] - anchors[2, :2]
    np.testing.assert_allclose([height * width, height / width], [32**2, 0.5], rtol=1e-5)
    np.testing.assert_allclose(anchors[6, :2] - anchors[0, :2], [0, 8], atol=1e-5)
    np.testing.assert_allclose(anchors[24, :2] - anchors[0, :2], [8, 0], atol=1e-5)


def test_anchors_of_a_level_that_does_not_divide_the_input_sit_at_the_corners_of_their_cells():
    grid = AnchorGrid(scale=4.0, scales_per_octave=1, aspect_ratios=(1.0,), min_level=4, max_level=4)
    centres = (anchor_boxes(grid, 40)[:, :2] + anchor_boxes(grid, 40)[:, 2:]) * 20
    np.testing.assert_allclose(centres[:3, 1], [0, 16, 32], atol=1e-5)


def test_a_code_leads_back_to_its_box():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 0.5, (2, 50, 2)).astype("f4")
    boxes, anchors = (np.concatenate([c, c + rng.uniform(0.1, 0.5, (50, 2))], 1).astype("f4") for c in corners)
    np.testing.assert_allclose(decode(encode(boxes, anchors, SCALES), anchors, SCALES), boxes, atol=1e-5)
    shifted = tf.constant([[0.1, 0.0, 0.6, 0.5]])
    code = encode(shifted, tf.constant([[0.0, 0.0, 0.5, 0.5]]), SCALES)
    np.testing.assert_allclose(code, [[10 * 0.2, 0, 0, 0]], atol=1e-5)


def test_each_box_takes_its_best_anchor_however_little_they_overlap():
    anchors = np.array([[0, 0, 0.2, 0.2], [0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], "f4")
    boxes = np.array([[[0, 0, 0.5, 0.45], [0.9, 0.9, 1, 1], [0, 0, 1, 1]]], "f4")
    valid = np.array([[True, True, False]])
    np.testing.assert_array_equal(match(anchors, boxes, valid), [[-1, 0, 1]])
    # Padding matches nothing, and of two boxes that want one anchor the first has it.
    np.testing.assert_array_equal(match(anchors, boxes, valid & False), [[-1, -1, -1]])
    twins = np.array([[[0.6, 0.6, 0.7, 0.7], [0.8, 0.8, 0.9, 0.9]]], "f4")
    np.testing.assert_array_equal(match(anchors, twins, np.array([[True, True]])), [[-1, -1, 0]])


def test_losses_are_hubers_and_the_focal_one():
    targets = Targets(
        tf.constant([[0, -1]]), tf.constant([[[0.0, 0, 0, 0], [0, 0, 0, 0]]]), tf.constant([[[0.0, 1.0], [0, 0]]])
    )
    outputs = tf.constant([[[0.5, 2.0, 0, 0], [9, 9, 9, 9]]])
    np.testing.assert_allclose(box_loss(outputs, targets), (0.5 * 0.25 + 1.5) / 4)
    logits, gamma = np.array([[[-3.0, 0.5], [-2.0, 1.0]]], "f4"), 1.5
    chance = 1 / (1 + np.exp(-logits))
    positive = 0.25 * (1 - chance) ** gamma * -np.log(chance)
    negative = 0.75 * chance**gamma * -np.log(1 - chance)
    expected = np.where(targets.classes == 1, positive, negative).sum()
    np.testing.assert_allclose(focal_loss(tf.constant(logits), targets, gamma), expected, rtol=1e-5)


@pytest.mark.parametrize(("background", "slot"), [(0, 1), (1, 2)])
def test_background_anchors_have_no_class(background, slot):
    anchors = np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], "f4")
    boxes, labels = np.array([[[0, 0, 0.5, 0.5], [-1, -1, -1, -1]]], "f4"), np.array([[1.0, -1.0]], "f4")
    targets = assign_targets(anchors, boxes, labels, SCALES, 3 + background, background)
    np.testing.assert_array_equal(np.argwhere(targets.classes[0].numpy()), [[0, slot]])
    np.testing.assert_allclose(targets.boxes, 0, atol=1e-5)


def _slow_detections(boxes, scores, extent, threshold):
    """Greedy suppression in each class, over all anchors."""
    kept = []
    for label in range(scores.shape[1]):
        chosen = []
        for row in np.argsort(-scores[:, label], kind="stable"):
            if scores[row, label] <= 1e-8 or len(chosen) == 100:
                break
            sides = [
                np.maximum(
                    0, np.minimum(boxes[row, 2:], boxes[other, 2:]) - np.maximum(boxes[row, :2], boxes[other, :2])
                )
                for other in chosen
            ]
            areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
            if all(
                s.prod() <= threshold * (areas[row] + areas[o] - s.prod()) for s, o in zip(sides, chosen, strict=True)
            ):
                chosen.append(row)
        kept += [(scores[row, label], label + 1, row) for row in chosen]
    found = []
    for score, label, row in sorted(kept, key=lambda one: -one[0]):
        box = np.clip(boxes[row] / np.tile(extent, 2), 0, 1)
        if (box[2:] > box[:2]).all():
            found.append((score, label, *box))
    return np.array(found[:100])


@pytest.mark.parametrize("anchors", [300, 1200])
def test_detections_are_those_of_suppression_over_all_anchors(anchors):
    """With few anchors all are candidates; with many, clustered ones the second look is needed."""
    rng = np.random.default_rng(anchors)
    start = rng.uniform(-0.3, 1.0, (1, anchors, 2)) * (0.05 if anchors > 1000 else 1)
    boxes = np.concatenate([start, start + rng.uniform(0.05, 0.3, (1, anchors, 2))], -1).astype("f4")
    scores, extent = rng.uniform(0, 1, (1, anchors, 2)).astype("f4"), np.array([[0.7, 1.0]], "f4")
    found = detections(tf.constant(boxes), tf.constant(scores), tf.constant(extent), 0.5)
    expected = _slow_detections(boxes[0], scores[0], extent[0], 0.5)
    count = int(found["num_detections"][0])
    assert count == len(expected)
    np.testing.assert_allclose(found["detection_scores"][0, :count], expected[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(found["detection_classes"][0, :count], expected[:, 1])
    np.testing.assert_allclose(found["detection_boxes"][0, :count], expected[:, 2:], atol=1e-5)
    assert not found["detection_scores"][0, count:].numpy().any()


def test_resizing_keeps_the_first_pixel_in_place():
    image = np.arange(4, dtype="f4")[:, None, None] * np.ones((1, 4, 3), "f4") * 60
    resized, extent = ZooResizing(8)(tf.constant(image))
    np.testing.assert_allclose(resized[:, 0, 0], [0, 30, 60, 90, 120, 150, 180, 180])
    np.testing.assert_array_equal(extent, [1, 1])


@pytest.mark.parametrize("backbone", ["resnet50", "efficientnet-b0"])
def test_padding_is_zero_after_normalisation(backbone):
    image = tf.zeros((30, 50, 3))
    resized, extent = ZooResizing(64, keep_aspect=True, fill=mean_colour(backbone))(image)
    np.testing.assert_allclose(extent, [38 / 64, 1])
    pixels = normalised(resized[None], backbone)[0].numpy()
    np.testing.assert_allclose(pixels[38:], 0, atol=1e-5)
    assert (pixels[:38] < -1).all()
