"""How well the default model learns, beside the bare KerasHub detector: `python -m benchmarks.accuracy OUT_DIR`.

Trainings, each in a process of its own, one after the other, all at 320 x 320 from the same ImageNet weights:

- Boxwright with its defaults, unchanged, seeds 0, 1, 2, on five datasets: BCCD (blood cells, `BOXWRIGHT_BCCD`), the
  sample set (`boxwright sample`), `benchmarks.signs`, which differs from both in size, classes and scale of boxes,
  `benchmarks.prints`, whose classes share one outline, and chess (`BOXWRIGHT_CHESS`: small pieces that look alike);
- the same with the default of earlier versions, `retinanet-efficientnet-lite0-320`;
- `keras_hub.models.RetinaNetObjectDetector` as it comes: its own anchors, heads, losses and optimizer, batch
  normalisation learning, no augmentation; the same images, batch size and passes.

Both are measured by COCO's AP on the validation images while they train and, once, at the end on the test images.
Each training leaves OUT_DIR/results/NAME.json; what is there is not done again, and one that was cut off goes on from
its last epoch (Boxwright) or starts again (KerasHub). `--table` prints what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.prints import prints
from benchmarks.signs import signs
from boxwright.config import RunConfig, parse_config
from boxwright.dataset.examples import ExamplesSummary
from boxwright.storage import write_json

ROOT = Path(__file__).resolve().parent.parent
SEEDS = (0, 1, 2)
SAMPLE_IMAGES = 200
MEASURE_EVERY = 4


@dataclass(frozen=True)
class Training:
    """One row's work."""

    dataset: str
    system: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.dataset}-{self.system}-{self.seed}"


# What is worth most comes first: a run may be cut off.
TRAININGS = (
    Training("bccd", "boxwright", 0),
    Training("bccd", "kerashub", 0),
    Training("bccd", "boxwright", 1),
    Training("bccd", "boxwright", 2),
    Training("sample", "boxwright", 0),
    Training("signs", "boxwright", 0),
    Training("prints", "boxwright", 0),
    Training("chess", "boxwright", 0),
    *(Training(dataset, "retinanet", 0) for dataset in ("bccd", "sample", "signs", "prints", "chess")),
    Training("sample", "kerashub", 0),
    Training("signs", "kerashub", 0),
    *(Training("bccd", "kerashub", seed) for seed in SEEDS[1:]),
    *(Training(dataset, "boxwright", seed) for seed in SEEDS[1:] for dataset in ("sample", "signs", "prints", "chess")),
)


def configuration(dataset: str, seed: int, folder: Path) -> RunConfig:
    """Boxwright's defaults on a dataset."""
    names: dict[str, str] = {split: split for split in ("training", "validation", "test")}
    settings: dict[str, Any] = {}
    if dataset in ("bccd", "chess"):
        root = Path(os.environ.get(f"BOXWRIGHT_{dataset.upper()}", ROOT.parent / "shared" / "data" / dataset))
        names["training"] = "train"
        if dataset == "bccd":
            settings["annotations_file"] = "annotations.clean.json"
    elif dataset == "sample":
        root = folder / "sample"
        if not root.exists():
            from boxwright.dataset.sample.generate import generate_sample

            generate_sample(root, images=SAMPLE_IMAGES, seed=0)
    else:
        root = {"signs": signs, "prints": prints}[dataset](folder / dataset)
    splits = {split: str(root / name) for split, name in names.items()}
    hyperparameters = {"seed": seed, "validation_ap_epochs": MEASURE_EVERY}
    return parse_config({**splits, **settings, "output": "unused", "hyperparameters": hyperparameters})


def prepared(config: RunConfig, folder: Path) -> Path:
    """The examples of a dataset, as a run's first steps make them."""
    from boxwright.dataset.examples.build import build_examples
    from boxwright.dataset.snapshot.download import download_dataset

    examples = folder / "examples"
    if not (examples / ExamplesSummary.FILE).exists():
        for name in ("dataset", "examples"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        download_dataset(config, folder / "dataset")
        build_examples(folder / "dataset", examples, 0.2)
    return examples


def train(training: Training, out_dir: Path) -> dict[str, Any]:
    """Trains and measures; returns the row's figures."""
    from boxwright.evaluation.metrics import measure

    started = time.monotonic()
    config = configuration(training.dataset, training.seed, out_dir / "data")
    if training.system in MODEL_IDS:
        config = config.model_copy(update={"model_id": MODEL_IDS[training.system]})
    examples = prepared(config, out_dir / "data" / f"prepared-{training.dataset}")
    curve, predict = SYSTEMS[training.system](config, examples, out_dir / "work" / training.name)
    minutes = (time.monotonic() - started) / 60
    measured = measure(truth(examples), predict(sorted((examples / "test").glob("*.tfrecord")))).model_dump()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "dataset": training.dataset,
        "system": training.system,
        "seed": training.seed,
        "validation": curve,
        "test": {name: measured[name] for name in ("AP", "AP50", "AP75")},
        "per_class": measured["per_class"],
        "minutes": minutes,
        "cpu_minutes": (used.ru_utime + used.ru_stime) / 60,
    }


def truth(examples: Path, split: str = "test") -> Any:
    """The annotations of a split of examples."""
    from boxwright.dataset.annotations.reading import load_annotations

    return load_annotations(examples / split / "annotations.json")


def boxwright(config: RunConfig, examples: Path, folder: Path) -> tuple[list[dict[str, float]], Any]:
    """The project's steps: seed, fine-tuning, prediction."""
    from boxwright.evaluation.predict import predict_split
    from boxwright.evaluation.validation_ap import validation_ap
    from boxwright.model.seeds import fetch_pretrained
    from boxwright.model.store import load_detector
    from boxwright.training.fine_tuning import Watch, fine_tune

    for name in ("seed", "model"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    fetch_pretrained(config, folder / "seed")
    watch = Watch(measure=validation_ap(examples))
    summary = fine_tune(config, examples, folder / "seed", folder / "model", folder / "checkpoints", watch)
    images = ExamplesSummary.read(examples).splits["training"].images
    batches = -(-images // 8) * 8
    curve = [
        {"passes": (record["epoch"] + 1) * batches, "AP": record["AP"], "AP50": record["AP50"]}
        for record in summary.history
        if "AP" in record
    ]
    detector, card = load_detector(folder / "model")
    return curve, lambda shards: predict_split(detector, shards, card.category_ids).detections


def kerashub(config: RunConfig, examples: Path, folder: Path) -> tuple[list[dict[str, float]], Any]:
    """What a person writes from KerasHub's documentation; it loads the same images and backbone weights."""
    import keras

    from benchmarks.bare_detector import bare_batches, bare_detector, bare_predictions
    from boxwright.evaluation.metrics import measure
    from boxwright.model.catalogue import hyperparameters_of

    del folder
    settings = hyperparameters_of(config)
    keras.utils.set_random_seed(settings.seed)
    facts = ExamplesSummary.read(examples)
    size, batch, ids = settings.image_size or 320, settings.batch_size, facts.category_ids
    images = facts.splits["training"].images
    shards = {split: sorted((examples / split).glob("*.tfrecord")) for split in ("training", "validation")}
    detector = bare_detector(len(facts.classes), size)
    curve: list[dict[str, float]] = []

    def note(epoch: int, logs: Any) -> None:
        del logs
        if (epoch + 1) % MEASURE_EVERY == 0:
            measured = measure(
                truth(examples, "validation"), bare_predictions(detector, shards["validation"], size, ids)
            )
            passes = (epoch + 1) * -(-images // batch) * batch
            curve.append({"passes": passes, "AP": measured.AP or 0.0, "AP50": measured.AP50 or 0.0})

    detector.fit(
        bare_batches(shards["training"], images, batch, size, settings.seed),
        steps_per_epoch=-(-images // batch),
        epochs=settings.epochs,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=note)],
        verbose=2,
    )
    return curve, lambda test: bare_predictions(detector, test, size, ids)


SYSTEMS = {"boxwright": boxwright, "retinanet": boxwright, "kerashub": kerashub}
MODEL_IDS = {"retinanet": "retinanet-efficientnet-lite0-320"}


def show(out_dir: Path) -> None:
    """Prints what is there: a row a dataset and system."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for training in TRAININGS:
        path = out_dir / "results" / f"{training.name}.json"
        if path.exists():
            rows[training.dataset, training.system].append(json.loads(path.read_text()))
    table = Table(
        "dataset", "system", "seeds", "passes", "test AP", "test AP50", "minutes", "CPU minutes", title="Accuracy"
    )
    curves = Table("dataset", "system", "validation AP50 by image passes (mean over seeds)")
    for (dataset, system), results in rows.items():
        seeds = ", ".join(str(result["seed"]) for result in results)
        spread = [_spread([result["test"][name] for result in results]) for name in ("AP", "AP50")]
        times = [f"{statistics.mean(result[name] for result in results):.0f}" for name in ("minutes", "cpu_minutes")]
        table.add_row(dataset, system, seeds, f"{results[0]['validation'][-1]['passes']:.0f}", *spread, *times)
        steps = zip(*(result["validation"] for result in results), strict=False)
        points = [f"{step[0]['passes']:.0f}: {statistics.mean(one['AP50'] for one in step):.3f}" for step in steps]
        curves.add_row(dataset, system, "  ".join(points))
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print("Seeds: mean, and lowest to highest. Minutes: as this machine was, whatever else it did.")
    console.print(curves)


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="; ".join(one.name for one in TRAININGS))
    parser.add_argument("--table", action="store_true", help="train nothing, print what is there")
    parser.add_argument("--train", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    out_dir = arguments.out_dir.resolve()
    chosen = {one.name: one for one in TRAININGS if not arguments.only or one.name in arguments.only}
    if arguments.train:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        write_json(out_dir / "results" / f"{arguments.train}.json", train(chosen[arguments.train], out_dir))
        return
    for name in [] if arguments.table else chosen:
        if not (out_dir / "results" / f"{name}.json").exists():
            subprocess.run([sys.executable, "-m", "benchmarks.accuracy", str(out_dir), "--train", name], check=True)
    show(out_dir)


if __name__ == "__main__":
    main()
