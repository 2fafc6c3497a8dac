from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from boxwright.dataset.annotations.records import Annotations, Box, ImageRecord
from boxwright.dataset.examples.split import split_by_content
from boxwright.errors import DataError


def dataset(classes: list[list[int]]) -> Annotations:
    """One image for each list, with a box for each class in it."""
    images = tuple(ImageRecord(i, f"{i}.jpg", 10, 10) for i in range(len(classes)))
    pairs = [(i, category) for i, of_image in enumerate(classes) for category in of_image]
    boxes = tuple(Box(index, i, (0, 0, 5, 5), category) for index, (i, category) in enumerate(pairs))
    return Annotations(images, boxes, {1: "a", 2: "b", 3: "c"})


def digests(annotations: Annotations) -> dict[str, str]:
    return {image.file_name: hashlib.sha256(image.file_name.encode()).hexdigest() for image in annotations.images}


def at(*positions: float) -> dict[str, str]:
    """Digests that put image i at the given position in [0, 1)."""
    return {f"{i}.jpg": f"{int(position * 2**64):016x}{i:048x}" for i, position in enumerate(positions)}


def names(annotations: Annotations) -> set[str]:
    return {image.file_name for image in annotations.images}


def test_both_parts_are_whole() -> None:
    full = dataset([[1, 2]] * 200)
    training, validation = split_by_content(full, digests(full), 0.2)
    assert names(training) | names(validation) == names(full) and not names(training) & names(validation)
    assert 25 <= len(validation.images) <= 55
    for part in (training, validation):
        assert [box.index for box in part.boxes] == list(range(len(part.boxes)))
        assert {box.image_id for box in part.boxes} == {image.id for image in part.images}
        assert part.categories == full.categories


def test_adding_images_moves_none() -> None:
    small, large = dataset([[1]] * 100), dataset([[1]] * 150)
    before = names(split_by_content(small, digests(small), 0.3)[1])
    after = names(split_by_content(large, digests(large), 0.3)[1])
    assert after & names(small) == before


def test_same_content_stays_together() -> None:
    full = dataset([[1]] * 4)
    training, validation = split_by_content(full, at(0.1, 0.9, 0.1, 0.9) | {"2.jpg": at(0.1)["0.jpg"]}, 0.2)
    assert names(validation) == {"0.jpg", "2.jpg"}


@pytest.mark.parametrize(
    ("positions", "held"), [((0.8, 0.9, 0.7), {"2.jpg"}), ((0.01, 0.02, 0.03), {"0.jpg", "1.jpg"})]
)
def test_neither_part_is_empty(positions: tuple[float, ...], held: set[str]) -> None:
    _, validation = split_by_content(dataset([[1]] * 3), at(*positions), 0.2)
    assert names(validation) == held


def test_both_parts_have_boxes() -> None:
    _, validation = split_by_content(dataset([[], [1], [1]]), at(0.1, 0.5, 0.6), 0.2)
    assert names(validation) == {"0.jpg", "1.jpg"}


def test_training_keeps_every_class() -> None:
    training, validation = split_by_content(dataset([[1], [2], [1], [1]]), at(0.1, 0.15, 0.5, 0.6), 0.2)
    assert names(validation) == {"0.jpg"} and {box.category_id for box in training.boxes} == {1, 2}


def test_a_class_with_one_box_and_crowds_stays_in_training() -> None:
    full = dataset([[1, 2], [1, 2], [1]])
    crowd = next(box for box in full.boxes if box.image_id == 1 and box.category_id == 2)
    boxes = tuple(replace(box, crowd=True) if box == crowd else box for box in full.boxes)
    training, _ = split_by_content(replace(full, boxes=boxes), at(0.1, 0.5, 0.15), 0.2)
    assert any(box.category_id == 2 and not box.crowd for box in training.boxes)


def test_the_only_image_held_out_is_exchanged_for_one_that_training_can_spare() -> None:
    training, validation = split_by_content(dataset([[2], [1], [1]]), at(0.1, 0.5, 0.6), 0.2)
    assert names(validation) == {"1.jpg"} and {box.category_id for box in training.boxes} == {1, 2}


def test_where_each_class_has_one_image_one_is_still_held_out() -> None:
    training, validation = split_by_content(dataset([[1], [2]]), at(0.5, 0.6), 0.2)
    assert (len(training.images), len(validation.images)) == (1, 1)


@pytest.mark.parametrize("classes", [[[1]], [[1], []]])
def test_one_labelled_image_cannot_be_split(classes: list[list[int]]) -> None:
    full = dataset(classes)
    with pytest.raises(DataError, match="at least two different images"):
        split_by_content(full, digests(full), 0.2)
