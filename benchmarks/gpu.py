"""What a GPU makes of training and detection: `python -m benchmarks.gpu`, within eight minutes.

Trainings of three epochs on drawn pictures (`benchmarks.prints`), each in a process of its own and by the code that a
run takes: the default model in float32, with half precision, with XLA, with both (the default on GPUs), in larger
batches and at a larger input; all GPUs of the machine train together. A row has

- images a second, and the share of time that the GPU waited for input, of the best epoch after the first, which
  compiles;
- the most memory that the training held on a GPU;
- the training loss of the last epoch, which has to be near that of a training on the CPU;
- images a second that the trained model detects in.

The log file has what Boxwright logged. What is left when the time is over is not begun, and its row says so. `--cpu`
tries the script where there is no GPU: its figures say nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SECONDS, EPOCHS = 460, 3
# Losses of these few epochs, on a GPU and on a CPU, differ by no more, whatever the number format.
MOST_LOSS_APART = 0.15


@dataclass(frozen=True, eq=False)
class Case:
    """A row.

    Attributes:
        name: as the table calls it.
        settings: hyperparameters that are not the default.
        on_cpu: whether no GPU is shown to it.
    """

    name: str
    settings: dict[str, Any]
    on_cpu: bool = False


FLOAT32 = {"mixed_precision": "False", "jit_compile": "False"}
# What is worth most comes first.
CASES = (
    Case("defaults: half precision, XLA", {}),
    Case("float32", FLOAT32),
    Case("half precision", FLOAT32 | {"mixed_precision": "True"}),
    Case("XLA", FLOAT32 | {"jit_compile": "True"}),
    Case("on the CPU", FLOAT32, on_cpu=True),
    Case("defaults, batches of 32", {"batch_size": 32}),
    Case("defaults, 512 x 512", {"image_size": 512}),
)


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Trains and detects; in a process that sees the devices it shall use.

    Returns:
        Images a second of training and detection, share of waiting, losses by epoch, peak bytes, number of GPUs.
    """
    import tensorflow as tf

    from benchmarks.accuracy import configuration, prepared
    from boxwright.evaluation.predict import predict_split
    from boxwright.model.seeds import fetch_pretrained
    from boxwright.model.store import load_detector
    from boxwright.training.fine_tuning import fine_tune

    config = configuration("prints", 0, folder)
    changed = {"epochs": EPOCHS, "validation_ap_epochs": 0, **case.settings}
    config = config.model_copy(update={"hyperparameters": config.hyperparameters.model_copy(update=changed)})
    examples = prepared(config, folder / "prepared")
    with tempfile.TemporaryDirectory(dir=folder) as work:
        seed, model = Path(work) / "seed", Path(work) / "model"
        for made in (seed, model):
            made.mkdir()
        fetch_pretrained(config, seed)
        history = fine_tune(config, examples, seed, model, Path(work) / "checkpoints").history
        detector, card = load_detector(model)
    gpus = [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices("GPU")]
    shards = sorted((examples / "test").glob("*.tfrecord"))
    predict_split(detector, shards, card.category_ids)  # compiles
    began = time.perf_counter()
    predict_split(detector, shards, card.category_ids)
    detected = len(json.loads((examples / "test" / "annotations.json").read_text())["images"])
    later = history[1:]
    return {
        "gpus": len(gpus),
        "images_per_second": max(one["images_per_second"] for one in later),
        "waiting_share": min(one["waiting_share"] for one in later),
        "losses": [one["loss"] for one in history],
        "detected_per_second": detected / (time.perf_counter() - began),
        "peak_bytes": max((tf.config.experimental.get_memory_info(gpu)["peak"] for gpu in gpus), default=0),
    }


def measured_apart(case: Case, folder: Path, log: Any, seconds: float) -> dict[str, Any] | str:
    """What `measure` finds in a process of its own, or why it found nothing."""
    environment = {**os.environ, **({"CUDA_VISIBLE_DEVICES": "-1"} if case.on_cpu else {})}
    command = [sys.executable, "-m", "benchmarks.gpu", "--case", json.dumps(asdict(case)), "--folder", str(folder)]
    log.write(f"== {case.name}\n".encode())
    log.flush()
    try:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=log, timeout=seconds)
    except subprocess.TimeoutExpired:
        return "the time was over"
    if done.returncode:
        return f"ended with {done.returncode}, see the log"
    return dict(json.loads(done.stdout.splitlines()[-1]))


def row(case: Case, found: dict[str, Any] | str) -> list[str]:
    """A row's cells."""
    if isinstance(found, str):
        return [case.name, found]
    return [
        case.name,
        f"{found['images_per_second']:.1f}",
        f"{found['waiting_share']:.1%}",
        f"{found['peak_bytes'] / 1e9:.1f}",
        f"{found['losses'][-1]:.3f}",
        f"{found['detected_per_second']:.1f}",
    ]


def apart(results: dict[Case, dict[str, Any] | str]) -> list[str]:
    """Trainings whose last loss is not near the CPU's, of those at the same input and batch."""
    losses = {case: found["losses"][-1] for case, found in results.items() if not isinstance(found, str)}
    on_cpu = next((loss for case, loss in losses.items() if case.on_cpu), None)
    if on_cpu is None:
        return []
    alike = {case: loss for case, loss in losses.items() if not {"batch_size", "image_size"} & case.settings.keys()}
    return [case.name for case, loss in alike.items() if not abs(loss - on_cpu) <= MOST_LOSS_APART * on_cpu]


def main() -> None:
    """Measures all cases while there is time, and prints the table; exit code 1 where one failed or went astray."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="try the script without a GPU")
    parser.add_argument("--log", type=Path, default=Path("gpu.log"), help="file for what is logged")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        print(json.dumps(measure(Case(**json.loads(arguments.case)), arguments.folder)))
        return
    if not arguments.cpu and subprocess.run([sys.executable, "-c", _HAS_GPU], capture_output=True).returncode:
        sys.exit("TensorFlow sees no GPU here: install boxwright[gpu] and look at nvidia-smi, or try with --cpu")
    end = time.monotonic() + arguments.seconds
    results: dict[Case, dict[str, Any] | str] = {}
    table = Table("training", "images a second", "waiting", "GB", f"loss, epoch {EPOCHS}", "detected a second")
    with tempfile.TemporaryDirectory() as folder, arguments.log.open("wb") as log:
        for case in CASES:
            left = end - time.monotonic()
            results[case] = measured_apart(case, Path(folder), log, left) if left > 0 else "the time was over"
            table.add_row(*row(case, results[case]))
            print(f"{case.name}: done, {max(end - time.monotonic(), 0):.0f} s left", file=sys.stderr)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    if astray := apart(results):
        print(f"loss more than {MOST_LOSS_APART:.0%} from the CPU's: {', '.join(astray)}")
    sys.exit(bool(astray) or any(isinstance(found, str) and "ended" in found for found in results.values()))


_HAS_GPU = "import tensorflow as tf; import sys; sys.exit(not tf.config.list_physical_devices('GPU'))"


if __name__ == "__main__":
    main()
