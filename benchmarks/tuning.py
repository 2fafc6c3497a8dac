"""What tuning finds for a budget of image passes, and what a trial costs: `python -m benchmarks.tuning OUT_DIR`.

Three ways of one budget, each with several seeds of what is proposed: TPE with ASHA, random settings with ASHA, and
random settings to their end. Each is a study as `boxwright tune` has it, of the default model with a small input on the
made-up dataset, and its best is the validation AP that trials are compared by. (The tiny model learns nothing in so few
passes: what is best of its trials is chance.) Besides, one trial's time is held against that of `fine_tune`
alone, in a process of its own too, with the same settings and measurements.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

IMAGE_SIZE = 128
WAYS = {
    "TPE, ASHA": {"sampler": "tpe", "pruner": "asha"},
    "random, ASHA": {"sampler": "random", "pruner": "asha"},
    "random, to the end": {"sampler": "random", "pruner": "none"},
}
RANGES = {
    "optimizer": ["adam", "nesterov"],
    "momentum": {"min": 0.5, "max": 0.99},
    "learning_rate": {"min": 1e-5, "max": 0.1},
    "batch_size": {"min": 2, "max": 32},
    "weight_decay": [0.0, 1e-4, 1e-2],
    "augmentation": ["none", "flip", "standard"],
    "learning_rate_schedule": ["cosine", "constant"],
}


def configuration(folder: Path, epochs: int) -> Any:
    from boxwright.config import parse_config

    return parse_config(
        {
            "training": str(folder / "sample" / "training"),
            "output": "unused",
            "hyperparameters": {"epochs": epochs, "validation_ap_epochs": 1, "image_size": IMAGE_SIZE},
        }
    )


def prepare(folder: Path, images: int, epochs: int) -> None:
    """Examples and seed, once for all studies."""
    from boxwright.dataset.examples.build import build_examples
    from boxwright.dataset.sample.generate import generate_sample
    from boxwright.dataset.snapshot.download import download_dataset
    from boxwright.model.seeds import fetch_pretrained

    if (folder / "seed" / "seed.json").exists():
        return
    generate_sample(folder / "sample", images=images, seed=5)
    for name in ("dataset", "examples", "seed"):
        (folder / name).mkdir(exist_ok=True)
    config = configuration(folder, epochs)
    download_dataset(config, folder / "dataset")
    build_examples(folder / "dataset", folder / "examples", 0.2)
    fetch_pretrained(config, folder / "seed")


def begin(folder: Path, name: str, epochs: int, **tuning: Any) -> tuple[Any, Path]:
    """A study, and its folder with `study.json`."""
    from boxwright.config import TuningConfig, new_run
    from boxwright.tuning.records import StudyRecord
    from boxwright.tuning.study import Study
    from boxwright.tuning.trial import study_folder

    config, settings = configuration(folder, epochs), TuningConfig(ranges=json.dumps(RANGES), **tuning)
    place = study_folder(name)
    place.mkdir(parents=True, exist_ok=True)
    StudyRecord(
        name=name,
        run=new_run(f"benchmark-{name}"),
        config=config,
        tuning=settings,
        examples=str(folder / "examples"),
        seed=str(folder / "seed"),
    ).write(place)
    return Study(name, config, settings), place


def training_images(folder: Path) -> int:
    from boxwright.dataset.examples.summary import ExamplesSummary

    return ExamplesSummary.read(folder / "examples").splits["training"].images


def compare(folder: Path, epochs: int, budget: int, seeds: list[int]) -> list[dict[str, Any]]:
    """The best of each way for each seed."""
    from boxwright.tuning.trials import run_trials

    rows = []
    for way, settings in WAYS.items():
        for seed in seeds:
            name = f"{settings['sampler']}-{settings['pruner']}-{seed}"
            study, place = begin(folder, name, epochs, trials=1000, seed=seed, max_image_passes=budget, **settings)
            started = time.monotonic()
            run_trials(study, place, training_images(folder))
            trials = study.trials()
            rows.append(
                {
                    "way": way,
                    "seed": seed,
                    "best": study.ranked()[0].value,
                    "trials": len(trials),
                    "pruned": sum(one.state.value == "pruned" for one in trials),
                    "passes": training_images(folder) * sum(one.epochs for one in trials),
                    "minutes": (time.monotonic() - started) / 60,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


def train_bare(folder: Path, epochs: int, settings: dict[str, Any]) -> None:
    """`fine_tune` with nothing around it but the measurement of AP."""
    from boxwright.evaluation import validation_ap
    from boxwright.training import Watch, fine_tune
    from boxwright.tuning.space import tuned

    look = validation_ap(folder / "examples")
    out_dir = folder / "bare"
    out_dir.mkdir(exist_ok=True)
    config = tuned(configuration(folder, epochs), settings)
    fine_tune(
        config, folder / "examples", folder / "seed", out_dir, folder / "bare-state", Watch(look, None, look.glance)
    )


def overhead(folder: Path, epochs: int, rounds: int) -> list[dict[str, float]]:
    """Seconds of a trial and of `fine_tune` alone with the same settings, in turn."""
    from boxwright.tuning.trials import run_trials

    found = []
    for number in range(rounds):
        study, place = begin(folder, f"overhead-{time.time_ns()}", epochs, trials=1)
        started = time.monotonic()
        run_trials(study, place, training_images(folder))
        trial = time.monotonic() - started
        command = [sys.executable, "-m", "benchmarks.tuning", str(folder), "--epochs", str(epochs), "--bare"]
        started = time.monotonic()
        subprocess.run([*command, json.dumps(study.settings_of(0))], check=True, stderr=subprocess.DEVNULL)
        found.append({"round": number, "trial": trial, "bare": time.monotonic() - started})
        print(json.dumps(found[-1]), flush=True)
    return found


def table(rows: list[dict[str, Any]], spent: list[dict[str, float]]) -> str:
    """Both results as Markdown."""
    lines = ["| way | best AP, by seed | mean | trials | pruned | image passes | minutes |", "| --- |" + " --- |" * 6]
    for way in WAYS:
        own = [row for row in rows if row["way"] == way]
        if own:
            best = ", ".join(f"{row['best']:.3f}" for row in own)
            totals = [f"{mean(row[name] for row in own):,.0f}" for name in ("trials", "pruned", "passes", "minutes")]
            lines.append(f"| {way} | {best} | {mean(row['best'] for row in own):.3f} | {' | '.join(totals)} |")
    if spent:
        trial, bare = (mean(row[name] for row in spent) for name in ("trial", "bare"))
        share = 100 * (trial / bare - 1)
        lines.append(
            f"\nA trial: {trial:.1f} s, fine_tune alone: {bare:.1f} s ({trial - bare:+.1f} s, {share:+.1f} %)."
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--budget", type=int, default=4000, help="image passes of a study")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison of times")
    parser.add_argument("--bare", help="train alone with these settings, as JSON")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("BOXWRIGHT_HOME", str(given.folder.resolve() / "home"))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = given.folder.resolve()
    if given.bare:
        train_bare(folder, given.epochs, json.loads(given.bare))
        return
    prepare(folder, given.images, given.epochs)
    spent = overhead(folder, given.epochs, given.rounds)
    print(table(compare(folder, given.epochs, given.budget, given.seeds), spent))


if __name__ == "__main__":
    main()
