"""Fine-tunes a detector: from a seed and examples to weights, with a checkpoint after each epoch."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.config import Hyperparameters, RunConfig
from boxwright.dataset.examples import ExamplesSummary
from boxwright.errors import OutOfMemoryError
from boxwright.model import (
    RANDOM,
    ModelCard,
    apply_seed,
    build_detector,
    hyperparameters_of,
    model_spec,
    read_seed,
    save_detector,
)
from boxwright.training.history import Record, TrainingFacts, best_record, write_history
from boxwright.training.mirroring import mirrors
from boxwright.training.optimizer import ignored_settings, make_optimizer, scale_rate, spare_from_weight_decay
from boxwright.training.planning import Keeping, Plan, few_passes, make_plan
from boxwright.training.step_progress import StepProgress, gpu_usage
from boxwright.training.viewing import choose_viewing

log = logging.getLogger("boxwright.training")
# XLA compiles anew for each shape.
_XLA_BOX_MULTIPLE = 64


@dataclass(frozen=True)
class TrainingSummary:
    """The result of a training.

    Attributes:
        epochs: epochs trained, the resumed ones counted.
        history: one record an epoch: losses, validation losses and AP, seconds, images a second, share of waiting.
        final_epoch: 0-based epoch whose weights are handed on.
    """

    epochs: int
    history: list[Record]
    final_epoch: int


@dataclass(frozen=True)
class Watch:
    """Functions of later stages that a training calls.

    Attributes:
        measure: AP, AP50 and class accuracy of a detector on the validation images.
        report: is handed each epoch's record.
        glance: what is measured in the epochs that `measure` leaves out, at little cost.
        progress: is handed each half minute where the training stands.
        should_stop: whether to end after an epoch, and go on another time.
    """

    measure: Callable[[Any], Record] | None = None
    report: Callable[[Record], None] | None = None
    glance: Callable[[Any], Record] | None = None
    progress: Callable[[StepProgress], None] | None = None
    should_stop: Callable[[], bool] | None = None


NO_WATCH = Watch()


def fine_tune(
    config: RunConfig,
    examples_dir: Path,
    seed_dir: Path,
    out_dir: Path,
    checkpoint_dir: Path,
    watch: Watch = NO_WATCH,
    mirror: str | None = None,
) -> TrainingSummary:
    """Trains on the `training` examples and watches losses and AP on `validation`.

    Args:
        config: the run's configuration.
        examples_dir: folder with `examples.json` and a folder of TFRecord shards a split.
        seed_dir: folder with `seed.json`.
        out_dir: receives `model.json`, `model.weights.h5`, `history.json` and `training.json`.
        checkpoint_dir: where the state after each epoch is kept; the same folder given again resumes. It is
            removed when training is done.
        watch: measures and reports while training.
        mirror: `s3://` prefix where the state is kept too.

    Returns:
        The history, all epochs of it, whether resumed or not.

    Raises:
        DataError: when the seed does not fit the examples.
        StoppedError: when `watch` asked for it; the same call goes on.
        DivergedError: when the loss diverges.
        OutOfMemoryError: when memory does not suffice.
    """
    import keras

    from boxwright.training.checkpoint import fetch_mirrored
    from boxwright.training.devices import distribution, is_chief, keep_freed_memory

    keep_freed_memory()
    hyperparameters = hyperparameters_of(config)
    for warning in ignored_settings(config):
        log.warning("%s", warning)
    keras.utils.set_random_seed(hyperparameters.seed)
    examples = ExamplesSummary.read(examples_dir)
    strategy = distribution()
    with strategy.scope():
        detector, card = _seeded_detector(config, hyperparameters, examples, seed_dir)
    checkpoint_dir.mkdir(parents=True, exist_ok=True)
    plan = make_plan(
        examples, examples_dir, card, hyperparameters, checkpoint_dir / "examples", _keeping(config, seed_dir)
    )
    if _begins_with_new_heads(config, seed_dir) and (few := few_passes(plan.epoch_images, hyperparameters.epochs)):
        log.warning("%s", few)
    with strategy.scope():
        _compile(detector, hyperparameters, plan.steps, is_pretrained=read_seed(seed_dir).origin != RANDOM)

    if mirror:
        fetch_mirrored(checkpoint_dir, mirror)
    summary = _fit(detector, hyperparameters, plan, checkpoint_dir, watch, mirror)
    if not is_chief():
        return summary
    save_detector(detector, card, out_dir)
    write_history(summary.history, out_dir)
    shown = plan.repeats.classes if plan.repeats else {}
    TrainingFacts(hyperparameters=hyperparameters, final_epoch=summary.final_epoch, class_examples=shown).write(out_dir)
    shutil.rmtree(checkpoint_dir)
    return summary


def _begins_with_new_heads(config: RunConfig, seed_dir: Path) -> bool:
    weights = model_spec(config.model_id).weights
    return read_seed(seed_dir).kind == "pretrained" and not (weights and weights.covers == "detector")


def _keeping(config: RunConfig, seed_dir: Path) -> Keeping | None:
    if config.on_class_change != "keep" or read_seed(seed_dir).kind == "pretrained":
        return None
    return Keeping(seed_dir, config.keep_threshold)


def _seeded_detector(
    config: RunConfig, hyperparameters: Hyperparameters, examples: ExamplesSummary, seed_dir: Path
) -> tuple[Any, ModelCard]:
    """The network with the seed's weights, and with what is frozen frozen."""
    import keras

    from boxwright.training.devices import precision_policy, switched

    viewing = choose_viewing(hyperparameters, seed_dir)
    card = ModelCard(
        model_id=config.model_id,
        image_size=hyperparameters.image_size or model_spec(config.model_id).image_size,
        classes=examples.classes,
        category_ids=examples.category_ids,
        nms=hyperparameters.nms,
        resize=viewing.resize,
        tiling=viewing.tiling,
    )
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision_policy(hyperparameters, card.image_size))
    try:
        detector = build_detector(card)
    finally:
        keras.config.set_dtype_policy(usual)
    card = card.model_copy(update={"resize": "letterbox" if detector.resizing.keep_aspect else "stretch"})
    apply_seed(detector, seed_dir, card, hyperparameters.reinitialize_top_layer, config.on_class_change)
    if switched(hyperparameters.freeze_batch_norm, auto=read_seed(seed_dir).origin != RANDOM):
        detector.freeze_batch_norm()
    if hyperparameters.train_only_on_top_layer:
        detector.train_only_on_top_layer()
    return detector, card


def _compile(detector: Any, hyperparameters: Hyperparameters, steps: int, is_pretrained: bool) -> None:
    from boxwright.training.devices import uses_xla

    optimizer = make_optimizer(hyperparameters, steps)
    spare_from_weight_decay(optimizer, detector)
    if is_pretrained:
        # One rate for fresh heads and for the encoder overwrites what pretraining taught the encoder.
        scale_rate(optimizer, detector.encoder_variables(), hyperparameters.backbone_learning_rate_multiplier)
    detector.compile(optimizer=optimizer, jit_compile=uses_xla(hyperparameters))


def _fit(
    detector: Any, hyperparameters: Hyperparameters, plan: Plan, checkpoint_dir: Path, watch: Watch, mirror: str | None
) -> TrainingSummary:
    """Trains what is left to train, and leaves the weights that are handed on in the detector."""
    from boxwright.training.agreement import check_agreement, digest_of
    from boxwright.training.callbacks import EarlyStopping, EpochLog, StopOnRequest
    from boxwright.training.checkpoint import EpochCheckpoint
    from boxwright.training.devices import has_gpu, is_alone, is_chief
    from boxwright.training.input_clock import InputClock
    from boxwright.training.step_log import StepLog

    metric, clock, writes = hyperparameters.early_stopping_metric, InputClock(), is_chief()
    steps = StepLog(
        plan.epoch_images, hyperparameters.epochs, plan.steps, plan.validation_steps,
        watch.progress if writes else None, gpu_usage=gpu_usage if has_gpu() else lambda: None,
    )  # fmt: skip
    progress = EpochLog(
        plan.epoch_images,
        hyperparameters.epochs,
        checkpoint_dir,
        clock,
        watch.measure,
        hyperparameters.validation_ap_epochs,
        watch.report,
        writes,
        watch.glance,
        lambda: steps.epoch_seconds,
    )
    checkpoint = EpochCheckpoint(checkpoint_dir, progress, metric, mirror, writes)
    stopping = EarlyStopping(
        progress, metric, hyperparameters.early_stopping_patience, hyperparameters.early_stopping_min_delta
    )
    first_epoch = checkpoint.restore(detector)
    if not is_alone():
        same = {
            "the examples": plan.examples.fingerprint,
            "the hyperparameters": hyperparameters.model_dump_json(),
            "the weights that they start from": digest_of(detector),
            "the epochs that are done": str(first_epoch),
        }
        check_agreement(detector.distribute_strategy, same)
    progress.forget_after(first_epoch)
    if first_epoch:
        log.info("resuming after epoch %d of %d", first_epoch, hyperparameters.epochs)
    if first_epoch < hyperparameters.epochs and not (hyperparameters.early_stopping and stopping.is_over()):
        # The record before the checkpoint: a kill in between repeats the epoch and its record.
        callbacks = [steps, progress, checkpoint, *([stopping] if hyperparameters.early_stopping else [])]
        if watch.should_stop and is_alone():
            callbacks.append(StopOnRequest(watch.should_stop, hyperparameters.epochs))
        _run_fit(detector, hyperparameters, plan, first_epoch, callbacks, clock)
    final_epoch = len(progress.history) - 1
    if _hands_on_the_best(hyperparameters) and (best := best_record(progress.history, metric)):
        checkpoint.restore_best(detector)
        final_epoch = int(best["epoch"])
    return TrainingSummary(len(progress.history), progress.history, final_epoch)


def _run_fit(
    detector: Any, hyperparameters: Hyperparameters, plan: Plan, first_epoch: int, callbacks: list[Any], clock: Any
) -> None:
    import tensorflow as tf

    from boxwright.training.callbacks import LossGuard
    from boxwright.training.devices import check_memory, fits_in_memory, memory_advice
    from boxwright.training.input import evaluation_batches, training_batches

    check_memory(detector, plan.batch_size)
    shards, watched = plan.shards["training"], plan.shards["validation"]
    several_devices = detector.distribute_strategy.num_replicas_in_sync > 1
    batches = training_batches(
        shards,
        plan.epoch_images,
        plan.batch_size,
        detector.resizing,
        hyperparameters.augmentation,
        hyperparameters.seed,
        first_step=first_epoch * plan.steps,
        box_multiple=_XLA_BOX_MULTIPLE if detector.jit_compile else 1,
        in_memory=fits_in_memory(shards.size),
        mirrors=mirrors(hyperparameters, plan.examples.classes),
        repeats=plan.repeats.counts if plan.repeats else (),
    )
    try:
        detector.fit(
            clock.timed(batches),
            epochs=hyperparameters.epochs,
            steps_per_epoch=plan.steps,
            validation_data=evaluation_batches(watched, plan.batch_size, detector.resizing, only_full=several_devices),
            validation_steps=plan.validation_steps,
            initial_epoch=first_epoch,
            callbacks=[LossGuard(), *callbacks],
            shuffle=False,
            verbose=0,
        )
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        detail = (str(error).strip() or "an allocation failed").splitlines()[0][:120]
        raise OutOfMemoryError(memory_advice(plan.batch_size, detector.image_size, detail)) from None
    except tf.errors.OpError:
        for read in (shards, watched):
            read.explain()
        raise


def _hands_on_the_best(hyperparameters: Hyperparameters) -> bool:
    chosen = hyperparameters.final_weights
    return chosen == "best" or (chosen == "Auto" and hyperparameters.early_stopping)
