"""What `fine_tune` works on, made small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from boxwright.config import RunConfig, parse_config
from boxwright.dataset.examples.build import build_examples
from boxwright.dataset.sample.generate import generate_sample
from boxwright.dataset.snapshot.download import download_dataset
from boxwright.model.seeds import fetch_pretrained


def prepare(folder: Path, images: int, model_id: str = "speck", **hyperparameters: Any) -> RunConfig:
    """Writes `examples` and `seed` for a small model into the folder; returns their configuration."""
    generate_sample(folder / "sample", images=images, seed=5)
    values = {"training": str(folder / "sample" / "training"), "output": "unused", "model_id": model_id}
    config = parse_config(values | {"hyperparameters": hyperparameters})
    for name in ("dataset", "examples", "seed"):
        (folder / name).mkdir()
    download_dataset(config, folder / "dataset")
    build_examples(folder / "dataset", folder / "examples", 0.2)
    fetch_pretrained(config, folder / "seed")
    return config
