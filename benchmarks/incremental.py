"""Is an earlier model a better start than pretrained weights? AP after one epoch from either, on the same images.

    python -m benchmarks.incremental --dataset bccd/train --validation bccd/validation --test bccd/test

A first run trains `--epochs` from pretrained weights. Then two runs train one epoch each with the same settings: one
from pretrained weights, one from the first run's model. The table has AP and AP50 on the test images, and the chain of
parents of the last as `boxwright lineage` reads it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

MODEL_NAME = "incremental-benchmark"


def main() -> None:
    """Trains three times and prints the table."""
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BOXWRIGHT_HOME"] = str(Path(folder, "home"))
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        results = {
            "first run": _run(arguments, folder, arguments.epochs, "pretrained"),
            "pretrained": _run(arguments, folder, 1, "pretrained"),
            "incremental": _run(arguments, folder, 1, "incremental", parent=f"models:/{MODEL_NAME}/1"),
        }
        _print(results)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("dataset", "validation", "test"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--annotations-file", default="annotations.json")
    parser.add_argument("--epochs", type=int, default=4, help="of the first run")
    parser.add_argument("--image-size", type=int, default=192)
    return parser


def _run(arguments: argparse.Namespace, folder: str, epochs: int, seed_mode: str, **more: Any) -> dict[str, Any]:
    from boxwright.config import parse_config
    from boxwright.pipeline.runner import run_pipeline

    config = parse_config(
        {
            "training": arguments.dataset,
            "validation": arguments.validation,
            "test": arguments.test,
            "annotations_file": arguments.annotations_file,
            "output": str(Path(folder, "output")),
            "model_name": MODEL_NAME,
            "seed_mode": seed_mode,
            "hyperparameters": {"epochs": epochs, "image_size": arguments.image_size},
            "gate": {"min_ap50": 0},
        }
        | more
    )
    return run_pipeline(config) | {"epochs": epochs}


def _print(results: dict[str, dict[str, Any]]) -> None:
    from boxwright.config.settings import Settings
    from boxwright.pipeline.lineage import trace

    table = Table("run", "starts from", "epochs", "AP", "AP50", "val. loss after its first epoch")
    for name, result in results.items():
        metrics = result["metrics"]
        figures = [f"{metrics[key]:.4f}" for key in ("AP", "AP50", "first_epoch_val_loss")]
        table.add_row(name, result["parent"] or "ImageNet weights", str(result["epochs"]), *figures)
    console = Console()
    console.print(table)
    chain = trace(f"models:/{MODEL_NAME}/{results['incremental']['version']}", Settings.from_environment())
    console.print("chain: " + " <- ".join(link.reference for link in chain))


if __name__ == "__main__":
    main()
