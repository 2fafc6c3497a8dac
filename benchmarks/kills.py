"""What a training loses when it is killed: `python -m benchmarks.kills`.

The tiny model is trained twice: once whole, once with SIGKILL at random moments (while it starts, in an epoch, in a
checkpoint) and started again each time. On one thread with TensorFlow's deterministic operations both must end with
equal weights, and no start may repeat more than one epoch that was done.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

DONE = "epochs-done"


@dataclass
class Outcome:
    """What came of the killed training.

    Attributes:
        kills: of how many starts.
        repeated: epochs that each start after a kill did again.
        largest_difference: between the weights of both trainings.
    """

    kills: int = 0
    repeated: list[int] = field(default_factory=list)
    largest_difference: float = 0.0


def configuration(folder: Path, epochs: int) -> Any:
    from boxwright.config import parse_config

    return parse_config(
        {
            "training": str(folder / "sample" / "training"),
            "output": "unused",
            "model_id": "tiny",
            "hyperparameters": {"epochs": epochs, "image_size": 64, "batch_size": 4, "validation_ap_epochs": 0},
        }
    )


def prepare(folder: Path, epochs: int) -> None:
    from boxwright.dataset.examples.build import build_examples
    from boxwright.dataset.sample.generate import generate_sample
    from boxwright.dataset.snapshot.download import download_dataset
    from boxwright.model.seeds import fetch_pretrained

    generate_sample(folder / "sample", images=20, seed=5)
    for name in ("dataset", "examples", "seed"):
        (folder / name).mkdir()
    config = configuration(folder, epochs)
    download_dataset(config, folder / "dataset")
    build_examples(folder / "dataset", folder / "examples", 0.2)
    fetch_pretrained(config, folder / "seed")


def train(folder: Path, name: str, epochs: int) -> None:
    """One start of a training; notes each epoch that is done, with the time."""
    import tensorflow as tf

    from boxwright.training.fine_tuning import Watch, fine_tune

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    out_dir = folder / name
    out_dir.mkdir(exist_ok=True)

    def note(record: dict[str, float]) -> None:
        with (folder / f"{name}.{DONE}").open("a") as file:
            file.write(f"{int(record['epoch'])} {time.monotonic()}\n")

    fine_tune(
        configuration(folder, epochs),
        folder / "examples",
        folder / "seed",
        out_dir,
        folder / f"{name}-state",
        Watch(report=note),
    )


def difference(folder: Path) -> None:
    import numpy as np

    from boxwright.model.store import load_detector

    weights = [load_detector(folder / name)[0].get_weights() for name in ("whole", "killed")]
    largest = max(float(np.abs(one - other).max()) for one, other in zip(*weights, strict=True))
    (folder / "difference.json").write_text(json.dumps(largest))


def in_child(work: Callable[..., None], *arguments: Any) -> int:
    """Starts the work in a copy of this process, which has the libraries loaded; returns its id."""
    process = os.fork()
    if process:
        return process
    try:
        logging.basicConfig(level=logging.ERROR)
        work(*arguments)
        os._exit(0)
    except BaseException as error:
        print(f"{work.__name__}: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)


def finished(process: int) -> None:
    _, status = os.waitpid(process, 0)
    if status:
        raise RuntimeError(f"process {process} ended with {os.waitstatus_to_exitcode(status)}")


def epochs_done(folder: Path, name: str) -> list[tuple[int, float]]:
    path = folder / f"{name}.{DONE}"
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text().splitlines()]
    return [(int(epoch), float(moment)) for epoch, moment in lines]


def survive(kills: int, seed: int, folder: Path) -> Outcome:
    """Trains whole, then with kills, and compares."""
    import tensorflow  # noqa: F401

    import boxwright.model.retinanet.detector  # noqa: F401
    import boxwright.training.input  # noqa: F401

    # A start gets through a few epochs before it is killed.
    epochs = 4 * kills + 2
    finished(in_child(prepare, folder, epochs))
    started = time.monotonic()
    finished(in_child(train, folder, "whole", epochs))
    moments = [moment for _, moment in epochs_done(folder, "whole")]
    start_up, epoch_seconds = moments[0] - started, (moments[-1] - moments[0]) / (epochs - 1)

    outcome, chance = Outcome(), random.Random(seed)
    while True:
        before = epochs_done(folder, "killed")
        process = in_child(train, folder, "killed", epochs)
        if outcome.kills < kills and _lives_until(process, _moment(chance, folder, start_up, epoch_seconds)):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            outcome.kills += 1
            _count_repeats(outcome, before, epochs_done(folder, "killed"))
            continue
        if outcome.kills >= kills:
            finished(process)
        _count_repeats(outcome, before, epochs_done(folder, "killed"))
        break
    finished(in_child(difference, folder))
    outcome.largest_difference = json.loads((folder / "difference.json").read_text())
    return outcome


def _moment(chance: random.Random, folder: Path, start_up: float, epoch_seconds: float) -> Callable[[], bool]:
    """A random moment of a start, as a function that tells whether it has come: in the start-up, or in an epoch."""
    if chance.random() < 0.3:
        until = time.monotonic() + chance.uniform(0.1, 0.9) * start_up
        return lambda: time.monotonic() > until
    awaited = len(epochs_done(folder, "killed")) + chance.randint(1, 2)
    share = chance.uniform(0, epoch_seconds)

    def come() -> bool:
        done = epochs_done(folder, "killed")
        return len(done) >= awaited and time.monotonic() > done[awaited - 1][1] + share

    return come


def _lives_until(process: int, come: Callable[[], bool]) -> bool:
    while not come():
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            if status:
                raise RuntimeError(f"process {process} ended with {os.waitstatus_to_exitcode(status)}")
            return False
        time.sleep(0.01)
    return True


def _count_repeats(outcome: Outcome, before: list[tuple[int, float]], after: list[tuple[int, float]]) -> None:
    """Epochs of one start that had been reported as done by an earlier one."""
    known = {epoch for epoch, _ in before}
    outcome.repeated.append(sum(epoch in known for epoch, _ in after[len(before) :]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asdict(survive(arguments.kills, arguments.seed, Path(folder)))))


if __name__ == "__main__":
    main()
