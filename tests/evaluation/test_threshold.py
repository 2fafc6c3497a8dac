"""The threshold against trying every one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_metrics import result, synthetic

from boxwright.dataset.annotations.reading import Annotations, Box, ImageRecord
from boxwright.evaluation.detections import Detections, Truth
from boxwright.evaluation.metrics import Measurement, measure
from boxwright.evaluation.threshold import MATCH_IOU, STEPS


def f1_at(annotations: Annotations, detections: Detections, threshold: float) -> float:
    """Mean F1 over the classes with boxes, counted anew."""
    kept = detections.at_least(threshold)
    truth = Truth(annotations)
    evaluation = truth.evaluator(truth.results(kept), MATCH_IOU)
    evaluation.evaluate()
    status = evaluation.image_diagnostics(MATCH_IOU)["dt_status"]
    scores = []
    for row, category_id in enumerate(annotations.category_ids):
        boxes = sum(box.category_id == category_id and not box.crowd for box in annotations.boxes)
        mine = [status[number + 1] for number in np.flatnonzero(kept.class_rows == row) if number + 1 in status]
        if boxes:
            scores.append(2 * mine.count("tp") / (len(mine) + boxes))
    return float(np.mean(scores))


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("uncounted", [False, True])
def test_no_other_threshold_has_a_larger_f1(seed: int, uncounted: bool) -> None:
    annotations, results = synthetic(seed)
    if uncounted:
        crowded = (replace(box, crowd=number % 4 == 0) for number, box in enumerate(annotations.boxes))
        annotations = replace(annotations, boxes=tuple(crowded))
        first = results[0]
        more_than_coco_looks_at = [first | {"score": 0.5 + number / 1000} for number in range(150)]
        results = [*results, *more_than_coco_looks_at]
    detections = Detections.of_results(annotations, results)
    tried = [f1_at(annotations, detections, step / STEPS) for step in range(0, STEPS, 1)]
    measured = Measurement(annotations, detections)
    assert measured.threshold == np.flatnonzero(np.array(tried) == max(tried))[-1] / STEPS
    assert measured.metrics.F1 == pytest.approx(max(tried), abs=1e-12)


def test_a_frequent_class_does_not_decide_alone() -> None:
    """One class is found with low scores only; a count over all boxes would give it up."""
    images = tuple(ImageRecord(number, f"{number}.jpg", 100, 100) for number in range(20))
    boxes = [Box(number, number, (0, 0, 10, 10), 1) for number in range(20)]
    boxes += [Box(20 + number, number, (50, 50, 60, 60), 2) for number in range(2)]
    found = [result(number, 1, (0, 0, 10, 10), 0.9) for number in range(20)]
    found += [result(number, 2, (50, 50, 10, 10), 0.2) for number in range(2)]
    found += [result(number, 1, (80, 0, 10, 10), 0.3) for number in range(10)]
    measured = measure(Annotations(images, tuple(boxes), {1: "often", 2: "seldom"}), found)
    assert measured.threshold == 0.2
    assert measured.per_class["seldom"].F1 == 1 and measured.per_class["often"].F1 == pytest.approx(40 / 50)
    assert measured.F1 == pytest.approx(0.9) and measured.precision == pytest.approx((1 + 20 / 30) / 2)


def test_where_nothing_is_right_there_is_no_threshold() -> None:
    annotations, results = synthetic(0)
    wrong = [found | {"bbox": [600, 440, 1, 1]} for found in results]
    for given in ([], wrong):
        measured = measure(annotations, given)
        assert (measured.threshold, measured.F1, measured.recall, measured.kept) == (None, 0, 0, 0)
