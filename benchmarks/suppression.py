"""What each kind of suppression does to AP: `python -m benchmarks.suppression MODEL DATASET`.

One model, the same weights, another `nms` or IoU at each turn. The IoU of the families of our own is no setting; it is
changed in the code that reads it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from boxwright.model import MODEL_FILE, postprocess
from boxwright.registry import measure_model, open_model, resolve_model

METRICS = ("AP", "AP50", "AP75")
# Kind and IoU; soft suppression has none.
VARIANTS: tuple[tuple[str, float | None], ...] = (
    ("per_class", 0.4), ("per_class", 0.5), ("per_class", 0.6), ("per_class", 0.7), ("agnostic", 0.5), ("soft", None),
)  # fmt: skip


def measured(model: str, dataset: str) -> Iterator[tuple[str, float | None, dict[str, float]]]:
    """Kind, IoU and metrics of each variant."""
    with tempfile.TemporaryDirectory() as temporary, open_model(resolve_model(model)) as own:
        folder = Path(temporary, "model")
        shutil.copytree(own, folder)
        card = json.loads((folder / MODEL_FILE).read_text())
        for nms, iou in VARIANTS:
            (folder / MODEL_FILE).write_text(json.dumps({**card, "nms": nms}))
            if iou is not None:
                postprocess.IOU_THRESHOLD = iou
            yield nms, iou, measure_model(str(folder), dataset).metrics


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="models:/NAME/VERSION, models:/NAME@ALIAS, a model.tar.gz or its folder")
    parser.add_argument("dataset", help="folder or s3:// prefix")
    given = parser.parse_args(arguments)
    table = Table("nms", "IoU", *METRICS)
    for nms, iou, metrics in measured(given.model, given.dataset):
        table.add_row(nms, "" if iou is None else f"{iou:g}", *(f"{metrics[name]:.4f}" for name in METRICS))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
