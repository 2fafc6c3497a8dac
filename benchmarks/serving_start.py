"""How long a server takes until its model is warm: the network rebuilt from the catalogue beside the SavedModel's load.

`python -m benchmarks.serving_start MODEL_ID...` exports an untrained model of each id, then starts a fresh process for
each way in turns and takes the median. TensorFlow's import, the same for both, is not counted. Seconds of CPU tell more
than those of the clock where the machine does something else.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

WAYS = ("SavedModel", "rebuilt")


def export(model_id: str, folder: Path) -> None:
    """What an archive holds of an untrained model."""
    from boxwright.model import MODELS, ModelCard, build_detector, save_detector
    from boxwright.packaging.saved_model import export_saved_model

    card = ModelCard(model_id=model_id, image_size=MODELS[model_id].image_size, classes=("a", "b"), category_ids=(1, 2))
    save_detector(build_detector(card), card, folder)
    export_saved_model(folder, folder)


def warmed(way: str, folder: Path) -> dict[str, float]:
    """Seconds from TensorFlow's import to the second answer, and seconds of an answer after that."""
    import tensorflow as tf
    from PIL import Image

    buffer = io.BytesIO()
    Image.effect_noise((640, 480), 60).convert("RGB").save(buffer, "JPEG")
    began, worked = time.perf_counter(), time.process_time()
    run: Callable[[list[bytes]], Any]
    if way == "rebuilt":
        from boxwright.serving.engine.network import RebuiltNetwork

        run = RebuiltNetwork(folder)
    else:
        module = tf.saved_model.load(str(folder / "saved_model"))

        def run(images: list[bytes]) -> Any:
            found = module.signatures["serving_default"](encoded_images=tf.constant(images))
            return {name: value.numpy() for name, value in found.items()}

    for _ in range(2):
        run([buffer.getvalue()])
    told = {"clock": time.perf_counter() - began, "CPU": time.process_time() - worked}
    times = []
    for _ in range(20):
        worked = time.process_time()
        run([buffer.getvalue()])
        times.append(time.process_time() - worked)
    return told | {"answer": statistics.median(times)}


def measure(folder: Path, turns: int) -> dict[str, dict[str, float]]:
    """The medians of each way."""
    told: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(turns):
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.serving_start", "--child", way, str(folder)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            told[way].append(json.loads(done.stdout.splitlines()[-1]))
    return {way: {name: statistics.median(one[name] for one in rows) for name in rows[0]} for way, rows in told.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_ids", nargs="+")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(warmed(given.child, Path(given.model_ids[0]))))
        return
    table = Table("model", "way", "s until warm", "s of CPU", "ms of CPU an answer")
    for model_id in given.model_ids:
        with tempfile.TemporaryDirectory() as folder:
            export(model_id, Path(folder))
            for way, one in measure(Path(folder), given.turns).items():
                numbers = (f"{one['clock']:.1f}", f"{one['CPU']:.1f}", f"{1000 * one['answer']:.0f}")
                table.add_row(model_id, way, *numbers)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
