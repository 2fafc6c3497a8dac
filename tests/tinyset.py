"""Small real datasets, and ways to break them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]


def picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """A smooth picture that no other seed gives."""
    small = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def document(count: int = 3, first: int = 0) -> dict[str, Any]:
    """Annotations of `count` images of 40 x 30 pixels, each with a cat and a dog."""
    images = [
        {"id": 10 + i, "file_name": f"p{i}.{'png' if i % 2 else 'jpg'}", "width": 40, "height": 30}
        for i in range(first, first + count)
    ]
    boxes = [
        {"image_id": image["id"], "bbox": box, "category_id": category}
        for image in images
        for box, category in (([1, 2, 20, 25], 3), ([10.5, 0, 40, 30], 7))
    ]
    return {"images": images, "annotations": boxes, "categories": [dict(category) for category in CATEGORIES]}


def write(folder: Path, content: dict[str, Any] | None = None, name: str = "annotations.json") -> Path:
    """Writes the annotations and a picture for each image they name."""
    content = document() if content is None else content
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    for image in content["images"]:
        path = folder / "images" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(image["id"], image["width"], image["height"]).save(path)
    return folder
