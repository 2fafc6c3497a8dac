"""A class that comes later, in data that labels it alone: `python -m benchmarks.new_class OUT_DIR`.

On BCCD (`BOXWRIGHT_BCCD`) a parent learns red and white cells. Then the same images come with labels of platelets
alone, and training goes on from the parent with `on_class_change=extend` and with `keep`; `joint` learns all three from
the start. The table has AP of each class on the test images, which are labelled with all three: what is left of the old
classes, and what the new one reaches.

Each row is a process of its own and leaves OUT_DIR/NAME.json; what is there is not done again. `--only NAME` does one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from boxwright.config import ANNOTATIONS_FILE, RunConfig, parse_config
from boxwright.storage import write_json

ROOT = Path(__file__).resolve().parent.parent
NEW = "Platelets"
IMAGE_SIZE = 224
SPLITS = {"training": "train", "validation": "validation", "test": "test"}
ROWS = ("parent", "joint", "extend", "keep")
# Labels that each set of training images has.
LABELLED = {"parent": "old", "joint": "all", "extend": "new", "keep": "new"}


def datasets(out_dir: Path) -> None:
    """Writes BCCD three times: with labels of the old classes, of the new one, and of all; the test split has all."""
    source = Path(os.environ.get("BOXWRIGHT_BCCD", ROOT.parent / "shared" / "data" / "bccd"))
    for kind in ("old", "new", "all"):
        for split, folder in SPLITS.items():
            target = out_dir / "sets" / kind / split
            if target.exists():
                continue
            target.mkdir(parents=True)
            (target / "images").symlink_to((source / folder / "images").resolve())
            content = json.loads(_annotations(source / folder).read_text())
            names = {one["id"]: one["name"] for one in content["categories"]}
            known = {key for key, name in names.items() if kind == "all" or (name == NEW) == (kind == "new")}
            if kind == "old":
                content["categories"] = [one for one in content["categories"] if one["id"] in known]
            if kind == "old" or split != "test":
                content["annotations"] = [one for one in content["annotations"] if one["category_id"] in known]
            (target / ANNOTATIONS_FILE).write_text(json.dumps(content))


def _annotations(folder: Path) -> Path:
    """Without the boxes that validation refuses, where there is such a file."""
    clean = folder / "annotations.clean.json"
    return clean if clean.exists() else folder / ANNOTATIONS_FILE


def configuration(name: str, out_dir: Path, epochs: int) -> RunConfig:
    """The settings of a row."""
    splits = {split: str(out_dir / "sets" / LABELLED[name] / split) for split in SPLITS}
    hyperparameters = {"image_size": IMAGE_SIZE, "epochs": epochs, "validation_ap_epochs": 0}
    more = {"on_class_change": name} if name in ("extend", "keep") else {}
    return parse_config({**splits, **more, "output": "unused", "hyperparameters": hyperparameters})


def train(name: str, out_dir: Path, epochs: int) -> dict[str, Any]:
    """Trains and measures one row; returns its figures."""
    from benchmarks.accuracy import prepared
    from boxwright.dataset.annotations import load_annotations
    from boxwright.evaluation import category_ids_of
    from boxwright.evaluation.metrics import measure
    from boxwright.evaluation.predict import predict_split
    from boxwright.model.seeds import Seed, fetch_pretrained, write_seed
    from boxwright.model.store import MODEL_FILE, WEIGHTS_FILE, load_detector
    from boxwright.training.fine_tuning import fine_tune

    config, folder = configuration(name, out_dir, epochs), out_dir / "work" / name
    examples = prepared(config, out_dir / "prepared" / LABELLED[name])
    for part in ("seed", "model"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    if name in ("extend", "keep"):
        for file in (MODEL_FILE, WEIGHTS_FILE):
            shutil.copy(out_dir / "work" / "parent" / "model" / file, folder / "seed")
        write_seed(Seed(kind="incremental", model_id=config.model_id, origin="the parent"), folder / "seed")
    else:
        fetch_pretrained(config, folder / "seed")
    started = time.monotonic()
    fine_tune(config, examples, folder / "seed", folder / "model", folder / "checkpoints")
    seconds = time.monotonic() - started
    detector, card = load_detector(folder / "model")
    test = out_dir / "prepared" / LABELLED[name] / "examples" / "test"
    annotations = load_annotations(test / ANNOTATIONS_FILE)
    found = predict_split(detector, sorted(test.glob("*.tfrecord")), category_ids_of(card.classes, annotations))
    per_class = measure(annotations, found.detections).per_class
    return {"AP": {key: one.AP for key, one in per_class.items()}, "training_seconds": seconds}


def main() -> None:
    """Does what is not done yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--only", choices=ROWS)
    parser.add_argument(
        "--epochs", type=int, default=8, help="of each row (default: 8); another number, another OUT_DIR"
    )
    arguments = parser.parse_args()
    out_dir = arguments.out_dir.absolute()
    datasets(out_dir)
    for name in [arguments.only] if arguments.only else ROWS:
        if not (out_dir / f"{name}.json").exists():
            subprocess.run([sys.executable, "-c", _WORK, name, str(out_dir), str(arguments.epochs)], check=True)
    done = {name: json.loads(path.read_text()) for name in ROWS if (path := out_dir / f"{name}.json").exists()}
    classes = sorted({key for row in done.values() for key in row["AP"]})
    table = Table("training", *(f"AP of {name}" for name in classes), "seconds")
    for name, row in done.items():
        figures = ["-" if row["AP"].get(key) is None else f"{row['AP'][key]:.4f}" for key in classes]
        table.add_row(name, *figures, f"{row['training_seconds']:.0f}")
    Console().print(table)


def work(name: str, out_dir: str, epochs: str) -> None:
    """One row, in this process."""
    write_json(Path(out_dir) / f"{name}.json", train(name, Path(out_dir), int(epochs)))


_WORK = "import sys; from benchmarks.new_class import work; work(*sys.argv[1:])"

if __name__ == "__main__":
    main()
