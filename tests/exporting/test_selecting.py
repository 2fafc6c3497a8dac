"""NumPy chooses what TensorFlow chooses."""

from __future__ import annotations

import numpy as np
import pytest

from boxwright.exporting.facts import Choice
from boxwright.exporting.selecting import overlaps, select
from boxwright.model.suppression import suppress

WHOLE = np.ones(2, np.float32)


def crowd(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Boxes in heaps, some beyond the edge, with scores of all sizes and no ties."""
    random = np.random.default_rng(seed)
    heaps = random.uniform(-0.05, 0.9, (6, 2))[random.integers(0, 6, count)]
    corners = heaps + random.normal(0, 0.02, (count, 2))
    boxes = np.concatenate([corners, corners + random.uniform(0.1, 0.2, (count, 2))], axis=1)
    return boxes.astype("float32"), (random.uniform(0, 1, (count, classes)) ** 4).astype("float32")


def choice(nms: str, **changes: object) -> Choice:
    values = {"iou_threshold": 0.5, "score_threshold": 0.001, "candidates": None, "needs_area": False}
    return Choice(nms=nms, **(values | {"max_detections": 100} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [3, 900])
@pytest.mark.parametrize("nms", ["per_class", "agnostic", "soft"])
def test_the_same_boxes_are_left(nms: str, count: int) -> None:
    boxes, scores = crowd(count, classes=3)
    expected = suppress(nms, boxes[None], scores[None], 100, 0.5, 0.001)
    found = select(boxes, scores, WHOLE, choice(nms))
    number = int(expected.count[0])
    assert len(found.scores) == number > 0
    assert found.scores == pytest.approx(expected.scores[0, :number].numpy(), abs=1e-5)
    assert found.boxes == pytest.approx(expected.boxes[0, :number].numpy(), abs=1e-5)
    assert found.classes.tolist() == expected.classes[0, :number].numpy().astype(int).tolist()


def test_without_suppression_the_best_pairs_are_taken() -> None:
    boxes, scores = crowd(50, classes=4)
    found = select(boxes, scores, WHOLE, choice("none", max_detections=7))
    assert found.scores.tolist() == sorted(scores.ravel().tolist(), reverse=True)[:7]


def test_only_the_best_places_compete() -> None:
    boxes = np.array([[0.0, 0.0, 0.1, 0.1], [0.5, 0.5, 0.6, 0.6], [0.2, 0.2, 0.3, 0.3]], "float32")
    scores = np.array([[0.2, 0.3], [0.9, 0.1], [0.4, 0.1]], "float32")
    found = select(boxes, scores, WHOLE, choice("per_class", candidates=2))
    assert found.scores.tolist() == pytest.approx([0.9, 0.4, 0.1, 0.1])


def test_a_box_outside_the_image_gives_way_where_it_must_have_area() -> None:
    boxes = np.array([[0.8, 0.1, 0.9, 0.3], [0.1, 0.1, 0.2, 0.3]], "float32")
    scores = np.array([[0.9], [0.5]], "float32")
    # The image covers the upper half of the square.
    extent = np.array([0.5, 1.0], "float32")
    found = select(boxes, scores, extent, choice("per_class", needs_area=True))
    assert found.scores.tolist() == [0.5] and found.boxes[0] == pytest.approx([0.2, 0.1, 0.4, 0.3])
    assert len(select(boxes, scores, extent, choice("per_class")).scores) == 2


def test_nothing_is_chosen_of_nothing() -> None:
    found = select(np.zeros((2, 4), "float32"), np.zeros((2, 3), "float32"), WHOLE, choice("per_class"))
    assert found.boxes.shape == (0, 4) and found.classes.shape == (0,)


def test_boxes_without_area_overlap_nothing() -> None:
    flat = np.array([[0.1, 0.1, 0.1, 0.5]])
    assert overlaps(flat, flat).tolist() == [[0.0]]
