"""Fine-tunes a detector: from a seed and examples to weights, with a checkpoint after each epoch."""

from __future__ import annotations

import json
import logging
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.config import Hyperparameters, RunConfig
from components.errors import TrainingError
from components.model.catalogue import hyperparameters_of, model_spec
from components.model.seeds import apply_seed
from components.model.store import ModelCard, build_detector, save_detector
from components.storage import write_json

log = logging.getLogger("boxwright.training")
HISTORY_FILE = "history.json"
TRAINING_FILE = "training.json"

# What each optimizer of the managed algorithm uses of its hyperparameters, by Keras's argument names.
_OPTIMIZERS: dict[str, tuple[str, dict[str, str]]] = {
    "adam": ("Adam", {"beta_1": "beta_1", "beta_2": "beta_2", "epsilon": "epsilon"}),
    "sgd": ("SGD", {"momentum": "momentum"}),
    "nesterov": ("SGD", {"momentum": "momentum"}),
    "rmsprop": ("RMSprop", {"rho": "rho", "epsilon": "epsilon"}),
    "adagrad": ("Adagrad", {"initial_accumulator_value": "initial_accumulator_value", "epsilon": "epsilon"}),
    "adadelta": ("Adadelta", {"rho": "rho", "epsilon": "epsilon"}),
}


@dataclass(frozen=True)
class TrainingSummary:
    """What came of a training.

    Attributes:
        epochs: epochs trained, the resumed ones counted.
        history: one record an epoch: losses, validation losses, seconds, images a second.
        best_epoch: 0-based epoch of the lowest validation loss.
    """

    epochs: int
    history: list[dict[str, float]]
    best_epoch: int


def make_optimizer(hyperparameters: Hyperparameters, steps_per_epoch: int) -> Any:
    """Keras's optimizer with warm-up, schedule and clipping as the hyperparameters say."""
    import keras

    keras_class, used = _OPTIMIZERS[hyperparameters.optimizer]
    arguments = {argument: getattr(hyperparameters, name) for argument, name in used.items()}
    if hyperparameters.optimizer == "nesterov":
        arguments["nesterov"] = True
    return getattr(keras.optimizers, keras_class)(
        learning_rate=_schedule(hyperparameters, steps_per_epoch),
        global_clipnorm=hyperparameters.gradient_clip_norm,
        **arguments,
    )


def _schedule(hyperparameters: Hyperparameters, steps_per_epoch: int) -> Any:
    import keras

    peak = hyperparameters.learning_rate
    total = hyperparameters.epochs * steps_per_epoch
    warmup = min(round(hyperparameters.warmup_epochs * steps_per_epoch), total // 2)
    final_share = 0.01 if hyperparameters.learning_rate_schedule == "cosine" else 1.0
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else peak,
        decay_steps=max(total - warmup, 1),
        alpha=final_share,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )


def fine_tune(
    config: RunConfig, examples_dir: Path, seed_dir: Path, out_dir: Path, checkpoint_dir: Path
) -> TrainingSummary:
    """Trains on the `training` examples and watches the loss on `validation`.

    Args:
        config: the run's configuration.
        examples_dir: folder with `examples.json` and a folder of TFRecord shards a split.
        seed_dir: folder with `seed.json`.
        out_dir: receives `model.json`, `model.weights.h5`, `history.json` and `training.json`.
        checkpoint_dir: where the state after each epoch is kept; the same folder given again resumes. It is
            removed when training is done.

    Returns:
        The history, all epochs of it, whether resumed or not.

    Raises:
        DataError: when the seed does not fit the examples.
        TrainingError: when the loss diverges or memory does not suffice.
    """
    import keras
    import tensorflow as tf

    from components.training.callbacks import EpochLog
    from components.training.checkpoint import EpochCheckpoint
    from components.training.input import evaluation_batches, training_batches

    hyperparameters = hyperparameters_of(config)
    keras.utils.set_random_seed(hyperparameters.seed)
    examples = json.loads((examples_dir / "examples.json").read_text())
    images = {split: int(counts["images"]) for split, counts in examples["splits"].items()}
    batch_size = min(hyperparameters.batch_size, images["training"])
    steps = math.ceil(images["training"] / batch_size)
    detector, card = _seeded_detector(config, hyperparameters, examples, seed_dir)
    detector.compile(optimizer=make_optimizer(hyperparameters, steps), jit_compile=False)

    checkpoint_dir.mkdir(parents=True, exist_ok=True)
    checkpoint = EpochCheckpoint(checkpoint_dir)
    first_epoch = checkpoint.restore(detector)
    if first_epoch:
        log.info("resuming after epoch %d of %d", first_epoch, hyperparameters.epochs)
    progress = EpochLog(images["training"], hyperparameters.epochs, checkpoint_dir / HISTORY_FILE)
    batches = training_batches(
        _shards(examples_dir, "training"),
        images["training"],
        batch_size,
        detector.resizing,
        hyperparameters.augmentation,
        hyperparameters.seed,
        first_step=first_epoch * steps,
    )
    try:
        detector.fit(
            batches,
            epochs=hyperparameters.epochs,
            steps_per_epoch=steps,
            validation_data=evaluation_batches(_shards(examples_dir, "validation"), batch_size, detector.resizing),
            validation_steps=math.ceil(images["validation"] / batch_size),
            initial_epoch=first_epoch,
            # The record before the checkpoint: a kill in between repeats the epoch and its record.
            callbacks=[progress, checkpoint, *_early_stopping(hyperparameters)],
            shuffle=False,
            verbose=0,
        )
    except (tf.errors.ResourceExhaustedError, MemoryError):
        raise TrainingError(
            f"memory does not suffice for batch_size={batch_size} at image_size={card.image_size}; lower one of them"
        ) from None

    save_detector(detector, card, out_dir)
    history = progress.history
    best = min(history, key=lambda record: record["val_loss"])
    summary = TrainingSummary(len(history), history, int(best["epoch"]))
    write_json(out_dir / HISTORY_FILE, history)
    write_json(
        out_dir / TRAINING_FILE,
        {"hyperparameters": hyperparameters.model_dump(), "best_epoch": summary.best_epoch},
    )
    shutil.rmtree(checkpoint_dir)
    return summary


def _seeded_detector(
    config: RunConfig, hyperparameters: Hyperparameters, examples: dict[str, Any], seed_dir: Path
) -> tuple[Any, ModelCard]:
    """The network with the seed's weights, and with what is frozen frozen."""
    card = ModelCard(
        model_id=config.model_id,
        image_size=hyperparameters.image_size or model_spec(config.model_id).image_size,
        classes=tuple(examples["classes"]),
        category_ids=tuple(examples["category_ids"]),
    )
    detector = build_detector(card)
    apply_seed(detector, seed_dir, card, hyperparameters.reinitialize_top_layer, config.on_class_change)
    if hyperparameters.freeze_batch_norm:
        detector.freeze_batch_norm()
    if hyperparameters.train_only_on_top_layer:
        detector.train_only_on_top_layer()
    return detector, card


def _early_stopping(hyperparameters: Hyperparameters) -> list[Any]:
    import keras

    if not hyperparameters.early_stopping:
        return []
    return [
        keras.callbacks.EarlyStopping(
            monitor="val_loss",
            min_delta=hyperparameters.early_stopping_min_delta,
            patience=hyperparameters.early_stopping_patience,
            restore_best_weights=True,
            verbose=1,
        )
    ]


def _shards(examples_dir: Path, split: str) -> list[Path]:
    return sorted((examples_dir / split).glob("examples-*.tfrecord"))
