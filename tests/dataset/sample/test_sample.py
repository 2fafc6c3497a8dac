"""The sample dataset: the seed format, exact boxes, and the same bytes for the same seed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from boxwright.config import SPLITS
from boxwright.dataset.sample import scene as sample_scene
from boxwright.dataset.sample.generate import SampleSummary, generate_sample
from boxwright.errors import UsageError


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleSummary:
    return generate_sample(tmp_path_factory.mktemp("sample") / "parts", images=80, seed=3)


def content(folder: Path, split: str) -> dict[str, Any]:
    return json.loads((folder / split / "annotations.json").read_text())


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_splits_have_the_asked_shares(sample: SampleSummary) -> None:
    assert sample.images == {"training": 56, "validation": 12, "test": 12}
    for split in SPLITS:
        listed = content(sample.folder, split)
        assert len(listed["images"]) == sample.images[split]
        assert len(listed["annotations"]) == sample.boxes[split] > 0


def test_no_picture_is_in_two_splits(sample: SampleSummary) -> None:
    pictures = list(sample.folder.rglob("*.jpg"))
    assert len(pictures) == len({path.name for path in pictures}) == len(set(digests(sample.folder).values())) - 3
    ids = [image["id"] for split in SPLITS for image in content(sample.folder, split)["images"]]
    assert len(set(ids)) == 80


@pytest.mark.parametrize("split", SPLITS)
def test_every_record_matches_its_picture(sample: SampleSummary, split: str) -> None:
    listed = content(sample.folder, split)
    images = {image["id"]: image for image in listed["images"]}
    for image in images.values():
        with Image.open(sample.folder / split / "images" / image["file_name"]) as picture:
            assert (picture.width, picture.height, picture.mode) == (image["width"], image["height"], "RGB")
            assert (320, 240) <= picture.size <= (480, 360)
    for annotation in listed["annotations"]:
        xmin, ymin, xmax, ymax = annotation["bbox"]
        image = images[annotation["image_id"]]
        assert 0 <= xmin < xmax <= image["width"] and 0 <= ymin < ymax <= image["height"]


def test_the_content_is_varied(sample: SampleSummary) -> None:
    listed = content(sample.folder, "training")
    assert {category["id"]: category["name"] for category in listed["categories"]} == {
        1: "bolt", 2: "nut", 3: "washer"
    }  # fmt: skip
    per_class = np.bincount([annotation["category_id"] for annotation in listed["annotations"]])[1:]
    assert per_class.min() >= 20
    filled = {annotation["image_id"] for annotation in listed["annotations"]}
    assert 0 < len(listed["images"]) - len(filled) < 20
    boxes = np.array([annotation["bbox"] for annotation in listed["annotations"]])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert np.percentile(sides, 97) / np.percentile(sides, 3) > 4


def test_boxes_are_the_extent_of_what_is_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    laid: list[tuple[int, int, np.ndarray]] = []
    draw = sample_scene._sprite

    def spy(*arguments: Any) -> Any:
        sprite = draw(*arguments)
        laid.append((arguments[1], 0, _in_frame(sprite)))
        return sprite

    def _in_frame(sprite: Any) -> np.ndarray:
        frame = np.zeros((1200, 1200), bool)
        rows, columns = np.nonzero(sprite.alpha > 0.5)
        frame[rows + sprite.top + 400, columns + sprite.left + 400] = True
        return frame

    monkeypatch.setattr(sample_scene, "_sprite", spy)
    scene = sample_scene.draw_scene(np.random.default_rng(11))
    window = (slice(400, 400 + scene.image.height), slice(400, 400 + scene.image.width))
    expected = []
    for position, (kind, _, mask) in enumerate(laid):
        above = np.any([other for *_, other in laid[position + 1 :]] or [np.zeros_like(mask)], axis=0)
        rows, columns = np.nonzero((mask & ~above)[window])
        if kind >= 0 and len(rows) >= 0.35 * mask.sum() and min(np.ptp(rows), np.ptp(columns)) >= 5:
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            expected.append((kind, tuple(int(side) for side in box)))
    assert expected and list(scene.objects) == expected


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        generate_sample(tmp_path / name, images=6, seed=seed)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    pictures = [set(digests(tmp_path / name).values()) for name in "ac"]
    assert not pictures[0] & pictures[1]


def test_an_empty_folder_is_taken_and_a_full_one_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    generate_sample(out, images=3)
    before = digests(out)
    with pytest.raises(UsageError, match="empty"):
        generate_sample(out, images=3, seed=1)
    assert digests(out) == before


def test_a_broken_run_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        generate_sample(tmp_path / "out", images=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("images", "seed", "message"), [(2, 0, "at least 3"), (3, -1, "seed=-1")])
def test_wrong_numbers_are_refused(tmp_path: Path, images: int, seed: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        generate_sample(tmp_path / "out", images=images, seed=seed)
    assert not (tmp_path / "out").exists()
