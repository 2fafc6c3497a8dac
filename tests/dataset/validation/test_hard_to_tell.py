"""Classes that are too small at the model's input for what tells them from others of their size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boxwright.config import parse_config
from boxwright.dataset.validation.findings import Finding
from boxwright.dataset.validation.validate import examine

Sizes = dict[str, list[tuple[float, float]]]


def hard(tmp_path: Path, sizes: Sizes, input_size: int, **settings: Any) -> list[Finding]:
    """What the rule finds in images of 2000 x 1000 with boxes of these widths and heights in pixels by class name."""
    names = {name: number for number, name in enumerate(sizes, start=1)}
    images, boxes = [], []
    for name, of_class in sizes.items():
        for width, height in of_class:
            images.append({"id": len(images) + 1, "file_name": f"{len(images)}.jpg", "width": 2000, "height": 1000})
            boxes.append(
                {"image_id": len(images), "category_id": names[name], "bbox": [10, 10, 10 + width, 10 + height]}
            )
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    for image in images:
        (folder / "images" / str(image["file_name"])).write_bytes(b"x")
    categories = [{"id": number, "name": name} for name, number in names.items()]
    document = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(document))
    config = parse_config({"training": str(folder), "output": str(tmp_path / "o"), "data_validation": settings})
    return [found for found in examine(config, None, input_size).findings if found.rule == "class_hard_to_tell"]


ROOKS: Sizes = {"rook": [(100, 100)] * 5, "bishop": [(110, 120)] * 5}


def test_small_classes_of_like_size_are_hard_to_tell(tmp_path: Path) -> None:
    rook, bishop = hard(tmp_path, ROOKS, 320)
    assert rook.severity == "warning" and rook.value == {"id": 1, "name": "rook", "boxes": 5}
    assert rook.split == "training" and (rook.list, rook.index) == ("categories", 0)
    # 100 of 2000 pixels across are 16 of 320.
    assert rook.advice.startswith(
        "half of its 5 boxes in training are at most 16 pixels across at image_size=320 (16 x 32 in the middle), and "
        "'bishop' has boxes of like size; twice the image_size makes that 32; set a larger image_size"
    )
    assert bishop.value["name"] == "bishop"


def test_a_larger_input_shows_their_marks(tmp_path: Path) -> None:
    assert hard(tmp_path, ROOKS, 640) == []


@pytest.mark.parametrize(
    "sizes",
    [
        {"rook": [(100, 100)] * 5},
        {"platelet": [(100, 100)] * 5, "cell": [(300, 250)] * 5},
        {"pole": [(30, 300)] * 5, "cat": [(30, 100)] * 5},
        {"rook": [(100, 100), (400, 400), (500, 400)], "bishop": [(420, 400)] * 3},
        {"rook": [(100, 100)] * 2, "empty": []},
    ],
    ids=["one class", "told by size", "told by shape", "mostly large", "nothing like it"],
)
def test_what_size_tells_or_what_is_mostly_large_is_not(tmp_path: Path, sizes: Sizes) -> None:
    assert hard(tmp_path, sizes, 320) == []


def test_the_bound_and_the_severity_are_settings(tmp_path: Path) -> None:
    assert hard(tmp_path / "a", ROOKS, 320, look_alike_pixels=16) == []
    assert [one.value["name"] for one in hard(tmp_path / "b", ROOKS, 320, look_alike_pixels=17)] == ["rook"]
    assert hard(tmp_path / "c", ROOKS, 320, severities={"class_hard_to_tell": "off"}) == []
    assert hard(tmp_path / "d", ROOKS, 320, severities={"class_hard_to_tell": "error"})[0].severity == "error"


def test_boxes_that_are_no_boxes_have_no_size(tmp_path: Path) -> None:
    broken = {"rook": [*ROOKS["rook"], (-5, 20), (9000, 20)], "bishop": ROOKS["bishop"]}
    assert len(hard(tmp_path, broken, 320)) == 2
