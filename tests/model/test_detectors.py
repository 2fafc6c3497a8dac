"""Every network, through the same checks; what trains or exports, for the smallest of each family."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from boxwright.config import Hyperparameters, parse_config
from boxwright.errors import UsageError
from boxwright.model.catalogue import MODELS, compatible_ids, hyperparameters_of, model_spec
from boxwright.model.families import create_detector

SIZE = 128  # BiFPN needs a multiple of it
CLASSES = ("disc", "ring")


# Networks of a family differ in size only: all are built and run, and one of them stands for all in the rest.
SMALLEST = (
    "tiny",
    "gfl-efficientnet-lite0-320",
    "dfine-nano",
    "tensorflow-od1-ssd-mobilenet-v2-fpnlite-320x320-coco17-tpu-8",
)
COCO_CLASSES = 80


def _is_built(model_id):
    """Ids that differ in the size of their input have one network; of the zoo's, here one of each family is built."""
    is_first = compatible_ids(model_id)[0] == model_id
    return is_first and (not model_id.startswith("tensorflow-od1-") or "320x320" in model_id or "-d0-" in model_id)


BUILT = [model_id for model_id in MODELS if _is_built(model_id)]


@pytest.fixture(scope="module", params=BUILT)
def model_id(request):
    return request.param


def for_the_smallest(test):
    return pytest.mark.parametrize("model_id", SMALLEST, indirect=True, scope="module")(test)


def _card(model_id):
    from boxwright.model.store import ModelCard

    return ModelCard(model_id=model_id, image_size=SIZE, classes=CLASSES, category_ids=(1, 2))


@pytest.fixture(scope="module")
def detector(model_id):
    import keras

    from boxwright.model.store import build_detector

    keras.utils.set_random_seed(1)
    return build_detector(_card(model_id))


@pytest.fixture(scope="module")
def saved(detector, model_id, tmp_path_factory):
    """The detector's files, and itself with the weights that are in them."""
    from boxwright.model.store import save_detector

    folder = tmp_path_factory.mktemp("saved")
    save_detector(detector, _card(model_id), folder)
    return folder


@pytest.fixture(scope="module")
def child(model_id):
    """A fresh detector of one class more, the known ones in other places."""
    from boxwright.model.store import build_detector

    card = _card(model_id).model_copy(update={"classes": ("new", "ring", "disc"), "category_ids": (3, 2, 1)})
    return build_detector(card)


@pytest.fixture
def unchanged(detector):
    """Puts the detector's weights back after the test."""
    start = [variable.numpy() for variable in detector.weights]
    yield
    for variable, value in zip(detector.weights, start, strict=True):
        variable.assign(value)


def _found(detector, images):
    """What `detect` finds, without a graph: making one takes much longer than a look at two images."""
    import tensorflow as tf

    return detector.decode_within(detector(images, training=False), tf.ones((2, 2)))


@pytest.fixture(scope="module")
def batch():
    images = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")
    boxes = np.array([[[10, 12, 50, 60], [-1, -1, -1, -1]], [[30, 30, 80, 70], [5, 40, 33, 90]]], "float32")
    labels = np.array([[0, -1], [1, 0]], "float32")
    for image, image_boxes in zip(images, boxes, strict=True):
        for x0, y0, x1, y1 in image_boxes.astype(int):
            image[y0:y1, x0:x1] = 250
    return images, {"boxes": boxes, "labels": labels}


def test_detections_have_the_shapes_that_every_later_step_reads(detector, model_id, batch):
    answer = detector.detect(batch[0], np.ones((2, 2))) if model_id in SMALLEST else _found(detector, batch[0])
    found = {name: value.numpy() for name, value in answer.items()}
    assert {name: value.shape for name, value in found.items()} == {
        "detection_boxes": (2, 100, 4),
        "detection_scores": (2, 100),
        "detection_classes": (2, 100),
        "num_detections": (2,),
    }
    assert found["detection_boxes"].min() >= 0 and found["detection_boxes"].max() <= 1
    assert (np.diff(found["detection_scores"], axis=1) <= 0).all()
    for scores, classes, count in zip(
        found["detection_scores"], found["detection_classes"], found["num_detections"], strict=True
    ):
        assert set(classes[:count]) <= {1, 2} and not classes[count:].any() and not scores[count:].any()


@for_the_smallest
def test_the_suppression_is_the_one_that_the_model_is_told(detector, batch):
    outputs = detector(batch[0], training=False)
    try:
        for detector.nms in ("agnostic", "soft"):
            found = detector.decode(outputs)
            assert found["detection_boxes"].shape == (2, 100, 4)
            assert (np.diff(found["detection_scores"], axis=1) <= 0).all()
        detector.nms = "another"
        with pytest.raises(ValueError, match="nms=another: expected per_class, agnostic or soft"):
            detector.decode(outputs)
    finally:
        detector.nms = "per_class"


@for_the_smallest
def test_what_exports_choose_from_the_candidates_is_what_is_detected(detector, batch):
    from boxwright.exporting.network import choice_of
    from boxwright.exporting.selecting import select

    random, raw = np.random.default_rng(0), detector(batch[0][:1], training=False)
    # Fresh weights give scores that tie, and boxes that overlap by a half exactly.
    noisy = [name for name in raw if name.endswith(("logits", "deltas", "encodings"))]
    raw |= {name: raw[name] + random.normal(0, 1, raw[name].shape) for name in noisy}
    boxes, scores = (values.numpy()[0] for values in detector.candidates(raw))
    try:
        for detector.nms in ("per_class", "agnostic", "soft"):
            expected = {name: values.numpy()[0] for name, values in detector.decode(raw).items()}
            found = select(boxes, scores, np.ones(2, "float32"), choice_of(detector))
            count = int(expected["num_detections"])
            assert len(found.scores) == count > 10
            assert found.scores == pytest.approx(expected["detection_scores"][:count], abs=1e-5)
            assert found.classes.tolist() == (expected["detection_classes"][:count] - 1).tolist()
            assert found.boxes == pytest.approx(np.clip(expected["detection_boxes"][:count], 0, 1), abs=1e-5)
    finally:
        detector.nms = "per_class"


def test_the_image_encoder_is_a_part_of_the_network_without_its_heads(detector):
    encoder = {id(variable) for variable in detector.encoder_variables()}
    trainable = {id(variable) for variable in detector.trainable_variables}
    assert encoder < trainable and len(encoder) > 10
    assert not encoder & {id(weights.variable) for weights in detector.class_weights()}


def test_the_catalogue_tells_the_number_of_parameters(detector, model_id):
    published = MODELS[model_id].weights.classes if MODELS[model_id].weights else ()
    total = sum(int(np.prod(variable.shape)) for variable in detector.weights)
    of_a_class = sum(weights.rows()[0].size for weights in detector.class_weights())
    with_coco_classes = total + of_a_class * ((len(published) or COCO_CLASSES) - len(CLASSES))
    assert MODELS[model_id].parameters == with_coco_classes


@pytest.mark.parametrize("model_id", ["tiny"], indirect=True, scope="module")
def test_an_untrained_class_head_starts_at_the_prior_and_the_box_head_at_zero(detector):
    prior = 1 / (1 + np.exp(-detector.class_head.prediction_layer.bias.numpy()))
    np.testing.assert_allclose(prior, 0.01, rtol=1e-4)
    assert not detector.box_head.prediction_layer.bias.numpy().any()


@for_the_smallest
def test_loss_falls_on_a_fixed_batch(detector, batch, model_id, unchanged):
    import keras

    if MODELS[model_id].family != "ssd_fpn":  # with random weights its batch statistics have to be learned
        detector.freeze_batch_norm()
    # A graph of D-FINE's training step takes longer to make than a few steps without one, in each of which XLA compiles
    # the convolutions that are made in groups.
    eagerly = model_id == "dfine-nano"
    detector.compile(optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=1.0), run_eagerly=eagerly, jit_compile=False)
    first = detector.train_on_batch(*batch, return_dict=True)["loss"]
    for _ in range(2 if eagerly else 12):
        last = detector.train_on_batch(*batch, return_dict=True)["loss"]
    assert np.isfinite(last)
    assert last < 0.8 * first


@for_the_smallest
def test_saved_and_loaded_weights_give_equal_boxes(detector, batch, model_id, saved):
    from boxwright.model.store import load_detector

    loaded, card = load_detector(saved)
    assert card == _card(model_id)
    ours, theirs = (_found(one, batch[0]) for one in (loaded, detector))
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name])


@for_the_smallest
def test_the_saved_model_answers_encoded_images_with_the_same_boxes(detector, model_id, saved, tmp_path):
    import tensorflow as tf

    from boxwright.packaging.saved_model import export_saved_model
    from boxwright.serving.engine.foreign_graph import copy_checked
    from boxwright.training.input import decode_image

    export_saved_model(saved, tmp_path)
    # And it consists of operations that a server would run if it came from elsewhere.
    copy_checked(tmp_path / "saved_model", tmp_path / "copy", model_id)
    pixels = np.random.default_rng(1).integers(0, 255, (2, 120, 80, 3), dtype=np.uint8)
    encoded = [tf.io.encode_png(image).numpy() for image in pixels]
    served = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    answer = served(encoded_images=tf.constant(encoded))
    images, extents = zip(*(detector.resizing(decode_image(one)) for one in encoded), strict=True)
    expected = detector.detect(tf.stack(images), tf.stack(extents))
    assert set(answer) == set(expected)
    np.testing.assert_allclose(answer["detection_scores"], expected["detection_scores"], atol=1e-5)
    np.testing.assert_allclose(answer["detection_boxes"], expected["detection_boxes"], atol=1e-4)


@for_the_smallest
def test_training_only_the_top_layer_leaves_every_other_weight_alone(child, batch):
    import keras

    child.train_only_on_top_layer()
    child.compile(optimizer=keras.optimizers.Adam(1e-2), run_eagerly=True)
    before = [variable.numpy() for variable in child.weights]
    child.train_on_batch(*batch)
    top = {id(weights.variable) for weights in child.class_weights()}
    for variable, value in zip(child.weights, before, strict=True):
        assert (variable.numpy() != value).any() == (id(variable) in top), variable.path


def test_reinitializing_the_top_layer_changes_it_alone(detector, unchanged):
    top = {id(weights.variable) for weights in detector.class_weights()}
    for weights in detector.class_weights():
        weights.variable.assign(np.full(weights.variable.shape, 0.5))
    before = [variable.numpy() for variable in detector.weights]
    detector.reinitialize_top_layer()
    for variable, value in zip(detector.weights, before, strict=True):
        assert (variable.numpy() != value).all() == (id(variable) in top), variable.path


def test_an_unknown_model_id_lists_the_known_ones():
    with pytest.raises(UsageError, match="retinanet-efficientnet-lite0-320"):
        model_spec("resnet")


def test_hyperparameters_are_the_users_then_the_models_then_the_managed_ones():
    config = parse_config(
        {"training": "t", "output": "o", "model_id": "tiny", "hyperparameters": {"epochs": 7, "momentum": 0.5}}
    )
    merged = hyperparameters_of(config)
    assert (merged.epochs, merged.momentum) == (7, 0.5)
    assert merged.batch_size == MODELS["tiny"].defaults["batch_size"] != Hyperparameters().batch_size
    assert merged.learning_rate == Hyperparameters().learning_rate
    assert merged.image_size == MODELS["tiny"].image_size


def test_a_size_that_the_network_cannot_have_is_told_before_the_data_is_fetched():
    model_id = "tensorflow-od1-ssd-efficientdet-d0-512x512-coco17-tpu-8"
    config = {"training": "t", "output": "o", "model_id": model_id, "hyperparameters": {"image_size": 320}}
    with pytest.raises(UsageError, match=f"image_size=320: expected a multiple of 128 for {model_id}"):
        hyperparameters_of(parse_config(config))
    config["hyperparameters"]["image_size"] = 384
    assert hyperparameters_of(parse_config(config)).image_size == 384
    with pytest.raises(UsageError, match="image_size=80: expected a multiple of 32 for tiny"):
        create_detector(model_spec("tiny"), 1, 80)


def test_specs_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODELS["tiny"].image_size = 3


@for_the_smallest
def test_rows_of_the_top_layer_belong_to_classes(detector, batch, unchanged):
    """Rows that change places change the scores' places, and nothing else."""
    start = [weights.rows() for weights in detector.class_weights()]
    # An untrained network may answer alike for all classes: a bias of its own tells each apart.
    apart = [rows + np.arange(len(CLASSES))[:, None] if rows.ndim == 2 else rows for rows in start]
    for weights, rows in zip(detector.class_weights(), apart, strict=True):
        assert rows.shape[0] == len(CLASSES)
        weights.assign_rows(rows)
    before = detector.detect(batch[0], np.ones((2, 2)))
    for weights, rows in zip(detector.class_weights(), apart, strict=True):
        weights.assign_rows(rows[::-1])
    after = detector.detect(batch[0], np.ones((2, 2)))
    for weights, rows in zip(detector.class_weights(), start, strict=True):
        weights.assign_rows(rows)
        np.testing.assert_array_equal(weights.rows(), rows)
    np.testing.assert_allclose(after["detection_scores"], before["detection_scores"], atol=1e-5)
    valid = before["detection_scores"].numpy() > 0
    np.testing.assert_array_equal((before["detection_classes"] + after["detection_classes"]).numpy()[valid], 3)


@for_the_smallest
def test_a_detector_inherits_what_it_shares_with_one_of_other_classes(detector, child):
    """With classes that stay in other places, their scores are the parent's before any training."""
    fresh = [weights.rows()[0] for weights in child.class_weights()]
    child.inherit(detector, {1: 1, 2: 0})
    for own, known, new in zip(child.class_weights(), detector.class_weights(), fresh, strict=True):
        np.testing.assert_array_equal(own.rows()[[2, 1]], known.rows())
        np.testing.assert_array_equal(own.rows()[0], new)
    top = {id(weights.variable) for weights in child.class_weights()}
    for own, known in zip(child.weights, detector.weights, strict=True):
        if id(own) not in top:
            np.testing.assert_array_equal(own, known)
