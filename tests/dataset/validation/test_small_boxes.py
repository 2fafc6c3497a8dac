"""Boxes that are too small at the model's input, and the tiles that the report names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boxwright.config import Hyperparameters, parse_config
from boxwright.dataset.validation.findings import Finding
from boxwright.dataset.validation.model_input import ModelInput, TileAdvice, tiles_for
from boxwright.dataset.validation.validate import examine


def small(tmp_path: Path, side: float, size: tuple[int, int], **hyperparameters: Any) -> list[Finding]:
    """What the rule finds in an image of `size` (width, height) with ten boxes of a side."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"x")
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [n * 20, 5, n * 20 + side, 5 + side]} for n in range(10)]
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": size[0], "height": size[1]}],
        "annotations": boxes,
        "categories": [{"id": 1, "name": "thing"}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    config = parse_config({"training": str(tmp_path), "output": "o", "hyperparameters": hyperparameters})
    return [found for found in examine(config, None).findings if found.rule == "box_too_small"]


def test_the_report_names_the_tiles_that_help(tmp_path: Path) -> None:
    found = small(tmp_path, 16, (2048, 2048))
    assert len(found) == 10
    # 16 of 2048 pixels are 2.5 of 320; eight tiles with an overlap of a fifth cover a side.
    assert found[0].advice == (
        "its shorter side is 2.5 pixels at image_size=320; tile_size=320 would make it 16, with 65 looks at an image "
        "in place of one; set tile_size or a larger image_size, or take the box out"
    )


def test_in_tiles_they_are_large_enough(tmp_path: Path) -> None:
    assert small(tmp_path, 16, (2048, 2048), tile_size=320) == []


def test_in_tiles_that_are_too_large_they_are_still_small(tmp_path: Path) -> None:
    (first, *_) = small(tmp_path, 4, (4000, 3000), tile_size=640)
    assert first.advice.startswith("its shorter side is 2.0 pixels at image_size=320 of tile_size=640; tile_size=160 ")


def test_the_scale_is_that_of_the_resizing() -> None:
    sizes = np.array([[1000.0, 500.0], [200.0, 100.0]])
    assert ModelInput(100).scales(sizes).tolist() == [[0.1, 0.2], [0.5, 1.0]]
    assert ModelInput(100, keep_aspect=True).scales(sizes).tolist() == [[0.1, 0.1], [0.5, 0.5]]
    assert ModelInput(100, tile_size=400).scales(sizes).tolist() == [[0.25, 0.25], [0.5, 1.0]]


def test_an_input_is_what_the_run_sets() -> None:
    chosen = Hyperparameters(image_size=416, resize="letterbox", tile_size=0)
    assert ModelInput.of(chosen) == ModelInput(416, True, None)
    assert str(ModelInput.of(Hyperparameters(tile_size=640))) == "image_size=320 of tile_size=640"


@pytest.mark.parametrize(
    ("side", "size", "advice"),
    [
        (16.0, (2048, 2048), TileAdvice(320, 65)),
        (30.0, (2048, 2048), TileAdvice(576, 26)),
        (3.0, (2048, 2048), TileAdvice(160, 257)),  # not enlarged more than twice
        (10.0, (150, 150), None),  # the image is smaller than such a tile
    ],
)
def test_advice(side: float, size: tuple[int, int], advice: TileAdvice | None) -> None:
    assert tiles_for(np.array([side] * 3), np.array([size] * 3, float), ModelInput(320)) == advice


def test_without_small_boxes_there_is_no_advice() -> None:
    assert tiles_for(np.zeros(0), np.zeros((0, 2)), ModelInput(320)) is None
