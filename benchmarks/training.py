"""How well training uses the machine: `python -m benchmarks.training`.

The default model at 320 x 320, batches of 8, on the blood-cell images (`BOXWRIGHT_BCCD`), trained in turn by

- the project: records read, decoded and augmented while the step runs, with the callbacks of a real training;
- a bare Keras loop: `fit` of the same compiled model on batches that lie in memory, without callbacks;
- that loop again, before all else, with memory as the C library manages it: what `keep_freed_memory` brings.

All go through as many epochs; the first of each, which fills buffers, does not count. Images a second is the median
over the epochs of all rounds. Waiting is the share of time between asking for a batch and having it. The time to the
first step is that of this process, from its start.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import psutil
from rich.console import Console
from rich.table import Table

ROUNDS, EPOCHS = 2, 3
LEAST_RATIO, MOST_WAITING = 0.95, 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="steps an epoch")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--augmentation", default="standard", choices=["none", "flip", "standard"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = compare(Path(folder), arguments.steps, arguments.batch_size, arguments.augmentation)
    if arguments.json:
        print(json.dumps(found))
        return
    table = Table("", "images a second", "waiting for input", title=f"Training, batches of {arguments.batch_size}")
    table.add_row("Boxwright", f"{found['project']:.2f}", f"{found['waiting']:.2%}")
    table.add_row("bare Keras loop", f"{found['bare']:.2f}", "")
    table.add_row("bare Keras loop, freed memory given back", f"{found['given_back']:.2f}", "")
    table.add_row("ratio", f"{found['ratio']:.3f} (at least {LEAST_RATIO})", f"at most {MOST_WAITING:.0%}")
    Console().print(table)
    print(f"from process start to the end of the first step: {found['first_step']:.1f} s")


def compare(folder: Path, steps: int, batch_size: int, augmentation: str) -> dict[str, float]:
    """The figures of the module's docstring."""
    from benchmarks.accuracy import configuration, prepared
    from boxwright.dataset.examples import ExamplesSummary
    from boxwright.model.catalogue import hyperparameters_of
    from boxwright.model.seeds import fetch_pretrained
    from boxwright.training import fine_tuning as steps_of
    from boxwright.training.devices import keep_freed_memory
    from boxwright.training.input import training_batches
    from boxwright.training.input_clock import InputClock
    from boxwright.training.planning import make_plan

    config = configuration("bccd", 0, folder)
    examples = prepared(config, folder / "prepared")
    (folder / "seed").mkdir()
    fetch_pretrained(config, folder / "seed")
    settings = hyperparameters_of(config).model_copy(update={"batch_size": batch_size, "augmentation": augmentation})
    keras.utils.set_random_seed(settings.seed)
    summary = ExamplesSummary.read(examples)
    detector, card = steps_of._seeded_detector(config, settings, summary, folder / "seed")
    plan = make_plan(summary, examples, card, settings, folder / "scratch")
    steps_of._compile(detector, settings, plan.steps, is_pretrained=True)

    def batches() -> Any:
        shards, images = plan.shards["training"], plan.images["training"]
        return training_batches(shards, images, batch_size, detector.resizing, augmentation, settings.seed)

    first = _FirstStep()
    detector.fit(batches(), epochs=1, steps_per_epoch=1, callbacks=[first], shuffle=False, verbose=0)
    in_memory = list(batches().take(steps))

    def bare_loop() -> list[float]:
        timer = _EpochTimer()
        _fit(detector, _endless(in_memory), steps, [timer])
        return [steps * batch_size / seconds for seconds in timer.seconds[1:]]

    given_back = bare_loop()
    keep_freed_memory()
    project, bare, waiting = [], [], []
    for _ in range(ROUNDS):
        clock = InputClock()
        log = _log(folder, steps * batch_size, clock)
        _fit(detector, clock.timed(batches()), steps, [log])
        project += [record["images_per_second"] for record in log.history[1:]]
        waiting += [record["waiting_share"] for record in log.history[1:]]
        bare += bare_loop()
    ratio = statistics.median(project) / statistics.median(bare)
    return {
        "project": statistics.median(project),
        "bare": statistics.median(bare),
        "given_back": statistics.median(given_back),
        "ratio": ratio,
        "waiting": statistics.median(waiting),
        "first_step": first.seconds,
    }


def _fit(detector: Any, batches: Any, steps: int, callbacks: list[Any]) -> None:
    detector.fit(batches, epochs=EPOCHS, steps_per_epoch=steps, callbacks=callbacks, shuffle=False, verbose=0)


def _endless(batches: list[Any]) -> Any:
    import tensorflow as tf

    signature = (
        tf.TensorSpec(batches[0][0].shape, tf.float32),
        {"boxes": tf.TensorSpec((None, None, 4), tf.float32), "labels": tf.TensorSpec((None, None), tf.float32)},
    )
    return tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature).cache().repeat()


def _log(folder: Path, images: int, clock: Any) -> Any:
    from boxwright.training.callbacks import EpochLog

    class TrainingLog(EpochLog):
        """Without validation, an epoch's training ends with its last batch."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.on_test_begin()

        def _say(self, epoch: int, record: dict[str, float]) -> None:
            pass

    (folder / "history.json").unlink(missing_ok=True)
    return TrainingLog(images, EPOCHS, folder / "history.json", clock)


class _EpochTimer(keras.callbacks.Callback):
    """Seconds from an epoch's begin to the end of its last batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._started = self._ended = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._ended = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(self._ended - self._started)


class _FirstStep(keras.callbacks.Callback):
    """When the first step of the process ended, in seconds from the process's start."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.seconds:
            self.seconds = time.time() - psutil.Process().create_time()


if __name__ == "__main__":
    main()
