"""AP on images drawn again is what COCO's tools give on a set that holds them so often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_metrics import synthetic

from boxwright.dataset.annotations import Annotations
from boxwright.evaluation.comparison import compare
from boxwright.evaluation.detections import Detections
from boxwright.evaluation.metrics import Measurement, measure
from boxwright.evaluation.resampling import Resampled, draw_images

TRUTH, FOUND = synthetic(4)


@pytest.fixture(scope="module")
def resampled() -> Resampled:
    return Resampled(Measurement(TRUTH, Detections.of_results(TRUTH, FOUND)))


def drawn_again(counts: np.ndarray) -> tuple[Annotations, list[dict]]:
    """The set with each image as often as it was drawn, under ids of its own."""
    images, boxes, found = [], [], []
    for place, image in enumerate(sorted(TRUTH.images, key=lambda one: one.id)):
        for copy in range(counts[place]):
            new = 1000 * copy + image.id
            images.append(replace(image, id=new))
            boxes += [replace(box, image_id=new) for box in TRUTH.boxes if box.image_id == image.id]
            found += [one | {"image_id": new} for one in FOUND if one["image_id"] == image.id]
    return replace(TRUTH, images=tuple(images), boxes=tuple(boxes)), found


def test_every_image_once_is_the_ap_of_the_measurement(resampled: Resampled) -> None:
    assert resampled.ap() == pytest.approx(measure(TRUTH, FOUND).AP, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_images_drawn_again_are_a_set_that_has_them_so_often(resampled: Resampled, seed: int) -> None:
    counts = draw_images(resampled.images, np.random.default_rng(seed))
    assert counts.sum() == resampled.images and counts.max() > 1
    assert resampled.ap(counts) == pytest.approx(measure(*drawn_again(counts)).AP, abs=1e-9)


def test_images_without_boxes_alone_have_no_ap(resampled: Resampled) -> None:
    assert resampled.ap(np.zeros(resampled.images, np.int64)) is None


def test_the_interval_is_that_of_the_library(resampled: Resampled) -> None:
    kept = [one for place, one in enumerate(FOUND) if place % 3]
    less = Measurement(TRUTH, Detections.of_results(TRUTH, kept))
    whole = Measurement(TRUTH, Detections.of_results(TRUTH, FOUND))
    theirs = compare(less, whole, "less").metrics["AP"]
    other, generator = Resampled(less), np.random.default_rng(0)
    samples = [draw_images(resampled.images, generator) for _ in range(1000)]
    low, high = np.percentile([(resampled.ap(one) or 0) - (other.ap(one) or 0) for one in samples], [2.5, 97.5])
    assert low == pytest.approx(theirs.low, abs=0.01) and high == pytest.approx(theirs.high, abs=0.01)
