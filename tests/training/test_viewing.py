"""What a run sets, what its parent decides, and what the log says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from boxwright.config import Hyperparameters
from boxwright.images import Tiling
from boxwright.model.seeds import Seed, write_seed
from boxwright.model.store import MODEL_FILE, ModelCard
from boxwright.storage import write_json
from boxwright.training.viewing import Viewing, choose_viewing

TILES = {"size": 640, "overlap": 0.3}


def seed(folder: Path, **card: Any) -> Path:
    """A folder with a parent whose card has these fields."""
    values = {"model_id": "tiny", "image_size": 64, "classes": ("a",), "category_ids": (1,)}
    write_json(folder / MODEL_FILE, ModelCard(**(values | card)).model_dump())
    write_seed(Seed(kind="incremental", model_id="tiny", origin="models:/m/3"), folder)
    return folder


@pytest.mark.parametrize(
    ("told", "card", "expected", "said"),
    [
        ({}, {}, Viewing(None, None), []),
        (
            {},
            {"resize": "letterbox", "tiling": TILES},
            Viewing("letterbox", Tiling(**TILES)),
            [
                "resize: letterbox, as models:/m/3 has it, which training goes on from",
                "tiles: 640 px, overlap 0.3, as models:/m/3 has it, which training goes on from",
            ],
        ),
        (
            {"resize": "stretch", "tile_size": 0},
            {"resize": "letterbox", "tiling": TILES},
            Viewing("stretch", None),
            [
                "resize: stretch, as the run sets it; models:/m/3 has letterbox",
                "tiles: none, as the run sets it; models:/m/3 has 640 px, overlap 0.3",
            ],
        ),
        (
            {"tile_size": 320},
            {"resize": "stretch", "tiling": TILES},
            Viewing("stretch", Tiling(size=320, overlap=0.3)),
            [
                "resize: stretch, as models:/m/3 has it, which training goes on from",
                "tiles: 320 px, overlap 0.3, as the run sets it; models:/m/3 has 640 px, overlap 0.3",
            ],
        ),
        (
            {"tile_size": 320},
            {},
            Viewing(None, Tiling(size=320, overlap=0.2)),
            ["tiles: 320 px, overlap 0.2, as the run sets it; models:/m/3 has none"],
        ),
        ({"tile_overlap": 0.4}, {}, Viewing(None, None), ["tile_overlap=0.4 has no effect without tile_size"]),
    ],
)
def test_a_parent_decides_what_the_run_does_not(
    told: dict[str, Any], card: dict[str, Any], expected: Viewing, said: list[str], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with caplog.at_level("INFO", "boxwright.training"):
        assert choose_viewing(Hyperparameters(**told), seed(tmp_path, **card)) == expected
    assert caplog.messages == said


def test_without_a_parent_the_run_decides(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_seed(Seed(kind="pretrained", model_id="tiny", origin="random"), tmp_path)
    with caplog.at_level("INFO", "boxwright.training"):
        assert choose_viewing(Hyperparameters(), tmp_path) == Viewing(None, None)
        told = Hyperparameters(resize="letterbox", tile_size=320, tile_overlap=0.5)
        assert choose_viewing(told, tmp_path) == Viewing("letterbox", Tiling(size=320, overlap=0.5))
    assert caplog.messages == []
