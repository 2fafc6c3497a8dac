"""Classes that new data does not label are labelled by the parent, as far as it is sure and the data is silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finder import BLUE_BOX, LABELS, RED_BOX, encoded, export_finder, scene

from boxwright.dataset.examples import CheckedShards, decode_example, encode_example, read_records, write_record
from boxwright.training.keeping import keep_labels, unlabelled

CLASSES = ("new", LABELS[1], LABELS[0])
# In shares of the picture of 200 x 100.
RED, BLUE = ([box[1] / 100, box[0] / 200, box[3] / 100, box[2] / 200] for box in (RED_BOX, BLUE_BOX))
Boxes = list[tuple[int, list[float]]]


def shards(path: Path, examples: list[Boxes]) -> CheckedShards:
    """Scenes with these boxes: label and `[ymin, xmin, ymax, xmax]`."""
    with path.open("wb") as file:
        for number, boxes in enumerate(examples):
            sides = {
                f"image/object/bbox/{side}": ("float_list", [box[place] for _, box in boxes])
                for place, side in enumerate(("ymin", "xmin", "ymax", "xmax"))
            }
            facts: dict[str, Any] = {
                "image/encoded": ("bytes_list", [encoded(scene(), "PNG")]),
                "image/source_id": ("bytes_list", [str(number)]),
                "image/object/class/label": ("int64_list", [label for label, _ in boxes]),
                "image/object/class/text": ("bytes_list", [CLASSES[label - 1] for label, _ in boxes]),
            }
            write_record(file, encode_example(facts | sides))
    return CheckedShards([path], len(examples))


def labels(found: CheckedShards) -> list[list[tuple[str, list[float]]]]:
    """Name and box of each example's labels."""
    told = []
    for path in found:
        with path.open("rb") as file:
            for record in read_records(file):
                example: dict[str, Any] = decode_example(record)
                sides = [example[f"image/object/bbox/{side}"] for side in ("ymin", "xmin", "ymax", "xmax")]
                names = [CLASSES[label - 1] for label in example["image/object/class/label"]]
                assert [name.encode() for name in names] == example["image/object/class/text"]
                told.append(list(zip(names, np.transpose(sides).tolist(), strict=True)))
    return told


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent")
    export_finder(folder)
    return folder


NEW: Boxes = [(1, [0.1, 0.5, 0.3, 0.6])]


def test_what_the_parent_is_sure_of_becomes_a_label(
    parent: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    splits = {"training": shards(tmp_path / "t", [NEW, []]), "validation": shards(tmp_path / "v", [NEW])}
    with caplog.at_level("INFO", "boxwright.training"):
        kept = keep_labels(splits, CLASSES, parent, 0.4, tmp_path / "kept")
    for example, own in zip(labels(kept["training"]), (NEW, []), strict=True):
        *before, (name, box) = example
        assert [name for name, _ in before] == ["new"] * len(own)
        assert name == LABELS[0]
        np.testing.assert_allclose(box, RED, atol=0.02)
    assert len(labels(kept["validation"])[0]) == 2
    assert f"2 of {LABELS[0]}" in caplog.messages[0]
    assert "the parent finds nothing of " + LABELS[1] in caplog.messages[1]


def test_a_lower_threshold_takes_more(parent: Path, tmp_path: Path) -> None:
    splits = {"training": shards(tmp_path / "t", [NEW])}
    (example,) = labels(keep_labels(splits, CLASSES, parent, 0.2, tmp_path / "kept")["training"])
    assert [name for name, _ in example] == ["new", LABELS[0], LABELS[1]]
    np.testing.assert_allclose(example[2][1], BLUE, atol=0.02)


def test_what_the_dataset_labels_is_left_as_it_is(parent: Path, tmp_path: Path) -> None:
    # The red thing is another object's label here, and the blue ones are labelled.
    splits = {"training": shards(tmp_path / "t", [[(1, RED)], [(2, BLUE)]])}
    found = labels(keep_labels(splits, CLASSES, parent, 0.1, tmp_path / "kept")["training"])
    assert [[name for name, _ in example] for example in found] == [["new"], [LABELS[1], LABELS[0]]]


def test_a_validation_split_that_labels_an_old_class_itself_is_left_as_it_is(parent: Path, tmp_path: Path) -> None:
    splits = {"training": shards(tmp_path / "t", [NEW]), "validation": shards(tmp_path / "v", [[(3, RED)], [], NEW])}
    kept = keep_labels(splits, CLASSES, parent, 0.2, tmp_path / "kept")
    found = [[name for name, _ in example] for example in labels(kept["validation"])]
    assert found == [[LABELS[0], LABELS[1]], [LABELS[1]], ["new", LABELS[1]]]


def test_where_all_is_labelled_nothing_is_written(parent: Path, tmp_path: Path) -> None:
    splits = {"training": shards(tmp_path / "t", [[(2, BLUE), (3, RED)]])}
    assert keep_labels(splits, CLASSES, parent, 0.1, tmp_path / "kept") == splits
    assert not (tmp_path / "kept").exists()


def test_only_classes_of_the_parent_are_asked_for(tmp_path: Path) -> None:
    assert unlabelled(shards(tmp_path / "t", [NEW]), (*CLASSES, "newer"), LABELS) == (LABELS[1], LABELS[0])
