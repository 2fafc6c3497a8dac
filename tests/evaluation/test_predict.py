from __future__ import annotations

import numpy as np
import pytest

SIZE = 64


def _write(path, pictures):
    import tensorflow as tf

    def whole(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def text(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for image_id, pixels in pictures.items():
            feature = {
                "image/encoded": text(tf.io.encode_png(pixels).numpy()),
                "image/source_id": text(str(image_id).encode()),
                "image/height": whole(pixels.shape[0]),
                "image/width": whole(pixels.shape[1]),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


@pytest.fixture(scope="module")
def detector():
    import keras

    from boxwright.model.store import ModelCard, build_detector

    keras.utils.set_random_seed(3)
    card = ModelCard(model_id="tiny", image_size=SIZE, classes=("a", "b"), category_ids=(7, 3))
    return build_detector(card)


def test_detections_are_in_each_images_own_pixels_and_the_datasets_own_ids(detector, tmp_path):
    from boxwright.evaluation.predict import first_images, images_of, predict_split

    random = np.random.default_rng(0)
    sizes = {11: (50, 100), 12: (200, 40), 13: (64, 64)}
    pictures = {key: random.integers(0, 255, (*size, 3), dtype=np.uint8) for key, size in sizes.items()}
    shard = tmp_path / "examples-00000-of-00001.tfrecord"
    _write(shard, pictures)

    answered = predict_split(detector, [shard], category_ids=(7, 3), batch_size=2)
    found = answered.detections
    assert (answered.images, answered.not_finite_images, answered.batch_size) == (3, 0, 2)
    assert answered.images_per_second > 0
    assert {one["image_id"] for one in found} == set(sizes)
    assert {one["category_id"] for one in found} <= {7, 3}
    for image_id, (height, width) in sizes.items():
        image, extent = detector.resizing(pictures[image_id].astype("float32"))
        expected = detector.detect(image[None], extent[None])
        ymin, xmin, ymax, xmax = expected["detection_boxes"][0, 0].numpy()
        best = max((one for one in found if one["image_id"] == image_id), key=lambda one: one["score"])
        box = [xmin * width, ymin * height, (xmax - xmin) * width, (ymax - ymin) * height]
        np.testing.assert_allclose(best["bbox"], box, rtol=1e-3, atol=1e-2)
        assert best["category_id"] == (7, 3)[int(expected["detection_classes"][0, 0]) - 1]

    assert [image_id for image_id, _ in first_images([shard], 2)] == [11, 12]
    assert list(images_of([shard], [13, 11, 99])) == [13, 11]
    named = predict_split(detector, [shard], category_ids=(None, 3)).detections
    assert named and len(named) == sum(one["category_id"] == 3 for one in found)


def test_an_image_whose_answers_are_no_numbers_is_counted_and_gives_no_detections(detector, tmp_path):
    from boxwright.evaluation.predict import measure_speed, predict_split

    shard = tmp_path / "examples-00000-of-00001.tfrecord"
    _write(shard, {key: np.full((40, 40, 3), key, np.uint8) for key in range(3)})
    good = predict_split(detector, [shard], (7, 3))
    (tmp_path / "weights").write_bytes(b"12345")
    speed = measure_speed(detector, [shard], good, tmp_path / "weights")
    assert 0 < speed.latency_ms <= speed.latency_p95_ms
    assert (speed.size_bytes, speed.batch_size, speed.images_per_second) == (5, good.batch_size, None)
    for head in (detector.class_head, detector.box_head):
        bias = head.prediction_layer.bias
        kept = bias.numpy()
        bias.assign(np.full_like(kept, np.nan))
        broken = predict_split(detector, [shard], (7, 3))
        bias.assign(kept)
        assert (broken.detections, broken.not_finite_images) == ([], 3)


def test_boxes_are_decoded_against_their_anchors():
    """A delta of zero is the anchor itself; dx moves by its width, log w = ln 2 doubles it."""
    import tensorflow as tf

    from boxwright.model.postprocess import decode_anchors

    anchors = tf.constant([[16.0, 16.0, 32.0, 48.0], [0.0, 0.0, 8.0, 8.0]])
    deltas = tf.constant([[[0.5, 0.0, np.log(2.0), 0.0], [0.0, 0.0, 0.0, 0.0]]], tf.float32)
    logits = tf.constant([[[4.0, -9.0], [-9.0, 2.0]]])
    found = decode_anchors({"box_deltas": deltas, "class_logits": logits}, anchors, image_size=64)
    assert found["num_detections"].numpy().tolist() == [2]
    # centre (24 + 0.5 * 16, 32), size (32, 32): x 16..48, y 16..48
    np.testing.assert_allclose(found["detection_boxes"][0, 0], [16 / 64, 16 / 64, 48 / 64, 48 / 64], atol=1e-6)
    np.testing.assert_allclose(found["detection_boxes"][0, 1], [0, 0, 8 / 64, 8 / 64], atol=1e-6)
    assert found["detection_classes"][0, :3].numpy().tolist() == [1, 2, 0]


def test_overlapping_boxes_of_one_class_are_suppressed_and_of_two_classes_are_not():
    import tensorflow as tf

    from boxwright.model.postprocess import decode_anchors

    anchors = tf.constant([[0.0, 0.0, 32.0, 32.0], [1.0, 1.0, 33.0, 33.0]])
    deltas = tf.zeros((1, 2, 4))
    same = decode_anchors(
        {"box_deltas": deltas, "class_logits": tf.constant([[[3.0, -9.0], [2.0, -9.0]]])}, anchors, 64
    )
    other = decode_anchors(
        {"box_deltas": deltas, "class_logits": tf.constant([[[3.0, -9.0], [-9.0, 2.0]]])}, anchors, 64
    )
    strong = [int((one["detection_scores"][0].numpy() > 0.5).sum()) for one in (same, other)]
    assert strong == [1, 2]
