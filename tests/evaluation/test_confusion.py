"""The confusion matrix against TIDE's counts in the same evaluation, and the names that boxes go by."""

from __future__ import annotations

import numpy as np
import pytest
from test_analysis import FOUND, TRUTH
from test_metrics import CATEGORIES, result, synthetic

from boxwright.dataset.annotations.reading import Annotations, Box, ImageRecord
from boxwright.evaluation.confusion import BACKGROUND_IOU, confusion_matrix, names_of_boxes
from boxwright.evaluation.detections import Detections
from boxwright.evaluation.metrics import Measurement
from boxwright.evaluation.threshold import MATCH_IOU


def measured(annotations: Annotations, found: list[dict[str, object]]) -> Measurement:
    return Measurement(annotations, Detections.of_results(annotations, found))


def crowded(seed: int) -> Measurement:
    """Random detections, with further ones of any class around each box."""
    annotations, found = synthetic(seed)
    random = np.random.default_rng(seed)
    for box in annotations.boxes:
        for _ in range(int(random.integers(0, 3))):
            x, y, right, bottom = box.bbox
            dx, dy, dw, dh = random.normal(0, 0.25, 4)
            place = (x + dx * (right - x), y + dy * (bottom - y), (right - x) * np.exp(dw), (bottom - y) * np.exp(dh))
            found.append(result(box.image_id, int(random.choice(list(CATEGORIES))), place, random.uniform(0.1, 1)))
    return measured(annotations, found)


@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_with_tide(seed: int) -> None:
    measurement = crowded(seed)
    matrix, kinds = confusion_matrix(measurement), measurement.kept.tide_errors(MATCH_IOU, BACKGROUND_IOU)["counts"]
    inner = matrix[:-1, :-1]
    assert inner.sum() - inner.trace() == kinds["Cls"] > 0
    assert inner.trace() == sum(word == "tp" for word in measurement.diagnostics["dt_status"].values())
    assert matrix[-1].sum() == kinds["Loc"] + kinds["Both"] + kinds["Dupe"] + kinds["Bkg"]
    assert matrix[:-1, -1].sum() >= kinds["Miss"], "TIDE has no miss where a place is nearly right"
    assert matrix.sum(axis=0)[:-1].sum() == len(measurement.diagnostics["dt_status"])


def test_another_name_on_a_found_object_is_a_confusion() -> None:
    both = measured(TRUTH, [*FOUND, result(7, 2, (0, 0, 40, 40), 0.95)])
    assert confusion_matrix(both).tolist() == [[2, 2, 2], [0, 1, 0], [4, 0, 0]]


def test_without_a_threshold_all_detections_count() -> None:
    wrong = measured(TRUTH, [result(7, 2, (0, 0, 40, 40), 0.3), result(5, 1, (0, 0, 40, 40), 0.01)])
    assert wrong.threshold is None
    assert confusion_matrix(wrong).tolist() == [[0, 1, 4], [1, 0, 0], [0, 0, 0]]


def test_a_box_goes_by_its_most_confident_name_whatever_the_threshold_is() -> None:
    """Nuts and washers get both names with low scores: the threshold, which bolts set, leaves out all of them."""
    random = np.random.default_rng(0)
    images = tuple(ImageRecord(key, f"{key}.jpg", 400, 100) for key in range(20))
    boxes, found = [], []
    for key in range(20):
        for row, category_id in enumerate((1, 2, 3)):
            boxes.append(Box(len(boxes), key, (row * 100, 0, row * 100 + 50, 50), category_id))
            for name in (1,) if category_id == 1 else (2, 3):
                score = 0.9 if name == 1 else random.uniform(0.2, 0.3)
                found.append(result(key, name, (row * 100, 0, 50, 50), score))
        found.append(result(key, 1, (300, 50, 40, 40), 0.05))
    measurement = measured(Annotations(images, tuple(boxes), {1: "bolt", 2: "nut", 3: "washer"}), found)
    names = names_of_boxes(measurement)
    assert len(names.boxes) == 60 and names.counts[0].tolist() == [20, 0, 0]
    assert names.counts[1:, 1:].sum() == 40 and (names.counts[1:, 1:] > 3).all()
    assert measurement.detections.scores[names.detections].min() >= 0.2, "the invention names nothing"


def test_what_is_nowhere_near_a_box_names_none() -> None:
    names = names_of_boxes(measured(TRUTH, FOUND))
    assert names.counts.tolist() == [[2, 1], [0, 0]], "the dog's score is that of two inventions"
    assert names_of_boxes(measured(TRUTH, [])).counts.sum() == 0


def test_crowds_have_no_name() -> None:
    crowd = Box(10, 7, (290, 190, 350, 250), 1, crowd=True)
    names = names_of_boxes(measured(Annotations(TRUTH.images, (*TRUTH.boxes, crowd), TRUTH.categories), FOUND))
    assert names.counts.tolist() == [[2, 1], [0, 1]], "one of the inventions lies in the crowd"
