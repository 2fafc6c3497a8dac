from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from boxwright.dataset.annotations.reading import Annotations, Box, ImageRecord
from boxwright.evaluation.report.contact_sheet import draw_predictions

ORANGE, SKY = (230, 159, 0), (86, 180, 233)


def encoded(width: int, height: int, grey: int = 200) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (grey,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


def scene(count: int, classes: tuple[str, ...] = ("cat", "dog")) -> tuple[list[tuple[str, bytes]], Annotations]:
    """`count` grey images of 160 x 120 pixels, each with one cat."""
    records = tuple(ImageRecord(10 + i, f"{i}.png", 160, 120) for i in range(count))
    boxes = tuple(Box(i, record.id, (20, 40, 80, 100), 5) for i, record in enumerate(records))
    categories = {5 + 2 * row: name for row, name in enumerate(classes)}
    return [(record.file_name, encoded(160, 120)) for record in records], Annotations(records, boxes, categories)


def found(image_id: int, category_id: int, bbox: list[float], score: float) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score}


def mask(path: Path, colour: tuple[int, int, int]) -> Any:
    """Where the sheet has this colour, below its legend."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return (pixels == colour).all(axis=2)[120:]


def test_truth_is_on_the_left_and_predictions_on_the_right(tmp_path: Path) -> None:
    images, annotations = scene(1)
    draw_predictions(images, annotations, [found(10, 7, [60, 50, 80, 60], 0.9)], tmp_path / "sheet.png")
    cat, dog = mask(tmp_path / "sheet.png", ORANGE), mask(tmp_path / "sheet.png", SKY)
    middle = 24 + 340 + 2
    assert cat[:, :middle].any() and not cat[:, middle:].any()
    assert dog[:, middle:].any() and not dog[:, :middle].any()
    columns = np.flatnonzero(cat.any(axis=0))
    # 340 pixels show 160: the cat's corners 20 and 80.
    assert abs(columns[0] - (24 + 20 * 340 / 160)) <= 2 and abs(columns[-1] - (24 + 80 * 340 / 160)) <= 2


def test_predictions_below_the_threshold_are_left_out(tmp_path: Path) -> None:
    images, annotations = scene(1)
    detections = [found(10, 7, [60, 50, 80, 60], 0.29)]
    draw_predictions(images, annotations, detections, tmp_path / "sheet.png", threshold=0.3)
    assert not mask(tmp_path / "sheet.png", SKY).any()
    draw_predictions(images, annotations, detections, tmp_path / "sheet.png", threshold=0.2)
    assert mask(tmp_path / "sheet.png", SKY).any()


def test_equal_arguments_give_equal_bytes(tmp_path: Path) -> None:
    images, annotations = scene(14)
    detections = [found(10 + i % 14, 5 + 2 * (i % 2), [i, 20, 30, 30], 0.5) for i in range(60)]
    draw_predictions(images, annotations, detections, tmp_path / "a.png")
    draw_predictions(images[:12], annotations, detections[::-1], tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes(), "at most 12, in any detection order"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_awkward_content_is_drawn(count: int, tmp_path: Path) -> None:
    names = ("new\nline", "x" * 300, "", *(f"class {i}" for i in range(60)))
    images, annotations = scene(count, names)
    detections = [
        found(10, 5, [-50, -50, 500, 500], 1.0),
        found(10, 7, [150, 110, 0, 0], 0.9),
        found(10, 9, [500, 500, 10, 10], 0.8),
    ]
    draw_predictions(images, annotations, detections, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width >= 560 and sheet.height < 2000


def test_pictures_of_other_shapes_keep_their_proportions(tmp_path: Path) -> None:
    record = ImageRecord(1, "tall.png", 50, 500)
    truth = Annotations((record,), (Box(0, 1, (0, 0, 50, 500), 5),), {5: "cat"})
    draw_predictions([("tall.png", encoded(50, 500))], truth, [], tmp_path / "sheet.png")
    rows, columns = (np.flatnonzero(mask(tmp_path / "sheet.png", ORANGE).any(axis=axis)) for axis in (1, 0))
    assert (rows[-1] - rows[0]) / (columns[-1] - columns[0]) == pytest.approx(10, rel=0.1)
