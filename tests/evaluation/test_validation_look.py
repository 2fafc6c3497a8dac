from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from squares import IMAGES, RIGHT, Colours, write_examples

from boxwright.dataset.annotations.reading import load_annotations, save_annotations
from boxwright.dataset.examples.summary import ExamplesSummary
from boxwright.evaluation.predict import predict_split
from boxwright.evaluation.validation_ap import PLATEAU, ValidationLook, validation_ap


class AllRed(Colours):
    """Finds every square and calls it red."""

    def detect(self, images: Any, extents: Any) -> dict[str, Any]:
        import tensorflow as tf

        found = super().detect(images, extents)
        return found | {"detection_classes": tf.cast(found["detection_scores"] > 0, tf.float32)}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    write_examples(folder)
    shutil.copytree(folder / "test", folder / "validation")
    summary = ExamplesSummary.read(folder)
    summary.model_copy(update={"splits": {**summary.splits, "validation": summary.splits["test"]}}).write(folder)
    return folder


def test_a_look_measures_ap_and_names(examples: Path) -> None:
    look = validation_ap(examples)
    expected = {"class_accuracy": 1.0, "class_accuracy_by_lot": pytest.approx(1 / 3)}
    assert look(RIGHT) == {"AP": pytest.approx(1), "AP50": pytest.approx(1)} | expected
    assert look.glance(RIGHT) == expected


def test_the_class_with_the_fewest_training_boxes_is_measured_by_itself(examples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(examples, folder)
    (folder / "training").mkdir()
    found = load_annotations(folder / "validation" / "annotations.json")
    few, kept = found.category_ids[1], []
    for box in found.boxes:
        if box.category_id != few or not any(one.category_id == few for one in kept):
            kept.append(box)
    save_annotations(replace(found, boxes=tuple(kept)), folder / "training" / "annotations.json")
    # Finds squares of all colours but that one.
    blind = Colours([*RIGHT.colours[:1], [-1, -1, -1], *RIGHT.colours[2:]])
    assert validation_ap(folder, rarest=True)(RIGHT)["AP_rarest"] == pytest.approx(1)
    assert validation_ap(folder, rarest=True)(blind)["AP_rarest"] == 0
    assert "AP_rarest" not in validation_ap(folder)(blind)


def test_a_glance_takes_some_of_the_images(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = sorted((examples / "validation").glob("examples-*.tfrecord"))
    every = [predict_split(RIGHT, shards, (4, 9, 11), every=step).image_ids for step in (1, 2, 5)]
    assert every[0] == tuple(range(100, 100 + IMAGES))
    assert every[1] == every[0][::2] and every[2] == every[0][::5]
    monkeypatch.setattr(import_module("boxwright.evaluation.validation_ap"), "GLANCE_IMAGES", IMAGES // 2)
    assert ValidationLook(examples).glance(RIGHT)["class_accuracy"] == 1


def test_a_class_that_stays_at_chance_is_told_once(examples: Path, caplog: pytest.LogCaptureFixture) -> None:
    look, names = validation_ap(examples), AllRed(RIGHT.colours)
    for number in range(PLATEAU + 2):
        caplog.clear()
        found = look.glance(names)
        assert found == {"class_accuracy": pytest.approx(1 / 3), "class_accuracy_by_lot": pytest.approx(1 / 3)}
        told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
        assert len(told) == (number == PLATEAU - 1)
        if told:
            assert "green, blue are found, and named no better than by chance at 3 looks in a row" in told[0]
            assert "9 red" in told[0] and "image_size" in told[0]


def test_what_is_told_apart_in_between_starts_anew(examples: Path, caplog: pytest.LogCaptureFixture) -> None:
    look, names = validation_ap(examples), AllRed(RIGHT.colours)
    for model in (names, names, RIGHT, names, names):
        look.glance(model)
    assert "by chance" not in caplog.text
