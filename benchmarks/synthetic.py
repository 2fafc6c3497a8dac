"""Made-up datasets of any size, the same for every run: annotations of COCO's statistics, and pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

BOXES_PER_IMAGE = 860 / 118  # COCO 2017's
CLASSES = 80
COMMON_SIZES = ((640, 480), (480, 640), (640, 427))
DIFFERENT = 300


def pictured_set(folder: Path, cache: Path, images: int) -> Path:
    """A folder with `images/` and `annotations.json` of COCO's statistics, whose pictures are all of COCO's size."""
    (folder / "images").mkdir(parents=True)
    for number, data in enumerate(different_pictures(cache, images)):
        (folder / "images" / f"{number:012d}.jpg").write_bytes(data)
    with (folder / "annotations.json").open("w") as file:
        file.writelines(_coco_file(images, round(images * BOXES_PER_IMAGE), sizes=[(640, 480)]))
    return folder


def annotated_set(cache: Path, images: int) -> Path:
    """A folder that Boxwright, pycocotools and datumaro read: one COCO file under two names, and `images/`.

    The images are there by name only, with one byte each: annotation rules see the listing.

    Args:
        cache: folder for sets; one that is complete is used again.
        images: how many.
    """
    folder = cache / f"annotated-{images}"
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for i in range(images):
        (folder / "images" / f"{i:012d}.jpg").write_bytes(b"\xff")
    with (folder / "annotations.json").open("w") as file:
        file.writelines(_coco_file(images, round(images * BOXES_PER_IMAGE)))
    os.link(folder / "annotations.json", folder / "annotations" / "instances_train.json")
    (folder / "done").touch()
    return folder


def _coco_file(images: int, boxes: int, sizes: Sequence[tuple[int, int]] = COMMON_SIZES) -> Iterator[str]:
    rng = np.random.default_rng(0)
    size = np.array(sizes)[rng.integers(len(sizes), size=images)]
    yield '{"info": {"year": 2017}, "licenses": [], "images": ['
    for i, (width, height) in enumerate(size.tolist()):
        yield (
            f'{", " if i else ""}{{"license": 3, "file_name": "{i:012d}.jpg", "height": {height}, "width": {width}, '
            f'"date_captured": "2013-11-14 11:18:45", "id": {i}}}'
        )
    owner = rng.integers(images, size=boxes)
    # Boxes of COCO: half are smaller than a tenth of their image's side, a few fill it.
    share = np.clip(rng.lognormal(np.log(0.11), 0.9, (boxes, 2)), 0.008, 0.9)
    extent = np.round(share * size[owner], 2)
    corner = np.floor(rng.random((boxes, 2)) * (size[owner] - extent) * 100) / 100
    # The most frequent class has some fifty times the boxes of the rarest.
    popularity = 1 / (np.arange(CLASSES) + 1.5)
    category = rng.choice(CLASSES, boxes, p=popularity / popularity.sum()) + 1
    rows = zip(owner.tolist(), corner.tolist(), extent.tolist(), category.tolist(), strict=True)
    yield '], "annotations": ['
    for i, (image, (x, y), (width, height), kind) in enumerate(rows):
        yield (
            f'{", " if i else ""}{{"segmentation": [], "area": {width * height:.4f}, "iscrowd": 0, '
            f'"image_id": {image}, "bbox": [{x:.2f}, {y:.2f}, {width:.2f}, {height:.2f}], "category_id": {kind}, '
            f'"id": {i + 1}}}'
        )
    names = (f'{{"supercategory": "thing", "id": {i}, "name": "class {i}"}}' for i in range(1, CLASSES + 1))
    yield f'], "categories": [{", ".join(names)}]}}'


def pictures(cache: Path, count: int) -> Path:
    """A folder with pictures of COCO's size and weight, every tenth a PNG and the others JPEG, all different.

    Args:
        cache: folder for sets; one that is complete is used again.
        count: how many.
    """
    folder = cache / f"photographs-{count}"
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    # Drawn from a few large ones: photographs in small and large structure, and quick to make.
    grounds = [_ground(rng) for _ in range(8)]
    for i in range(count):
        left, top = rng.integers(0, 900, 2).tolist()
        picture = grounds[i % len(grounds)].crop((left, top, left + 640, top + 480))
        kind = {"suffix": ".png", "compress_level": 4} if i % 10 == 0 else {"suffix": ".jpg", "quality": 92}
        picture.save(folder / "images" / f"{i:06d}{kind.pop('suffix')}", **kind)
    (folder / "done").touch()
    return folder


def different_pictures(cache: Path, count: int) -> Iterator[bytes]:
    """JPEG files of COCO's size, of a few hundred pictures, no two with the same bytes."""
    originals = [path.read_bytes() for path in sorted((pictures(cache, DIFFERENT) / "images").glob("*.jpg"))]
    for number in range(count):
        # What follows the end of a JPEG is read by nobody, and makes its bytes its own.
        yield originals[number % len(originals)] + number.to_bytes(8, "big")


def _ground(rng: np.random.Generator) -> Image.Image:
    noise = rng.normal(0, 14, (1500, 1600, 3))
    for cells, strength in ((8, 90), (40, 40), (200, 25)):
        coarse = Image.fromarray(rng.integers(0, 255, (cells, cells, 3), dtype=np.uint8))
        noise += (np.asarray(coarse.resize((1600, 1500), Image.Resampling.BICUBIC), float) - 128) * strength / 128
    return Image.fromarray(np.clip(128 + noise, 0, 255).astype(np.uint8)).filter(ImageFilter.SMOOTH)
