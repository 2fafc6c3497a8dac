from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from boxwright.dataset.annotations.reading import Annotations, Box, ImageRecord
from boxwright.errors import TrainingError
from boxwright.evaluation.metrics import measure

CATEGORIES = {2: "cat", 5: "dog", 9: "never seen", 11: "big"}


def synthetic(seed: int, images: int = 30, keep: float = 0.8) -> tuple[Annotations, list[dict[str, Any]]]:
    """Random truth of three classes in all sizes, and detections: jittered, missed, mislabelled and invented ones.

    Every fifth image has no box, and detections all the same.
    """
    random = np.random.default_rng(seed)
    records = tuple(ImageRecord(100 + i, f"{i}.jpg", 640, 480) for i in range(images))
    boxes: list[Box] = []
    detections: list[dict[str, Any]] = []
    for number, image in enumerate(records):
        for _ in range(0 if number % 5 == 0 else int(random.integers(1, 8))):
            width, height = np.exp(random.uniform(np.log(6), np.log(240), 2))
            x, y = random.uniform(0, 640 - width), random.uniform(0, 480 - height)
            category = int(random.choice([2, 5, 11]))
            boxes.append(Box(len(boxes), image.id, (x, y, x + width, y + height), category))
            if random.random() < keep:
                found = np.array([x, y, width, height]) + random.normal(0, 0.08, 4) * [width, height, width, height]
                label = category if random.random() < 0.85 else int(random.choice(list(CATEGORIES)))
                detections.append(result(image.id, label, found, random.uniform(0.3, 1)))
        for _ in range(int(random.integers(0, 4))):
            found = [*random.uniform(0, 300, 2), *random.uniform(5, 150, 2)]
            detections.append(result(image.id, int(random.choice([2, 5, 11])), found, random.uniform(0, 0.7)))
    return Annotations(records, tuple(boxes), dict(CATEGORIES)), detections


def result(image_id: int, category_id: int, bbox: Any, score: float) -> dict[str, Any]:
    x, y, width, height = (float(value) for value in bbox)
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [x, y, max(width, 1.0), max(height, 1.0)],
        "score": float(score),
    }


def oracle(annotations: Annotations, detections: list[dict[str, Any]]) -> tuple[list[float], Any]:
    """pycocotools' stats and precisions."""
    evaluation = evaluated_by_pycocotools(annotations, detections)
    return list(evaluation.stats), evaluation.eval["precision"]


def evaluated_by_pycocotools(annotations: Annotations, detections: list[dict[str, Any]]) -> Any:
    """A `COCOeval` that is done, from the ground truth written out anew."""
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image.id, "width": image.width, "height": image.height} for image in annotations.images],
        "annotations": [
            {
                "id": box.index + 1,
                "image_id": box.image_id,
                "category_id": box.category_id,
                "bbox": [box.bbox[0], box.bbox[1], box.bbox[2] - box.bbox[0], box.bbox[3] - box.bbox[1]],
                "area": (box.bbox[2] - box.bbox[0]) * (box.bbox[3] - box.bbox[1]),
                "iscrowd": int(box.crowd),
            }
            for box in annotations.boxes
        ],
        "categories": [{"id": key, "name": name} for key, name in annotations.categories.items()],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("seed", range(6))
def test_metrics_are_those_of_pycocotools(seed: int) -> None:
    annotations, detections = synthetic(seed)
    measured = measure(annotations, detections)
    stats, precision = oracle(annotations, detections)
    names = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100")
    assert [getattr(measured, name) for name in names] == pytest.approx(stats[:9], abs=1e-6)
    for row, category_id in enumerate(annotations.category_ids):
        ours = measured.per_class[CATEGORIES[category_id]]
        if category_id == 9:
            assert (ours.AP, ours.AP50, ours.boxes) == (None, None, 0)
        else:
            assert pytest.approx(precision[:, :, row, 0, 2].mean(), abs=1e-6) == ours.AP
            assert pytest.approx(precision[0, :, row, 0, 2].mean(), abs=1e-6) == ours.AP50
    assert 0.05 < (measured.AP or 0) < 0.95, "the synthetic data must be neither hopeless nor trivial"
    assert sum(one.boxes for one in measured.per_class.values()) == measured.boxes == len(annotations.boxes)


def test_negative_images_count_against_the_detector() -> None:
    annotations, detections = synthetic(1)
    empty = {image.id for image in annotations.images} - {box.image_id for box in annotations.boxes}
    without = [found for found in detections if found["image_id"] not in empty]
    assert empty and len(without) < len(detections)
    assert (measure(annotations, without).AP or 0) > (measure(annotations, detections).AP or 0)
    assert measure(annotations, detections).images == 30


def test_corner_boxes_are_not_taken_for_widths() -> None:
    truth = Annotations((ImageRecord(1, "a.jpg", 640, 480),), (Box(0, 1, (100, 200, 140, 280), 2),), {2: "cat"})
    assert measure(truth, [result(1, 2, (100, 200, 40, 80), 0.9)]).AP == pytest.approx(1)
    assert measure(truth, [result(1, 2, (100, 200, 140, 280), 0.9)]).AP == 0


def test_a_detector_that_finds_nothing_gets_zeros(capfd: pytest.CaptureFixture[str]) -> None:
    annotations, _ = synthetic(0)
    measured = measure(annotations, [])
    assert (measured.AP, measured.AP50, measured.AR100, measured.detections) == (0, 0, 0, 0)
    assert measured.per_class["cat"].AP == 0
    assert measured.per_class["never seen"].AP is None
    assert capfd.readouterr() == ("", "")


def test_no_ground_truth_at_all_is_null_and_not_minus_one() -> None:
    annotations = Annotations((ImageRecord(1, "a.jpg", 64, 48),), (), {2: "cat"})
    measured = measure(annotations, [result(1, 2, (1, 1, 10, 10), 0.5)])
    assert measured.AP is None and measured.per_class["cat"].AP50 is None
    assert "-1" not in json.dumps(measured.model_dump())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": math.nan}, r"detections\[1\].*finite score, got .*nan.* on image 100"),
        ({"bbox": [0, 0, math.inf, 5]}, r"detections\[1\].*four finite box values"),
        ({"bbox": [0, 0, 5]}, r"detections\[1\].*four finite box values"),
        ({"bbox": None}, r"detections\[1\]: expected \{image_id"),
        ({"image_id": 7}, r"image_id 7 is not an image"),
        ({"category_id": 3}, r"category_id 3 is not one of the split's \[2, 5, 9, 11\]"),
    ],
)
def test_a_broken_detection_is_named(change: dict[str, Any], message: str) -> None:
    annotations, _ = synthetic(0)
    good = result(100, 2, (1, 1, 10, 10), 0.5)
    with pytest.raises(TrainingError, match=message) as caught:
        measure(annotations, [good, good | change])
    assert "\n" not in str(caught.value)


def test_every_number_of_every_class_is_the_oracles() -> None:
    annotations, detections = synthetic(2)
    measured, evaluation = measure(annotations, detections), evaluated_by_pycocotools(annotations, detections)
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    for row, category_id in enumerate(annotations.category_ids):
        ours = measured.per_class[CATEGORIES[category_id]]
        for values, value in (
            (precision[5, :, row, 0, 2], ours.AP75),
            (precision[:, :, row, 1, 2], ours.AP_small),
            (precision[:, :, row, 2, 2], ours.AP_medium),
            (precision[:, :, row, 3, 2], ours.AP_large),
            (recall[:, row, 0, 0], ours.AR1),
            (recall[:, row, 0, 1], ours.AR10),
            (recall[:, row, 0, 2], ours.AR100),
        ):
            known = values[values > -1]
            assert value == (pytest.approx(known.mean(), abs=1e-6) if known.size else None)


def test_crowds_are_neither_asked_for_nor_held_against_the_model() -> None:
    annotations, detections = synthetic(1)
    crowded = replace(
        annotations,
        boxes=tuple(replace(box, crowd=number % 4 == 0) for number, box in enumerate(annotations.boxes)),
    )
    measured = measure(crowded, detections)
    stats, _ = oracle(crowded, detections)
    names = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100")
    assert [getattr(measured, name) for name in names] == pytest.approx(stats[:9], abs=1e-6)
    assert measured.boxes == sum(not box.crowd for box in crowded.boxes) < len(crowded.boxes)
    assert measured.kept < sum(found["score"] >= measured.threshold for found in detections), "those in crowds"


def test_voc_ap_is_the_whole_area_under_the_envelope() -> None:
    """Computed anew from right and wrong detections by falling score, as the VOC development kit of 2010 does."""
    annotations, detections = synthetic(1)
    measured = measure(annotations, detections, voc=True)
    evaluation = evaluated_by_pycocotools(annotations, detections)
    for category_id, name in CATEGORIES.items():
        parts = [one for one in evaluation.evalImgs if one and one["category_id"] == category_id]
        parts = [one for one in parts if one["aRng"] == [0, 1e10]]
        scores = np.concatenate([one["dtScores"] for one in parts]) if parts else np.zeros(0)
        right = np.concatenate([one["dtMatches"][0] > 0 for one in parts]) if parts else np.zeros(0)
        right = right[np.argsort(-scores, kind="mergesort")]
        boxes = measured.per_class[name].boxes
        if not boxes:
            assert measured.per_class[name].VOC_AP50 is None
            continue
        true = np.cumsum(right)
        recall = np.concatenate([[0], true / boxes, [1]])
        precision = np.concatenate([[0], true / np.arange(1, len(true) + 1), [0]])
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        area = float(np.sum(np.diff(recall) * precision[1:]))
        assert measured.per_class[name].VOC_AP50 == pytest.approx(area, abs=1e-9)
    assert measured.VOC_AP50 is not None and measure(annotations, detections).VOC_AP50 is None


def test_image_ids_of_any_size_are_told_apart() -> None:
    """hotcoco takes ids as floating-point numbers, of which large neighbours are equal."""
    images = tuple(ImageRecord(2**53 + number, f"{number}.jpg", 64, 48) for number in range(3))
    truth = Annotations(images, tuple(Box(i, one.id, (1, 1, 20, 20), 2) for i, one in enumerate(images)), {2: "cat"})
    found = [result(one.id, 2, (1, 1, 19, 19), 0.9) for one in images]
    assert measure(truth, found).AP == pytest.approx(1)
    assert (measure(truth, found[:1] * 3).AP or 0) < 0.5
