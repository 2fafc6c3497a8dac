"""Cuts the examples of a split into what a model with tiles looks at: the whole images, and their tiles as images."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.examples import CheckedShards, write_record
from boxwright.images import Tiling, open_image, windows
from boxwright.model import ModelCard
from boxwright.storage import StoredRecord
from boxwright.training.records import LABELS, TEXTS, Example, boxes_of, encoded, examples_of, with_boxes

log = logging.getLogger("boxwright.training")
# A box of which less is left in a tile is not learnt there, nor in what augmentation crops.
MIN_VISIBLE = 0.3
# Shorter side, in pixels of the input, below which a box of the whole image is left to the tiles.
LEAST_SIDE = 4.0
# Tiles without boxes that are learnt from, as a share of those with boxes; one at least.
EMPTY_SHARE = 0.25
_VIEWS_A_SHARD = 512
_JPEG = {"quality": 95, "subsampling": 0}
_PNG = {"compress_level": 1}


class CutFacts(StoredRecord):
    """The content of `cut.json`: what a folder of cut examples was made from, and what it holds.

    Attributes:
        tiling, image_size, keep_aspect, seed: that it was cut by.
        images: of the split.
        views: records that were written: images, tiles with boxes, and some of those without.
        tiles_with_boxes, empty_tiles: of the records.
        boxes_left_to_tiles: boxes that the whole images are too small for.
    """

    FILE = "cut.json"
    ADVICE = "remove its folder to cut the examples again"

    tiling: Tiling
    image_size: int
    keep_aspect: bool
    seed: int
    images: int
    views: int = 0
    tiles_with_boxes: int = 0
    empty_tiles: int = 0
    boxes_left_to_tiles: int = 0


@dataclass(frozen=True)
class _View:
    """A record to write: a window of an image, `[ymin, xmin, ymax, xmax]` in pixels, and the rows of its boxes."""

    place: tuple[int, int, int, int]
    rows: NDArray[np.intp]
    is_whole: bool


def cut_split(shards: Sequence[Path], images: int, card: ModelCard, seed: int, out_dir: Path) -> CheckedShards:
    """Writes the views of a split, or finds them whole from an earlier call; the same arguments give the same bytes.

    Args:
        shards: TFRecord files of the split.
        images: that they hold.
        card: of the model, with `tiling`.
        seed: that tiles without boxes are drawn by.
        out_dir: folder of the views.
    """
    assert card.tiling is not None
    keep_aspect = card.resize == "letterbox"
    plan = CutFacts(tiling=card.tiling, image_size=card.image_size, keep_aspect=keep_aspect, seed=seed, images=images)
    if (out_dir / CutFacts.FILE).exists():
        facts = CutFacts.read(out_dir)
        if facts.model_copy(update=_counts(plan)) == plan:
            return CheckedShards(sorted(out_dir.glob("*.tfrecord")), facts.views)
        shutil.rmtree(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix="partial-", dir=out_dir.parent))
    facts = _cut(shards, plan, temporary)
    facts.write(temporary)
    os.replace(temporary, out_dir)
    log.info(
        "%d images of %s are cut into tiles of %d px: %d tiles with boxes, %d of those without, and the whole images, "
        "in which %d boxes are too small to be learnt",
        images, out_dir.name, plan.tiling.size, facts.tiles_with_boxes, facts.empty_tiles, facts.boxes_left_to_tiles,
    )  # fmt: skip
    return CheckedShards(sorted(out_dir.glob("*.tfrecord")), facts.views)


def _counts(facts: CutFacts) -> dict[str, int]:
    return facts.model_dump(include={"views", "tiles_with_boxes", "empty_tiles", "boxes_left_to_tiles"})


def _cut(shards: Sequence[Path], plan: CutFacts, folder: Path) -> CutFacts:
    chosen, facts = _choose([_views(example, plan) for example in examples_of(shards)], plan)
    count = max(1, facts.views // _VIEWS_A_SHARD)
    number = 0
    with ExitStack() as stack, ThreadPoolExecutor(_cores()) as pool:
        names = [folder / f"examples-{place:05d}-of-{count:05d}.tfrecord" for place in range(count)]
        files = [stack.enter_context(name.open("wb")) for name in names]
        # Some images at a time, whose tiles are in memory.
        pairs = zip(examples_of(shards), chosen, strict=True)
        while some := list(islice(pairs, 2 * _cores())):
            for record in chain.from_iterable(pool.map(lambda pair: list(_written(*pair)), some)):
                write_record(files[number % count], record)
                number += 1
    return facts


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _views(example: Example, plan: CutFacts) -> tuple[str, list[_View], int]:
    """The image's id, all its views, and the number of its boxes that the whole is too small for."""
    height, width = int(example["image/height"][0]), int(example["image/width"][0])
    places, boxes = windows(height, width, plan.tiling), boxes_of(example) * [height, width, height, width]
    low, high = np.maximum(boxes[None, :, :2], places[:, None, :2]), np.minimum(boxes[None, :, 2:], places[:, None, 2:])
    shown = np.clip(high - low, 0, None).prod(axis=-1)
    is_learnt = shown >= MIN_VISIBLE * np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=-1), 1e-9)
    longer = max(height, width)
    scale = plan.image_size / np.array([longer, longer] if plan.keep_aspect else [height, width])
    left = np.zeros(len(boxes), bool)
    if len(places) > 1:
        left = ((boxes[:, 2:] - boxes[:, :2]) * scale).min(axis=1) < LEAST_SIDE
        is_learnt[0] &= ~left
    views = [
        _View(tuple(place), np.flatnonzero(learnt), number == 0)
        for number, (place, learnt) in enumerate(zip(places.tolist(), is_learnt, strict=True))
    ]
    return str(example["image/source_id"][0]), views, int(left.sum())


def _choose(found: Sequence[tuple[str, list[_View], int]], plan: CutFacts) -> tuple[list[list[_View]], CutFacts]:
    """Of each image the views that are written: all but most of the tiles without boxes."""

    def drawn(image_id: str, view: _View) -> str:
        return hashlib.sha256(f"{plan.seed}:{image_id}:{view.place}".encode()).hexdigest()

    tiles = [(drawn(name, view), view) for name, views, _ in found for view in views if not view.is_whole]
    filled = sum(len(view.rows) > 0 for _, view in tiles)
    empty = sorted(key for key, view in tiles if not len(view.rows))
    empty = empty[: max(1, round(EMPTY_SHARE * filled))]
    kept = set(empty)
    chosen = [
        [view for view in views if view.is_whole or len(view.rows) or drawn(name, view) in kept]
        for name, views, _ in found
    ]
    counts = {
        "views": sum(map(len, chosen)),
        "tiles_with_boxes": filled,
        "empty_tiles": len(empty),
        "boxes_left_to_tiles": sum(left for *_, left in found),
    }
    return chosen, plan.model_copy(update=counts)


def _written(example: Example, views: Sequence[_View]) -> Iterator[bytes]:
    """The records of an image's views."""
    kind, data = example["image/format"][0], example["image/encoded"][0]
    height, width = int(example["image/height"][0]), int(example["image/width"][0])
    boxes = boxes_of(example) * [height, width, height, width]
    image = None
    for view in views:
        if not view.is_whole:
            image = image or open_image(io.BytesIO(data)).convert("RGB")
        pixels = data if view.is_whole else _encoded(image, view.place, is_png=kind == b"png")
        yield _record(example, view, boxes, pixels)


def _encoded(image: Any, place: tuple[int, int, int, int], is_png: bool) -> bytes:
    ymin, xmin, ymax, xmax = place
    buffer = io.BytesIO()
    image.crop((xmin, ymin, xmax, ymax)).save(buffer, "PNG" if is_png else "JPEG", **(_PNG if is_png else _JPEG))
    return buffer.getvalue()


def _record(example: Example, view: _View, boxes: NDArray[np.float64], pixels: bytes) -> bytes:
    """An example with the pixels of a view, and with its boxes cut at the view's edges."""
    low, size = np.array(view.place[:2]), np.array(view.place[2:]) - view.place[:2]
    shares = np.clip((boxes[view.rows] - np.tile(low, 2)) / np.tile(size, 2), 0, 1)
    labels, texts = ([example.get(name, [])[row] for row in view.rows if example.get(name)] for name in (LABELS, TEXTS))
    shown: dict[str, list[Any]] = {
        "image/encoded": [pixels],
        "image/height": [int(size[0])],
        "image/width": [int(size[1])],
    }
    return encoded({**with_boxes(example, shares, labels, texts), **shown})
