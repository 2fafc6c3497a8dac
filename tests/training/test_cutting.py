"""Examples in tiles: boxes lie where they lay, and what is left out is counted."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from boxwright.dataset.examples import decode_example, encode_example, read_records, write_record
from boxwright.images import Tiling
from boxwright.model.store import ModelCard
from boxwright.training.cutting import EMPTY_SHARE, CutFacts, cut_split

SIDE, TILE = 400, 100
SIDES = ("xmin", "ymin", "xmax", "ymax")
CARD = ModelCard(
    model_id="tiny", image_size=64, classes=("a", "b"), category_ids=(1, 2), resize="stretch",
    tiling=Tiling(size=TILE, overlap=0.2),
)  # fmt: skip
# Corners in pixels and label: of 64 pixels of input for 400 the second has 1.6.
BOXES = [((10, 20, 90, 90), 1), ((200, 200, 210, 210), 2), ((350, 0, 400, 40), 2)]


def split(folder: Path, kind: str = "PNG", images: int = 3) -> Path:
    """A shard of images, the last one without boxes, in which each pixel of a box has its label's colour."""
    path = folder / "examples-00000-of-00001.tfrecord"
    with path.open("wb") as file:
        for number in range(images):
            boxes = BOXES if number < images - 1 else []
            pixels = np.full((SIDE, SIDE, 3), 100, np.uint8)
            for (xmin, ymin, xmax, ymax), label in boxes:
                pixels[ymin:ymax, xmin:xmax] = 100 * label - 100
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, kind)
            found = {
                f"image/object/bbox/{side}": [box[place] / SIDE for box, _ in boxes] for place, side in enumerate(SIDES)
            }
            write_record(
                file,
                encode_example(
                    {
                        "image/encoded": ("bytes_list", [buffer.getvalue()]),
                        "image/format": ("bytes_list", [kind.lower()]),
                        "image/source_id": ("bytes_list", [str(number)]),
                        "image/height": ("int64_list", [SIDE]),
                        "image/width": ("int64_list", [SIDE]),
                        "image/object/class/label": ("int64_list", [label for _, label in boxes]),
                        **{name: ("float_list", values) for name, values in found.items()},
                    }
                ),
            )
    return path


def views(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("*.tfrecord")):
        with path.open("rb") as file:
            found += [decode_example(record) for record in read_records(file)]
    return found


def corners(view: dict[str, Any]) -> list[list[int]]:
    """`[xmin, ymin, xmax, ymax]` in pixels of the view."""
    sides = [view[f"image/object/bbox/{side}"] for side in SIDES]
    size = (view["image/width"] + view["image/height"]) * 2
    return [[round(value * edge) for value, edge in zip(box, size, strict=True)] for box in zip(*sides, strict=True)]


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cut")
    assert cut_split([split(folder)], 3, CARD, 0, folder / "views").images == CutFacts.read(folder / "views").views
    return folder / "views"


def test_boxes_lie_where_their_pixels_do(cut: Path) -> None:
    seen: Counter[int] = Counter()
    for view in views(cut):
        pixels = np.asarray(Image.open(io.BytesIO(view["image/encoded"][0])))
        assert pixels.shape == (view["image/height"][0], view["image/width"][0], 3)
        for (xmin, ymin, xmax, ymax), label in zip(corners(view), view["image/object/class/label"], strict=True):
            assert (pixels[ymin:ymax, xmin:xmax] == 100 * label - 100).all()
            seen[label] += 1
    assert set(seen) == {1, 2}


def test_all_boxes_are_learnt_somewhere_and_no_sliver_of_one_is(cut: Path) -> None:
    tiles = [view for view in views(cut) if view["image/width"][0] == TILE]
    areas = [(xmax - xmin) * (ymax - ymin) for view in tiles for xmin, ymin, xmax, ymax in corners(view)]
    assert min(areas) >= 0.3 * 100 and areas.count(100) >= 2
    sizes = {(xmax - xmin, ymax - ymin) for view in tiles for xmin, ymin, xmax, ymax in corners(view)}
    assert {(80, 70), (10, 10), (50, 40)} <= sizes


def test_whole_images_have_what_is_large_enough_in_them(cut: Path) -> None:
    whole = [view for view in views(cut) if view["image/width"][0] == SIDE]
    assert sorted(len(corners(view)) for view in whole) == [0, 2, 2]
    assert CutFacts.read(cut).boxes_left_to_tiles == 2


def test_some_tiles_without_boxes_are_learnt_too(cut: Path) -> None:
    facts = CutFacts.read(cut)
    assert facts.views == 3 + facts.tiles_with_boxes + facts.empty_tiles == len(views(cut))
    assert facts.empty_tiles == round(EMPTY_SHARE * facts.tiles_with_boxes)
    empty = [view for view in views(cut) if view["image/width"][0] == TILE and not view["image/object/class/label"]]
    assert len(empty) == facts.empty_tiles


def test_the_same_arguments_give_the_same_bytes_and_what_is_there_is_taken(cut: Path, tmp_path: Path) -> None:
    shard = split(tmp_path)
    cut_split([shard], 3, CARD, 0, tmp_path / "views")
    names = [path.name for path in sorted(cut.iterdir())]
    assert names == [path.name for path in sorted((tmp_path / "views").iterdir())]
    assert all((tmp_path / "views" / name).read_bytes() == (cut / name).read_bytes() for name in names)
    before = (tmp_path / "views" / names[1]).stat().st_mtime_ns
    cut_split([shard], 3, CARD, 0, tmp_path / "views")
    assert (tmp_path / "views" / names[1]).stat().st_mtime_ns == before
    other = cut_split(
        [shard], 3, CARD.model_copy(update={"tiling": Tiling(size=200, overlap=0)}), 0, tmp_path / "views"
    )
    assert {view["image/width"][0] for view in views(tmp_path / "views")} == {200, SIDE} and len(list(other)) == 1
    assert not list(tmp_path.glob("partial-*"))


def test_jpegs_stay_jpegs(tmp_path: Path) -> None:
    cut_split([split(tmp_path, "JPEG")], 3, CARD, 0, tmp_path / "views")
    assert {Image.open(io.BytesIO(view["image/encoded"][0])).format for view in views(tmp_path / "views")} == {"JPEG"}


def test_an_image_no_larger_than_a_tile_stays_as_it_is(tmp_path: Path) -> None:
    card = CARD.model_copy(update={"tiling": Tiling(size=SIDE, overlap=0.2)})
    cut_split([split(tmp_path)], 3, card, 0, tmp_path / "views")
    assert sorted(len(corners(view)) for view in views(tmp_path / "views")) == [0, 3, 3]
