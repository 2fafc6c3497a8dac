from __future__ import annotations

import logging

import pytest

from boxwright.config import Hyperparameters
from boxwright.training.mirroring import mirrors, reasons_against_mirroring

CARDS = [f"{rank}{suit}" for rank in (*range(2, 11), "J", "Q", "K", "A") for suit in "CDHS"]


@pytest.mark.parametrize(
    "classes",
    [
        ["bolt", "nut", "washer"],
        ["RBC", "WBC", "Platelets"],
        ["white-rook", "black-king", "bishop"],
        ["class_1", "class_2"],
        ["Category 5", "category 6"],
        ["x", "car"],
        ["bright light", "copyright", "leftover"],
        ["vitamin b12"],
        [],
        ["", "  ", "-"],
    ],
)
def test_most_things_have_no_handedness(classes: list[str]) -> None:
    assert reasons_against_mirroring(classes) == []


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["turn-left", "stop"], "'turn-left' say a side"),
        (["TurnRight"], "'TurnRight' say a side"),
        (["Pfeil links", "Pfeil rechts"], "'Pfeil links', 'Pfeil rechts' say a side"),
        (["0", "1", "2"], "'0', '1', '2' are or speak of characters"),
        (["A", "B"], "'A', 'B' are or speak of characters"),
        (["digit_3", "person"], "'digit_3' are or speak of characters"),
        (["日", "月"], "'日', '月' are or speak of characters"),
        (["speed limit 30 (km/h)", "speed limit 50 (km/h)", "stop"], "differ by a number"),
        (CARDS, "differ by a number"),
        ([str(number) for number in range(10, 43)], "'10', '11', '12', '13', '14' and 28 more are or speak"),
    ],
)
def test_names_that_say_a_side_or_are_characters_speak_against_it(classes: list[str], said: str) -> None:
    assert said in "; ".join(reasons_against_mirroring(classes))


@pytest.mark.parametrize(
    ("settings", "classes", "expected", "said"),
    [
        ({}, ["bolt"], True, "images are mirrored in training: no class name speaks against it"),
        ({}, ["left", "right"], False, "images are not mirrored in training: 'left', 'right' say a side; "),
        ({"horizontal_flip": True}, ["left", "right"], True, "mirrored, they may be another class"),
        ({"augmentation": "flip"}, ["left", "right"], True, "mirrored, they may be another class"),
        ({"horizontal_flip": False}, ["bolt"], False, ""),
        ({"horizontal_flip": True}, ["bolt"], True, ""),
        ({"augmentation": "none"}, ["bolt"], False, ""),
    ],
)
def test_the_choice_is_the_users_and_auto_says_what_it_is(
    settings: dict[str, object], classes: list[str], expected: bool, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "boxwright.training"):
        assert mirrors(Hyperparameters(**settings), classes) is expected  # type: ignore[arg-type]
    assert (said in caplog.text) if said else not caplog.text
