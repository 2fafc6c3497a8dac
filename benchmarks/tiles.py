"""Small objects in large images: squeezed into the input, or through tiles: `python -m benchmarks.tiles OUT_DIR`.

Draws pictures of 2,048 x 2,048 pixels with discs, squares and triangles of 16 pixels, and trains the default model on
them, each training in a process of its own: `squeezed`, twice the epochs of the default, and with `tile_size`.
The table has AP on whole images, seconds of the training, and milliseconds of an image. Each leaves OUT_DIR/NAME.json;
what is there is not done again. `--only NAME` does one, `--table` prints what is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from rich.console import Console
from rich.table import Table

from boxwright.config import ANNOTATIONS_FILE, SPLITS, RunConfig, parse_config
from boxwright.storage import write_json

SIDE, OBJECT, OVERSAMPLE = 2048, 16, 4
IMAGES = {"training": 10, "validation": 2, "test": 6}
OBJECTS = 16
CLASSES = ("disc", "square", "triangle")
# Settings of each row. In tiles an image is some 29 records, so that the rows see about 400 and 860 pictures.
TRAININGS: dict[str, dict[str, Any]] = {
    "squeezed": {"epochs": 40},
    "tiles": {"epochs": 3, "tile_size": 320},
}


def specks(folder: Path, seed: int = 0) -> Path:
    """Draws the dataset; one that is complete is used again."""
    if (folder / "done").exists():
        return folder
    number = 0
    for split in SPLITS:
        (folder / split / "images").mkdir(parents=True, exist_ok=True)
        images, boxes = [], []
        for _ in range(IMAGES[split]):
            number += 1
            picture, found = _scene(np.random.default_rng([seed, number]))
            name = f"specks_{number:03d}.jpg"
            picture.save(folder / split / "images" / name, quality=92)
            images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
            boxes += [{"image_id": number, "category_id": kind + 1, "bbox": box} for kind, box in found]
        categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES, start=1)]
        content = {"images": images, "annotations": boxes, "categories": categories}
        (folder / split / ANNOTATIONS_FILE).write_text(json.dumps(content))
    (folder / "done").touch()
    return folder


def _scene(rng: np.random.Generator) -> tuple[Image.Image, list[tuple[int, list[float]]]]:
    """A cloudy ground with dark and bright specks, none of which touch, and noise."""
    coarse = Image.fromarray(rng.integers(60, 196, (24, 24, 3), dtype=np.uint8))
    picture = coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    found: list[tuple[int, list[float]]] = []
    while len(found) < OBJECTS:
        x, y = (float(value) for value in rng.uniform(0, SIDE - OBJECT, 2))
        if any(abs(x - box[0]) < 2 * OBJECT and abs(y - box[1]) < 2 * OBJECT for _, box in found):
            continue
        kind = int(rng.integers(len(CLASSES)))
        left, top = int(x), int(y)
        picture.paste(_colour(rng), (left, top, left + OBJECT, top + OBJECT), _mask(kind))
        found.append((kind, [float(left), float(top), float(left + OBJECT), float(top + OBJECT)]))
    blurred = picture.filter(ImageFilter.GaussianBlur(0.6))
    noisy = np.asarray(blurred, np.float32) + rng.normal(0, 6, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)), found


def _colour(rng: np.random.Generator) -> tuple[int, ...]:
    """Nearly black or nearly white: an outline alone says the class."""
    low = int(rng.integers(2)) * 200
    return tuple(rng.integers(low, low + 56, 3).tolist())


def _mask(kind: int) -> Image.Image:
    side = OBJECT * OVERSAMPLE
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    if CLASSES[kind] == "disc":
        draw.ellipse((0, 0, side - 1, side - 1), fill=255)
    elif CLASSES[kind] == "square":
        draw.rectangle((0, 0, side - 1, side - 1), fill=255)
    else:
        draw.polygon([(side / 2, 0), (side - 1, side - 1), (0, side - 1)], fill=255)
    return mask.resize((OBJECT, OBJECT), Image.Resampling.BOX)


def configuration(name: str, out_dir: Path) -> RunConfig:
    """The settings of a row."""
    splits = {split: str(out_dir / "specks" / split) for split in SPLITS}
    hyperparameters = {"validation_ap_epochs": 0, **TRAININGS[name]}
    return parse_config({**splits, "output": "unused", "hyperparameters": hyperparameters})


def train(name: str, out_dir: Path) -> dict[str, Any]:
    """Trains and measures one row; returns its figures."""
    from benchmarks.accuracy import prepared
    from boxwright.dataset.annotations import load_annotations
    from boxwright.evaluation.metrics import measure
    from boxwright.evaluation.predict import measure_speed, predict_split
    from boxwright.model.seeds import fetch_pretrained
    from boxwright.model.store import WEIGHTS_FILE, load_detector
    from boxwright.training.fine_tuning import fine_tune

    config = configuration(name, out_dir)
    examples, folder = prepared(config, out_dir / "prepared"), out_dir / "work" / name
    for part in ("seed", "model"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    fetch_pretrained(config, folder / "seed")
    started = time.monotonic()
    fine_tune(config, examples, folder / "seed", folder / "model", folder / "checkpoints")
    seconds = time.monotonic() - started
    detector, card = load_detector(folder / "model")
    shards = sorted((examples / "test").glob("*.tfrecord"))
    found = predict_split(detector, shards, card.category_ids)
    measured = measure(load_annotations(examples / "test" / ANNOTATIONS_FILE), found.detections).model_dump()
    speed = measure_speed(detector, shards, found, folder / "model" / WEIGHTS_FILE)
    return {
        "AP": measured["AP"],
        "AP50": measured["AP50"],
        "per_class": measured["per_class"],
        "training_seconds": seconds,
        "image_ms": speed.latency_ms,
    }


def main() -> None:
    """Does what is not done yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--only", choices=TRAININGS)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    out_dir = arguments.out_dir.absolute()
    results = {name: out_dir / f"{name}.json" for name in TRAININGS}
    if not arguments.table:
        specks(out_dir / "specks")
        for name in [arguments.only] if arguments.only else TRAININGS:
            if not results[name].exists():
                subprocess.run([sys.executable, "-c", _WORK, name, str(out_dir)], check=True)
    table = Table("images", "AP", "AP50", "training, seconds", "an image, ms")
    for name, path in results.items():
        if path.exists():
            row = json.loads(path.read_text())
            figures = [f"{row[key]:.4f}" for key in ("AP", "AP50")]
            table.add_row(name, *figures, *(f"{row[key]:.0f}" for key in ("training_seconds", "image_ms")))
    Console().print(table)


def work(name: str, out_dir: Path) -> None:
    """One row, in this process."""
    write_json(out_dir / f"{name}.json", train(name, out_dir))


_WORK = "import sys; from pathlib import Path; from benchmarks.tiles import work; work(sys.argv[1], Path(sys.argv[2]))"

if __name__ == "__main__":
    main()
