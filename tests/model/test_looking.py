"""Tiles in TensorFlow: the windows of NumPy, each object once, and the same that an export's runtime finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from boxwright.exporting.selecting import Selected
from boxwright.exporting.tiles import merge
from boxwright.images import Tiling, windows

SIZE, LIMIT = 64, 100
TILING = Tiling(size=60, overlap=0.25)


class Marks:
    """Stands in for a `Detector`: finds the marks that a view shows more than a fifth of, by their colours.

    A mark of colour `n` in the red channel has the class `n % 2`, and a score from the share of it that is seen.
    """

    def __init__(self, marks: dict[int, tuple[int, int, int, int]], tiling: Tiling | None, nms: str = "per_class"):
        self.marks, self.tiling, self.nms, self.image_size = marks, tiling, nms, SIZE
        self.looks = 0

    def resizing(self, view: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        nearest = tf.image.resize(view, (SIZE, SIZE), method="nearest")
        return tf.ensure_shape(nearest, (SIZE, SIZE, 3)), tf.ones((2,))

    def detect(self, images: Any, extents: Any) -> dict[str, Any]:
        import tensorflow as tf

        found = tf.numpy_function(self._found, [images], [tf.float32, tf.float32, tf.float32, tf.int32])
        shapes = ((None, LIMIT, 4), (None, LIMIT), (None, LIMIT), (None,))
        names = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
        return {name: tf.ensure_shape(one, shape) for name, one, shape in zip(names, found, shapes, strict=True)}

    def _found(self, images: Any) -> tuple[Any, ...]:
        self.looks += len(images)
        rows = [self.of_view(image) for image in images]
        boxes, scores = np.zeros((len(rows), LIMIT, 4), np.float32), np.zeros((len(rows), LIMIT), np.float32)
        classes = np.zeros_like(scores)
        for row, found in enumerate(rows):
            boxes[row, : len(found.boxes)], scores[row, : len(found.scores)] = found.boxes, found.scores
            classes[row, : len(found.classes)] = found.classes + 1
        return boxes, scores, classes, np.array([len(found.scores) for found in rows], np.int32)

    def of_view(self, pixels: Any) -> Selected:
        """What is seen in `(SIZE, SIZE, 3)`, best first."""
        found = []
        for mark in self.marks:
            rows, columns = np.nonzero(pixels[..., 0] == mark)
            if len(rows) < 4:
                continue
            box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            found.append((0.3 + 0.5 * min(1, len(rows) / 900) + mark / 1000, box, mark % 2))
        found.sort(key=lambda one: -one[0])
        boxes = np.array([box for _, box, _ in found], np.float32).reshape(-1, 4) / SIZE
        return Selected(boxes, np.array([x for x, *_ in found], np.float32), np.array([c for *_, c in found], np.intp))


def picture(marks: dict[int, tuple[int, int, int, int]], height: int, width: int) -> Any:
    """Marks `[ymin, xmin, ymax, xmax]` by their colour."""
    pixels = np.zeros((height, width, 3), np.float32)
    for mark, (ymin, xmin, ymax, xmax) in marks.items():
        pixels[ymin:ymax, xmin:xmax] = mark
    return pixels


def looked(detector: Any, image: Any) -> list[tuple[int, float, list[int]]]:
    """Class, score and box in pixels, best first."""
    import tensorflow as tf

    from boxwright.model.looking import look

    run = tf.function(lambda image: look(detector, image), input_signature=[tf.TensorSpec((None, None, 3))])
    found = {name: value.numpy() for name, value in run(image).items()}
    count = int(found["num_detections"])
    assert found["detection_boxes"].shape == (LIMIT, 4) and not found["detection_classes"][count:].any()
    assert (np.diff(found["detection_scores"][:count]) <= 0).all()
    size = [*image.shape[:2]] * 2
    rows = zip(found["detection_classes"][:count], found["detection_scores"], found["detection_boxes"], strict=False)
    return [(int(kind) - 1, float(score), np.rint(box * size).astype(int).tolist()) for kind, score, box in rows]


# Sixteen marks of 12 pixels, 37 apart: most lie across the edge of a tile.
SMALL = {10 + 4 * y + x: (5 + 37 * y, 3 + 37 * x, 17 + 37 * y, 15 + 37 * x) for y in range(4) for x in range(4)}


@pytest.mark.parametrize("pixels", [(150, 150), (150, 40), (60, 60), (61, 30), (400, 130)])
def test_the_windows_are_those_of_numpy(pixels: tuple[int, int]) -> None:
    import tensorflow as tf

    from boxwright.model.looking import windows_within

    found = tf.function(lambda size: windows_within(size, TILING))(tf.constant(pixels))
    np.testing.assert_array_equal(found, windows(*pixels, TILING))


def test_each_object_is_found_once_wherever_tiles_cut_it() -> None:
    detector = Marks(SMALL, TILING)
    found = looked(detector, picture(SMALL, 160, 160))
    assert detector.looks == len(windows(160, 160, TILING)) == 17
    assert sorted(box for _, _, box in found) == sorted(list(box) for box in SMALL.values())


def test_what_is_larger_than_a_tile_is_found_in_the_whole() -> None:
    large = {20: (10, 10, 150, 150)}
    (one,) = looked(Marks(large, TILING), picture(large, 160, 160))
    assert one[0] == 0 and np.abs(np.subtract(one[2], large[20])).max() <= 3


def test_objects_of_two_classes_at_a_place_stay() -> None:
    marks = {20: (30, 30, 50, 50), 21: (32, 32, 49, 49)}
    assert [kind for kind, *_ in looked(Marks(marks, TILING), picture(marks, 160, 160))] == [1, 0]


def test_without_tiles_an_image_is_looked_at_once() -> None:
    for tiling in (None, Tiling(size=160, overlap=0.2)):
        detector = Marks(SMALL, tiling)
        assert len(looked(detector, picture(SMALL, 160, 160))) == 16 and detector.looks == 1


def test_an_image_without_objects_has_none() -> None:
    assert looked(Marks(SMALL, TILING), picture({}, 100, 200)) == []


@pytest.mark.parametrize("nms", ["per_class", "agnostic"])
@pytest.mark.parametrize("seed", range(8))
def test_numpy_merges_alike(seed: int, nms: str) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 180, (14, 2))
    sides = rng.integers(6, 90, (14, 2))
    marks = {number + 1: (*low, *(low + side)) for number, (low, side) in enumerate(zip(corners, sides, strict=True))}
    image = picture(marks, 200, 230)
    detector = Marks(marks, TILING, nms)
    places = windows(200, 230, TILING)
    seen = [
        detector.of_view(detector.resizing(image[ymin:ymax, xmin:xmax])[0].numpy())
        for ymin, xmin, ymax, xmax in places.tolist()
    ]
    merged = merge(seen, places, (200, 230), nms == "per_class", LIMIT)
    boxes = np.rint(merged.boxes * [200, 230, 200, 230]).astype(int).tolist()
    expected = looked(detector, image)
    assert len(expected) >= 5
    assert sorted(zip(merged.classes.tolist(), boxes, strict=True)) == sorted((kind, box) for kind, _, box in expected)
    np.testing.assert_allclose(merged.scores, [score for _, score, _ in expected], rtol=1e-5)
