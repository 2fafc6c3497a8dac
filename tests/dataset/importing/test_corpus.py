"""Drawn sets of every format: converted they have all that was drawn, validation takes them, and they come back."""

from __future__ import annotations

import random
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from drawn_sets import WRITERS, Content, draw
from foreign import convert

from boxwright.config import parse_config
from boxwright.dataset.importing.output.export import EXPORTS, export_dataset
from boxwright.dataset.importing.readers.formats import FORMATS
from boxwright.dataset.validation import examine


def rounded(content: Any) -> Content:
    return {
        name: sorted((label, tuple(round(side, 2) + 0.0 for side in box)) for label, box in boxes)
        for name, boxes in content.items()
    }


def unextended(content: Content) -> Content:
    """By names without folders, where a format does not have them all."""
    return {PurePosixPath(name).name: boxes for name, boxes in content.items()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", WRITERS)
def test_nothing_is_lost_that_is_not_named(tmp_path: Path, kind: str, seed: int) -> None:
    there_and_back(tmp_path, kind, seed)


@pytest.mark.long
@pytest.mark.parametrize("kind", WRITERS)
def test_many(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    for seed in range(3, 200):
        there_and_back(tmp_path_factory.mktemp("corpus"), kind, seed)


def there_and_back(tmp_path: Path, kind: str, seed: int) -> None:
    rng = random.Random(f"{kind} {seed}")
    drawn = WRITERS[kind](tmp_path / "set", draw(rng), rng)
    found = convert(tmp_path / "set")
    assert unextended(rounded(found.boxes)) == unextended(rounded(drawn))
    assert found.said.startswith(kind) and "broken" not in found.said
    left_out = [remark.reason for remark in found.converted.account.losses]
    assert not left_out or (kind == "open-images" and all("no label names" in reason for reason in left_out))
    if not seed:  # it takes seconds
        report = examine(parse_config({"training": str(found.folder), "output": str(tmp_path / "models")}), None)
        assert not report.errors, report.errors
    for name in EXPORTS:
        export_dataset(found.folder, tmp_path / name, name, strict=True)
        assert rounded(convert(tmp_path / name).boxes) == rounded(found.boxes), name


def test_every_format_is_drawn() -> None:
    assert set(WRITERS) == set(FORMATS)
