"""What a setting brings: `python -m benchmarks.settings OUT_DIR --sets bccd chess --try resize=letterbox`.

Trains the default model on each of the datasets of `benchmarks.accuracy` as it is, and once more for each `--try`, all
else equal: the same images, passes, seed and steps. `--base` has settings of all of them, for a comparison that takes
less time. Each training is a process of its own, one after the other, and leaves OUT_DIR/results/NAME.json; what is
there is not done again. The table has AP on the test images, by class too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from boxwright.config import RunConfig, nest_settings, parse_config, parse_settings, run_fields
from boxwright.storage import write_json


def changed(config: RunConfig, settings: list[str]) -> RunConfig:
    """The configuration with the settings of a run that are given as NAME=VALUE."""
    document = config.model_dump(exclude_unset=True)
    for name, value in nest_settings(parse_settings(settings, run_fields(), "--base and --try")).items():
        document[name] = document.get(name, {}) | value if isinstance(value, dict) else value
    return parse_config(document)


def train(dataset: str, settings: list[str], seed: int, out_dir: Path, folder: Path) -> dict[str, Any]:
    """Trains and measures one row; returns its figures."""
    from benchmarks.accuracy import boxwright, configuration, prepared, truth
    from boxwright.evaluation.metrics import measure

    config = changed(configuration(dataset, seed, out_dir / "data"), settings)
    examples = prepared(config, out_dir / "data" / f"prepared-{dataset}")
    started = time.monotonic()
    _, predict = boxwright(config, examples, folder)
    minutes = (time.monotonic() - started) / 60
    measured = measure(truth(examples), predict(sorted((examples / "test").glob("*.tfrecord"))))
    per_class = {name: one.AP for name, one in measured.per_class.items()}
    return {"AP": measured.AP, "AP50": measured.AP50, "minutes": minutes, "per_class": per_class}


def show(dataset: str, rows: dict[str, dict[str, Any]]) -> None:
    """Prints the table of a dataset: a row for each setting, the default first."""
    classes = sorted({name for row in rows.values() for name in row["per_class"]})
    table = Table(dataset, "AP", "AP50", "minutes", *(f"AP of {name}" for name in classes))
    for name, row in rows.items():
        by_class = [_number(row["per_class"].get(one)) for one in classes]
        table.add_row(name, *(_number(row[one]) for one in ("AP", "AP50")), f"{row['minutes']:.1f}", *by_class)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main() -> None:
    """Does what is not done yet, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--sets", nargs="+", default=["bccd", "chess"], help="of bccd, chess, sample, signs, prints")
    parser.add_argument("--try", nargs="*", default=[], metavar="NAME=VALUE", dest="tried", help="one training each")
    parser.add_argument("--base", nargs="*", default=[], metavar="NAME=VALUE", help="of all trainings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", help=argparse.SUPPRESS)
    given = parser.parse_args()
    out_dir = given.out_dir.resolve()
    if given.train:
        folder = out_dir / "work" / given.train
        row = train(given.sets[0], given.base + given.tried, given.seed, out_dir, folder)
        write_json(out_dir / "results" / f"{given.train}.json", row)
        return
    for dataset in given.sets:
        rows = {}
        for tried in ("", *given.tried):
            name = "-".join([dataset, str(given.seed), *given.base, tried]).rstrip("-")
            file = out_dir / "results" / f"{name}.json"
            if not file.exists():
                command = [sys.executable, "-m", "benchmarks.settings", str(out_dir), "--train", name]
                command += ["--sets", dataset, "--seed", str(given.seed), "--base", *given.base]
                subprocess.run([*command, "--try", *([tried] if tried else [])], check=True)
            rows[tried or "as it is"] = json.loads(file.read_text())
        show(dataset, rows)


if __name__ == "__main__":
    main()
