"""Which operations of a network become whole numbers, and what they are calibrated on."""

from __future__ import annotations

from pathlib import Path

import pytest
from finder import encoded, scene

from boxwright.errors import DataError, UsageError
from boxwright.exporting.calibrating import IMAGES, calibration_inputs
from boxwright.exporting.export import check_calibration
from boxwright.exporting.facts import Fitting
from boxwright.exporting.quantising import IN_FLOATS, _convolutions_behind, _Operation, _to_quantise

# Two convolutions, a branch that joins them, a head of one layer, and what decodes its answer.
NETWORK = [
    _Operation("CAST", "pixels;", (0,), (1,)),
    _Operation("CONV_2D", "first;", (1,), (2,)),
    _Operation("DEPTHWISE_CONV_2D", "second;", (2,), (3,)),
    _Operation("ADD", "joined;", (2, 3), (4,)),
    _Operation("CONV_2D", "head;", (4,), (5,)),
    _Operation("CONCATENATION", "raw;", (5,), (6,)),
    _Operation("LOGISTIC", "scores;", (6,), (7,)),
]


def names(in_floats: int) -> list[str]:
    return [operation.scope for operation in _to_quantise(NETWORK, in_floats)]


def test_what_decodes_stays_in_floats() -> None:
    assert _convolutions_behind(NETWORK) == [3, 2, 1, 1, 0, 0, 0]
    assert names(0) == ["first;", "second;", "joined;", "head;"]


def test_a_network_retreats_from_its_outputs() -> None:
    assert list(IN_FLOATS) == sorted(IN_FLOATS)
    assert names(IN_FLOATS[0]) == ["first;", "second;"]
    assert names(2) == ["first;"] and names(3) == []


def test_images_are_fitted_and_the_first_hundred_looked_at(tmp_path: Path) -> None:
    fitting = Fitting(image_size=64, keep_aspect=False, fill=(0, 0, 0), antialias=True)
    with pytest.raises(DataError, match="has no images to calibrate on; name a folder"):
        list(calibration_inputs(tmp_path / "none", fitting, None))
    for number in range(IMAGES + 2):
        (tmp_path / f"{number:03d}.png").write_bytes(encoded(scene(20, 10), "PNG"))
    found = list(calibration_inputs(tmp_path, fitting, None))
    assert len(found) == IMAGES and found[0].shape == (1, 64, 64, 3)
    (tmp_path / "000.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"000.png is not an image to calibrate on: .*; leave it out of the folder"):
        list(calibration_inputs(tmp_path, fitting, None))


def test_whole_numbers_need_images() -> None:
    check_calibration("int8", True)
    check_calibration("dynamic_int8", False)
    with pytest.raises(UsageError, match="precision=int8 needs images to calibrate on: --calibration FOLDER"):
        check_calibration("int8", False)
