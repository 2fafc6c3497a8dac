"""A small made-up dataset of workbench parts, for a first run and for tests, with exact boxes."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boxwright.config import ANNOTATIONS_FILE, SPLITS
from boxwright.dataset.sample.scene import CLASSES, Scene, draw_scene
from boxwright.errors import UsageError

MIN_IMAGES = 3
_HELD_OUT = 0.15
# One picture in so many holds no object: a detector has to learn to stay silent.
_NEGATIVE_EVERY = 12
_JPEG_QUALITY = 88


@dataclass(frozen=True)
class SampleSummary:
    """Counts of what was written.

    Attributes:
        folder: the dataset's folder; each split is a folder in it.
        images: pictures of each split.
        boxes: annotated objects of each split.
        classes: class names in the order of their category ids (1, 2, 3).
    """

    folder: Path
    images: dict[str, int]
    boxes: dict[str, int]
    classes: tuple[str, ...]


def generate_sample(out_dir: Path, images: int = 200, seed: int = 0) -> SampleSummary:
    """Draws pictures of bolts, nuts and washers and writes training/, validation/ and test/ (70/15/15).

    Each split has images/*.jpg and annotations.json with boxes [xmin, ymin, xmax, ymax] in pixels around what is
    visible of each object; objects that are mostly hidden are not annotated. The same arguments give the same
    bytes. `out_dir` appears whole or not at all.

    Raises:
        UsageError: `out_dir` is a file or not empty, `images` is below 3, or `seed` is negative.
    """
    _check(out_dir, images, seed)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    counts = _split_counts(images)
    boxes, first = {}, 0
    with tempfile.TemporaryDirectory(prefix=f".{out_dir.name}-", dir=out_dir.parent) as scratch:
        # A folder of its own inside: mkdtemp's is private to its owner, the dataset is not.
        whole = Path(scratch) / "sample"
        for split, count in counts.items():
            boxes[split] = _write_split(whole / split, first, count, seed)
            first += count
        _publish(whole, out_dir)
    return SampleSummary(out_dir, counts, boxes, CLASSES)


def _check(out_dir: Path, images: int, seed: int) -> None:
    if out_dir.exists() and not (out_dir.is_dir() and not any(out_dir.iterdir())):
        raise UsageError(f"{out_dir} is not empty; choose a new or an empty folder")
    if images < MIN_IMAGES:
        raise UsageError(f"images={images}: at least {MIN_IMAGES} are needed, one for each of {', '.join(SPLITS)}")
    if seed < 0:
        raise UsageError(f"seed={seed}: expected 0 or a positive whole number")


def _split_counts(images: int) -> dict[str, int]:
    held_out = max(1, round(images * _HELD_OUT))
    return dict(zip(SPLITS, (images - 2 * held_out, held_out, held_out), strict=True))


def _write_split(folder: Path, first: int, count: int, seed: int) -> int:
    """Writes pictures `first` to `first + count` of the dataset; returns how many boxes they have."""
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for position in range(count):
        number = first + position + 1
        # Seeded by its number, a picture does not depend on how many others there are.
        rng = np.random.default_rng([seed, number])
        scene = draw_scene(rng, with_objects=position % _NEGATIVE_EVERY != _NEGATIVE_EVERY - 1)
        name = f"part_{number:05d}.jpg"
        scene.image.save(folder / "images" / name, quality=_JPEG_QUALITY)
        images.append({"file_name": name, "height": scene.image.height, "width": scene.image.width, "id": number})
        annotations.extend(_records(scene, number))
    categories = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / ANNOTATIONS_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return len(annotations)


def _records(scene: Scene, image_id: int) -> list[dict[str, Any]]:
    return [{"image_id": image_id, "bbox": list(box), "category_id": kind + 1} for kind, box in scene.objects]


def _publish(whole: Path, out_dir: Path) -> None:
    try:
        os.replace(whole, out_dir)
    except OSError as error:
        raise UsageError(f"{out_dir} could not be created ({error.strerror}); choose another folder") from None
