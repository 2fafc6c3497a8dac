"""Every kind of error in one scene, made by hand: two classes, boxes of 40 x 40 pixels."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from test_metrics import result, synthetic

from boxwright.dataset.annotations.reading import Annotations, Box, ImageRecord
from boxwright.evaluation.analysis import Analysis, analyse, swapped_classes
from boxwright.evaluation.detections import Detections
from boxwright.evaluation.metrics import Measurement

IMAGES = tuple(ImageRecord(key, f"{key}.jpg", 400, 300) for key in (7, 3, 5))
PLACES = {"right": 0, "twice": 50, "confused": 100, "beside": 150, "missed": 200}
TRUTH = Annotations(
    IMAGES,
    tuple(
        Box(number, 7, (x, 0, x + 40, 40), 1) for number, x in enumerate(PLACES.values())
    ) + (Box(9, 5, (0, 0, 40, 40), 2),),
    {1: "cat", 2: "dog"},
)  # fmt: skip
FOUND = [
    result(7, 1, (0, 0, 40, 40), 0.9),
    result(7, 1, (50, 0, 40, 40), 0.9),
    result(7, 1, (51, 0, 40, 40), 0.85),  # a duplicate
    result(7, 2, (100, 0, 40, 40), 0.8),  # another class
    result(7, 1, (170, 0, 40, 40), 0.75),  # overlaps its box by a third, and the next one by an eighth
    result(7, 1, (300, 200, 40, 40), 0.7),  # nothing is there
    result(3, 1, (0, 0, 40, 40), 0.7),  # nor here
    result(5, 2, (0, 0, 40, 40), 0.7),
]


def analysed(annotations: Annotations = TRUTH, found: list[dict[str, object]] | None = None) -> Analysis:
    detections = Detections.of_results(annotations, FOUND if found is None else found)
    return analyse(Measurement(annotations, detections))


def test_each_error_is_of_its_kind() -> None:
    found = {kind.name: (kind.count, kind.count_at_threshold) for kind in analysed().errors}
    assert found == {
        "classification": (1, 1),
        "localisation": (1, 1),
        "both": (0, 0),
        "duplicate": (1, 1),
        "background": (2, 2),
        "missed": (1, 1),
    }


def test_an_error_costs_what_ap_would_gain_without_it() -> None:
    costs = {kind.name: kind.cost for kind in analysed().errors}
    assert costs["classification"] > 0 and costs["localisation"] > 0
    assert costs["background"] == 0, "what is invented last costs nothing"
    loud = [one | {"score": 0.95} if one["bbox"][0] == 300 else one for one in FOUND]
    assert {kind.name: kind.cost for kind in analysed(found=loud).errors}["background"] > 0


def test_the_confusion_matrix_has_the_background_last() -> None:
    found = analysed()
    assert found.classes == ("cat", "dog")
    # Rows are the truth. Of five cats two are found, one is taken for a dog, and two are missed; a duplicate, a box
    # beside and two inventions are cats where there are none.
    assert found.confusion == ((2, 1, 2), (0, 1, 0), (4, 0, 0))


def test_crowds_are_in_no_count() -> None:
    crowd = Box(10, 7, (290, 190, 350, 250), 1, crowd=True)
    found = analysed(replace(TRUTH, boxes=(*TRUTH.boxes, crowd)))
    assert found.confusion == ((2, 1, 2), (0, 1, 0), (3, 0, 0)), "the invention lies in the crowd"


def test_images_are_ordered_by_their_errors() -> None:
    found = analysed().images
    assert [(one.image_id, one.missed, one.false, one.confused) for one in found] == [(7, 2, 3, 1), (3, 0, 1, 0)]
    assert [one.total for one in found] == [6, 1]


def test_doubtful_labels_name_file_and_classes() -> None:
    labels = analysed().labels
    wrong = next(one for one in labels if one.kind == "wrong_label")
    assert (wrong.file, wrong.found, wrong.labelled, wrong.score) == ("7.jpg", "dog", "cat", pytest.approx(0.8))
    assert wrong.bbox == (100, 0, 40, 40)
    assert {(one.file, one.labelled) for one in labels if one.kind == "missing_annotation"} >= {("3.jpg", None)}
    assert [one.score for one in labels] == sorted((one.score for one in labels), reverse=True)


def test_curves_and_calibration() -> None:
    annotations, results = synthetic(0)
    measurement = Measurement(annotations, Detections.of_results(annotations, results))
    found = analyse(measurement)
    assert len(found.recalls) == 101 and "never seen" not in found.precisions
    for name, precision in found.precisions.items():
        assert sum(precision) / 101 == pytest.approx(measurement.metrics.per_class[name].AP50)
    assert sum(one.count for one in found.calibration) == len(results)
    for one in found.calibration:
        assert not one.count or one.lower <= one.confidence <= one.upper
    weighted = sum(one.count * abs(one.confidence - one.accuracy) for one in found.calibration) / len(results)
    assert found.calibration_error == pytest.approx(weighted, abs=1e-9)


def test_nothing_detected_is_all_missed_and_can_be_written() -> None:
    found = analysed(found=[])
    assert found.confusion == ((0, 0, 5), (0, 0, 1), (0, 0, 0))
    assert {kind.name: kind.count for kind in found.errors}["missed"] == 6
    assert "NaN" not in json.dumps(found.model_dump())


@pytest.mark.parametrize(
    ("confusion", "swapped"),
    [
        ([[0, 60, 0], [1, 0, 70], [69, 0, 2]], {"a": "b", "b": "c", "c": "a"}),
        ([[1, 9, 0], [8, 0, 0], [0, 0, 30]], {"a": "b", "b": "a"}),
        ([[60, 1, 0], [0, 70, 0], [0, 3, 60]], {}),
        ([[2, 60, 0], [0, 70, 0], [0, 60, 5]], {}),  # all are named alike
        ([[25, 30, 0], [31, 25, 0], [0, 0, 50]], {}),  # two that it cannot tell apart
        ([[0, 3, 0], [4, 0, 0], [0, 0, 50]], {}),  # too few to say
        ([[0, 0, 0], [0, 0, 0], [0, 0, 0]], {}),
    ],
)
def test_names_that_changed_places_are_told_from_a_model_that_is_weak(
    confusion: list[list[int]], swapped: dict[str, str]
) -> None:
    matrix = (*((*row, 7) for row in confusion), (9, 9, 9, 0))
    analysis = analysed().model_copy(update={"classes": ("a", "b", "c"), "confusion": matrix})
    assert swapped_classes(analysis) == swapped
