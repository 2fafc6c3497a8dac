from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def left(nms: str, boxes: Any, scores: Any, **options: Any) -> list[tuple[int, float, list[float]]]:
    """Class, score and box of what is left of one image, best first."""
    import tensorflow as tf

    from boxwright.model.suppression import suppress

    settings = {"limit": 6, "iou_threshold": 0.5, "score_threshold": 0.01} | options
    found = tf.function(lambda a, b: vars(suppress(nms, a, b, **settings)))(
        tf.constant([boxes], tf.float32), tf.constant([scores], tf.float32)
    )
    count = int(found["count"][0])
    assert found["boxes"].shape[1:] == (settings["limit"], 4)
    assert not found["scores"][0, count:].numpy().any() and not found["boxes"][0, count:].numpy().any()
    columns = (found["classes"][0], found["scores"][0], found["boxes"][0])
    return [
        (int(name), float(score), box.tolist())
        for name, score, box in zip(*(column.numpy()[:count] for column in columns), strict=True)
    ]


# Two boxes on one object, whose names nearly tie, and one elsewhere.
BOXES = [[0.1, 0.1, 0.5, 0.5], [0.1, 0.12, 0.5, 0.52], [0.6, 0.6, 0.9, 0.9]]
SCORES = [[0.5, 0.45], [0.3, 0.48], [0.2, 0.0]]


def test_within_each_class_an_object_may_go_by_two_names() -> None:
    assert [(name, round(score, 2)) for name, score, _ in left("per_class", BOXES, SCORES)] == [
        (0, 0.5), (1, 0.48), (0, 0.2)
    ]  # fmt: skip


def test_across_classes_it_has_its_best_name() -> None:
    found = left("agnostic", BOXES, SCORES)
    assert [(name, round(score, 2)) for name, score, _ in found] == [(0, 0.5), (0, 0.2)]
    assert found[0][2] == pytest.approx(BOXES[0])


def test_softly_boxes_lose_score_by_their_overlap_within_their_class() -> None:
    found = left("soft", BOXES, SCORES)
    overlap = 0.38 * 0.4 / (2 * 0.16 - 0.38 * 0.4)
    decay = np.exp(-(overlap**2) / 0.5)
    expected = [(0, 0.5), (1, 0.48), (0, 0.2), (1, 0.45 * decay), (0, 0.3 * decay)]
    assert [name for name, _, _ in found] == [name for name, _ in expected]
    assert [score for _, score, _ in found] == pytest.approx([score for _, score in expected], rel=1e-4)
    assert found[4][2] == pytest.approx(BOXES[1])


def test_classes_far_apart_do_not_touch_and_keep_their_boxes() -> None:
    scores = np.zeros((2, 365))
    scores[0, 300] = scores[1, 301] = 0.9
    found = left("soft", BOXES[:2], scores)
    assert {name: box for name, _, box in found} == {
        300: pytest.approx(BOXES[0]), 301: pytest.approx(BOXES[1])
    }  # fmt: skip
    assert [score for _, score, _ in found] == pytest.approx([0.9, 0.9])


@pytest.mark.parametrize("nms", ["per_class", "agnostic", "soft"])
def test_nothing_may_be_left(nms: str) -> None:
    assert left(nms, BOXES, np.zeros((3, 2))) == []


@pytest.mark.parametrize(("clips", "expected"), [(True, [0.0, 0.0, 0.5, 0.5]), (False, [-0.25, -3.0, 0.5, 0.5])])
@pytest.mark.parametrize("nms", ["per_class", "agnostic", "soft"])
def test_boxes_are_cut_at_the_edge_where_asked_for(nms: str, clips: bool, expected: list[float]) -> None:
    [(_, _, box)] = left(nms, [[-0.25, -3.0, 0.5, 0.5]], [[0.9]], clips=clips)
    assert box == pytest.approx(expected)


def test_it_is_kept_with_the_model_and_older_models_suppress_within_classes(tmp_path: Any) -> None:
    import json

    from boxwright.model.store import MODEL_FILE, ModelCard, build_detector, load_card, load_detector, save_detector

    card = ModelCard(model_id="tiny", image_size=64, classes=("a", "b"), category_ids=(1, 2), nms="agnostic")
    save_detector(build_detector(card), card, tmp_path)
    detector, loaded = load_detector(tmp_path)
    assert (loaded.nms, detector.nms) == ("agnostic", "agnostic")
    found = detector.detect(np.full((2, 64, 64, 3), 90.0, np.float32), np.ones((2, 2), np.float32))
    assert found["detection_boxes"].shape == (2, 100, 4)
    older = json.loads((tmp_path / MODEL_FILE).read_text())
    del older["nms"]
    (tmp_path / MODEL_FILE).write_text(json.dumps(older))
    assert load_card(tmp_path).nms == "per_class"
