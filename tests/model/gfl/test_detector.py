"""The family's box code, losses and frozen parts; the contract is tested for all families together."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from boxwright.model.catalogue import model_spec
from boxwright.model.families import create_detector
from boxwright.model.gfl.boxes import BINS

SIZE = 128


@pytest.fixture(scope="module")
def detector():
    return create_detector(model_spec("gfl-efficientnet-lite0-320"), num_classes=2, image_size=SIZE)


def outputs_for(detector, place, distances, label, certainty=9.0):
    """Raw outputs of an image in which one place alone predicts a box, with the given distances in strides."""
    logits = np.zeros((1, len(detector.places), 4, len(BINS)), "float32")
    below = np.floor(distances).astype(int)
    share = distances - below
    with np.errstate(divide="ignore"):
        logits[0, place] = -60.0
        logits[0, place, range(4), below] = np.log(1 - share)
        logits[0, place, range(4), below + 1] = np.maximum(np.log(share), -60.0)
    classes = np.full((1, len(detector.places), 2), -9.0, "float32")
    classes[0, place, label] = certainty
    flat = logits.reshape(1, len(detector.places), -1)
    return {"distance_logits": tf.constant(flat), "class_logits": tf.constant(classes)}


def test_distributions_are_decoded_to_the_box_that_they_mean(detector):
    place, distances = 37, np.array([1.25, 0.5, 3.0, 2.75])
    found = detector.decode(outputs_for(detector, place, distances, label=1))
    x, y = detector.places[place]
    left, top, right, bottom = distances * detector.strides[place]
    expected = np.array([y - top, x - left, y + bottom, x + right]) / SIZE
    np.testing.assert_allclose(found["detection_boxes"][0, 0], expected, atol=1e-5)
    assert found["detection_classes"][0, 0] == 2 and found["detection_scores"][0, 0] > 0.99


def test_the_right_box_costs_less_than_a_shifted_one_and_the_right_class_less_than_the_other(detector):
    place, distances = 100, np.array([2.0, 2.0, 3.0, 3.0])
    x, y = detector.places[place]
    left, top, right, bottom = distances * detector.strides[place]
    targets = {
        "boxes": tf.constant([[[x - left, y - top, x + right, y + bottom], [-1, -1, -1, -1]]], tf.float32),
        "labels": tf.constant([[1.0, -1.0]]),
    }
    right_one = detector.loss_sums(None, targets, outputs_for(detector, place, distances, label=1))
    shifted = detector.loss_sums(None, targets, outputs_for(detector, place, distances + [0.5, 0, -0.5, 0], label=1))
    misnamed = detector.loss_sums(None, targets, outputs_for(detector, place, distances, label=0))
    (localization, classification, count), (shifted_localization, _, _), (_, misnamed_classification, _) = (
        [float(one) for one in losses] for losses in (right_one, shifted, misnamed)
    )
    assert count > 0.99
    assert localization < shifted_localization
    assert classification < misnamed_classification


def test_images_without_objects_teach_the_background_alone(detector):
    targets = {"boxes": tf.fill((2, 1, 4), -1.0), "labels": tf.fill((2, 1), -1.0)}
    outputs = {
        "distance_logits": tf.zeros((2, len(detector.places), 4 * len(BINS))),
        "class_logits": tf.zeros((2, len(detector.places), 2)),
    }
    localization, classification, count = detector.loss_sums(None, targets, outputs)
    assert (float(localization), float(count)) == (0.0, 0.0)
    assert float(classification) > 0


def test_xla_compiles_the_losses_to_the_same_numbers(detector, random_batch):
    targets, outputs = random_batch

    def losses(outputs):
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            sums = detector.loss_sums(None, targets, outputs)
            total = sums[0] + sums[1]
        return sums, tape.gradient(total, outputs)

    compiled = tf.function(losses, jit_compile=True, autograph=False)(outputs)
    for one, other in zip(tf.nest.flatten(compiled), tf.nest.flatten(losses(outputs)), strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.fixture
def random_batch(detector):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (2, 5, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (2, 5, 2))], axis=-1)
    labels = np.array([[0, 1, 1, 0, -1], [1, -1, -1, -1, -1]])
    boxes[labels < 0] = -1
    targets = {"boxes": tf.constant(boxes, tf.float32), "labels": tf.constant(labels, tf.float32)}
    places = len(detector.places)
    outputs = {
        "distance_logits": tf.constant(rng.normal(size=(2, places, 4 * len(BINS))), tf.float32),
        "class_logits": tf.constant(rng.normal(size=(2, places, 2)), tf.float32),
    }
    return targets, outputs


def test_frozen_batch_norm_is_that_of_the_encoder(detector):
    import keras

    detector.freeze_batch_norm()
    norms = [layer for layer in detector._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    encoder = {id(layer) for layer in detector.backbone.layers}
    assert {id(layer) in encoder for layer in norms} == {True, False}
    for layer in norms:
        assert layer.trainable == (id(layer) not in encoder), layer.name


def test_the_network_has_no_operator_that_litert_lacks(detector):
    @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 3))])
    def network(images):
        outputs = detector(images, training=False)
        return detector.distances(outputs["distance_logits"]), outputs["class_logits"]

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    image = np.random.default_rng(0).uniform(0, 255, (1, SIZE, SIZE, 3)).astype("float32")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    answers = [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]
    expected = {value.shape: value.numpy() for value in network(tf.constant(image))}
    for answer in answers:
        np.testing.assert_allclose(answer, expected[answer.shape], atol=1e-3)
