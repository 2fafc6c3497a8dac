from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from boxwright.model.resizing import Resizing


def _record(number, colour=(200, 30, 30), box=(0.25, 0.25, 0.5, 0.75)):
    """An image of 80 x 60 with one coloured box, xyxy in [0, 1]."""
    import tensorflow as tf

    image = np.zeros((60, 80, 3), np.uint8)
    x0, y0, x1, y1 = box
    image[round(y0 * 60) : round(y1 * 60), round(x0 * 80) : round(x1 * 80)] = colour
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    feature = {"image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[buffer.getvalue()]))}
    for name, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
        feature[f"image/object/bbox/{name}"] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    label = tf.train.Int64List(value=[number + 1])
    feature["image/object/class/label"] = tf.train.Feature(int64_list=label)
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    import tensorflow as tf

    path = tmp_path_factory.mktemp("shards") / "examples-00000-of-00001.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(6):
            writer.write(_record(number))
    return [path]


def test_evaluation_batches_keep_order_and_hold_pixels(shards):
    from boxwright.training.input import evaluation_batches

    batches = list(evaluation_batches(shards, batch_size=4, resizing=Resizing(64)))
    assert [len(images) for images, _ in batches] == [4, 2]
    images, targets = batches[0]
    assert images.shape == (4, 64, 64, 3)
    np.testing.assert_allclose(targets["boxes"][0, 0], [16, 16, 32, 48])
    assert targets["labels"][:, 0].numpy().tolist() == [0, 1, 2, 3]
    assert targets["labels"][0, -1] == -1


@pytest.mark.parametrize("keep_aspect", [False, True])
@pytest.mark.parametrize("policy", ["none", "flip", "standard"])
def test_boxes_move_with_their_pixels(shards, policy, keep_aspect):
    """The mean colour inside each augmented box is the object's, just outside it the background's."""
    from boxwright.training.input import training_batches

    batches = training_batches(shards, 6, 6, Resizing(96, keep_aspect), policy, seed=3)
    inside, seen = [], 0
    for images, targets in batches.take(8):
        for image, boxes, labels in zip(
            images.numpy(), targets["boxes"].numpy(), targets["labels"].numpy(), strict=True
        ):
            for (x0, y0, x1, y1), label in zip(boxes.round().astype(int), labels, strict=True):
                if label >= 0 and x1 - x0 > 6 and y1 - y0 > 6:
                    seen += 1
                    patch = image[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].mean((0, 1))
                    inside.append(patch[0] - patch[1:].mean())
    assert seen >= 24
    assert np.mean(inside) > 100
    assert np.min(inside) > 40


def test_the_same_seed_gives_the_same_batches_and_a_resume_goes_on_where_it_was(shards):
    from boxwright.training.input import training_batches

    def labels(first_step, count):
        batches = training_batches(shards, 6, 3, Resizing(64), "standard", seed=5, first_step=first_step)
        return [(images.numpy().sum(), targets["labels"].numpy().tolist()) for images, targets in batches.take(count)]

    whole = labels(0, 6)
    assert whole == labels(0, 6)
    assert labels(4, 2) == whole[4:]
    assert whole[0:2] != whole[2:4]


def test_each_epoch_sees_every_image_once(shards):
    from boxwright.training.input import training_batches

    for _, targets in training_batches(shards, 6, 6, Resizing(64), "none", seed=0).take(3):
        assert sorted(targets["labels"][:, 0].numpy().tolist()) == [0, 1, 2, 3, 4, 5]


def test_records_kept_in_memory_are_read_once_and_give_the_same_batches(shards, tmp_path):
    from boxwright.training.input import training_batches

    def labels(paths, in_memory, gone_after=None):
        seen = []
        for images, targets in training_batches(paths, 6, 3, Resizing(64), "standard", seed=5, in_memory=in_memory):
            seen.append((images.numpy().sum(), targets["labels"].numpy().tolist()))
            if len(seen) == gone_after:
                paths[0].unlink()
            if len(seen) == 8:
                return seen
        raise AssertionError("the dataset is endless")

    copy = tmp_path / shards[0].name
    copy.write_bytes(shards[0].read_bytes())
    assert labels([copy], True, gone_after=1) == labels(shards, False)


def test_without_mirrors_only_the_flips_are_gone(shards):
    from boxwright.training.input import training_batches

    plain, flipped, still = (
        next(iter(training_batches(shards, 6, 6, Resizing(64), policy, seed=3, mirrors=mirrors)))[0].numpy()
        for policy, mirrors in (("none", True), ("flip", True), ("flip", False))
    )
    np.testing.assert_array_equal(still, plain)
    is_turned = [not np.array_equal(one, other) for one, other in zip(flipped, plain, strict=True)]
    assert any(is_turned)
    for turned, one, other in zip(is_turned, flipped, plain, strict=True):
        np.testing.assert_allclose(one, other[:, ::-1] if turned else other, atol=1)


@pytest.mark.parametrize("in_memory", [False, True])
def test_an_epoch_has_each_image_as_often_as_it_repeats(shards, in_memory):
    from boxwright.training.input import training_batches

    repeats = [1, 3, 1, 1, 2, 1]
    batches = training_batches(shards, 9, 1, Resizing(64), "none", seed=1, repeats=repeats, in_memory=in_memory)
    labels = [int(targets["labels"][0, 0]) for _, targets in batches.take(18)]
    expected = sorted([0, 1, 1, 1, 2, 3, 4, 4, 5])
    assert sorted(labels[:9]) == sorted(labels[9:]) == expected
