"""A model that is quick to load and sees something definite: where a red and a blue rectangle are."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

LABELS = ("red thing", "blue <thing> ☃")
CATEGORY_IDS = (7, 3)
MODEL_ID, SIDE = "finder", 400
RED, BLUE = (220, 20, 20), (20, 20, 220)
# A scene of 200 x 100 pixels: a red and a blue rectangle, [xmin, ymin, xmax, ymax] in pixels.
RED_BOX, BLUE_BOX = (20, 10, 80, 40), (110, 50, 190, 90)


def scene(width: int = 200, height: int = 100, ground: tuple[int, int, int] = (230, 230, 230)) -> Image.Image:
    """The two rectangles, stretched to a size."""
    picture = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(picture)
    for box, colour in ((RED_BOX, RED), (BLUE_BOX, BLUE)):
        xmin, ymin, xmax, ymax = box
        sides = (xmin * width / 200, ymin * height / 100, xmax * width / 200 - 1, ymax * height / 100 - 1)
        draw.rectangle(sides, fill=colour)
    return picture


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}) | options)
    return buffer.getvalue()


def export_finder(folder: Path, red_score: float = 0.9, nan: bool = False, seconds: float = 0.0) -> None:
    """The files of a model of the tests' own family, by which serving builds it, and its sample.

    Args:
        folder: that gets them.
        red_score: the score of what is red; what is blue has 0.25.
        nan: whether that score is not a number.
        seconds: least time of a batch, whatever the machine.
    """
    from boxwright.model.store import ModelCard, build_detector, save_detector
    from boxwright.packaging.sample import Sample, SampleDetection

    card = ModelCard(model_id=MODEL_ID, image_size=SIDE, classes=LABELS, category_ids=CATEGORY_IDS)
    detector = build_detector(card)
    detector.settings.red_score.assign(float("nan") if nan else red_score)
    detector.settings.seconds.assign(seconds)
    save_detector(detector, card, folder)
    seen = zip(CATEGORY_IDS, (RED_BOX, BLUE_BOX), (red_score, 0.25), strict=True)
    detections = [
        SampleDetection(category_id=number, bbox=(x, y, right - x, bottom - y), score=score)
        for number, (x, y, right, bottom), score in seen
    ]
    Sample(image=encoded(scene(), "PNG"), width=200, height=100, detections=tuple(detections)).write(folder)


def write_facts(folder: Path, threshold: float | None = 0.5, card: dict[str, Any] | None = None) -> None:
    card = card or {"model_id": MODEL_ID, "image_size": SIDE, "classes": LABELS, "category_ids": CATEGORY_IDS}
    (folder / "model.json").write_text(json.dumps(card))
    metrics = {"split": "test", "metrics": {"AP": 0.5, "AP50": 0.75}, "per_class": {}}
    measured = metrics if threshold is None else metrics | {"threshold": threshold}
    (folder / "metrics.json").write_text(json.dumps(measured))


def write_dataset(folder: Path, count: int = 4) -> Path:
    """A dataset of scenes of growing brightness, on all of which the model finds both things."""
    (folder / "images").mkdir(parents=True)
    images, boxes = [], []
    for number in range(count):
        images.append({"id": number, "file_name": f"{number}.png", "width": SIDE, "height": SIDE})
        (folder / "images" / f"{number}.png").write_bytes(encoded(scene(SIDE, SIDE, (180 + 10 * number,) * 3), "PNG"))
        for category, (xmin, ymin, xmax, ymax) in zip(CATEGORY_IDS, (RED_BOX, BLUE_BOX), strict=True):
            box = [xmin * SIDE / 200, ymin * SIDE / 100, xmax * SIDE / 200, ymax * SIDE / 100]
            boxes.append({"image_id": number, "bbox": box, "category_id": category})
    categories = [{"id": number, "name": name} for number, name in zip(CATEGORY_IDS, LABELS, strict=True)]
    document = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder
