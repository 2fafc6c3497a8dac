"""Several trainings that differ in their seed alone: the best by validation is kept, and their spread is told."""

from __future__ import annotations

import logging
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from boxwright.config import RunConfig
from boxwright.errors import UsageError
from boxwright.model import MODEL_FILE, WEIGHTS_FILE, hyperparameters_of, load_detector
from boxwright.training.fine_tuning import NO_WATCH, TrainingSummary, Watch, fine_tune
from boxwright.training.history import HISTORY_FILE, Record, SeedResult, TrainingFacts, read_history

log = logging.getLogger("boxwright.training")
# `training.json` comes last, so that its presence means that the rest is whole.
_FILES = (MODEL_FILE, WEIGHTS_FILE, HISTORY_FILE, TrainingFacts.FILE)


def fine_tune_seeds(
    config: RunConfig,
    examples_dir: Path,
    seed_dir: Path,
    out_dir: Path,
    checkpoint_dir: Path,
    watch: Watch = NO_WATCH,
    mirror: str | None = None,
) -> TrainingSummary:
    """Trains as often as the setting `seeds` says, from `seed` on, and hands on the best; see `fine_tune`.

    Best is the highest AP on the validation images; where `watch` does not measure it, or `validation_ap_epochs` is 0,
    it is the lowest validation loss. What is done is not done again: the same folders given again go on.

    Raises:
        UsageError: several machines train together.
    """
    from boxwright.training.devices import is_alone

    hyperparameters = hyperparameters_of(config)
    if hyperparameters.seeds == 1:
        return fine_tune(config, examples_dir, seed_dir, out_dir, checkpoint_dir, watch, mirror)
    if not is_alone():
        raise UsageError(f"seeds={hyperparameters.seeds}: several seeds are trained on one machine; set seeds=1")
    results = []
    for number in range(hyperparameters.seeds):
        seed = hyperparameters.seed + number
        folder = checkpoint_dir / f"seed-{seed}"
        if not (folder / TrainingFacts.FILE).exists():
            log.info("seed %d, the %d. of %d", seed, number + 1, hyperparameters.seeds)
            folder.mkdir(parents=True, exist_ok=True)
            told = replace(watch, report=_later(watch.report, number * hyperparameters.epochs))
            mirrored = mirror and f"{mirror}/seed-{seed}"
            one = _with_seed(config, seed)
            fine_tune(one, examples_dir, seed_dir, folder, checkpoint_dir / f"state-{seed}", told, mirrored)
        results.append(_result(seed, folder, watch))
    best = max(results, key=lambda result: result.AP if result.AP is not None else -result.val_loss)
    _say(results, best)
    chosen = checkpoint_dir / f"seed-{best.seed}"
    for name in _FILES[:-1]:
        shutil.copyfile(chosen / name, out_dir / name)
    facts = TrainingFacts.read(chosen).model_copy(update={"seeds": tuple(results)})
    facts.write(out_dir)
    history = read_history(out_dir)
    shutil.rmtree(checkpoint_dir)
    return TrainingSummary(len(history), history, facts.final_epoch)


def _with_seed(config: RunConfig, seed: int) -> RunConfig:
    settings = config.hyperparameters.model_dump(exclude_unset=True) | {"seed": seed}
    return config.model_copy(update={"hyperparameters": type(config.hyperparameters)(**settings)})


def _later(report: Callable[[Record], None] | None, epochs: int) -> Callable[[Record], None] | None:
    """What reports epochs as those behind `epochs` others, so that no curve is drawn over another."""
    if report is None:
        return None
    return lambda record: report({**record, "epoch": record["epoch"] + epochs})


def _result(seed: int, folder: Path, watch: Watch) -> SeedResult:
    facts = TrainingFacts.read(folder)
    record = read_history(folder)[facts.final_epoch]
    found = record.get("AP")
    if found is None and watch.measure is not None and facts.hyperparameters.validation_ap_epochs:
        found = watch.measure(load_detector(folder)[0]).get("AP")
    return SeedResult(seed=seed, AP=found, val_loss=record["val_loss"])


def _say(results: Sequence[SeedResult], best: SeedResult) -> None:
    log.info("%s; kept: seed %d", _in_words(results), best.seed)


def _in_words(results: Sequence[SeedResult]) -> str:
    """The mean over seeds, and how far they spread."""
    measured = [result.AP for result in results if result.AP is not None]
    name, values = ("AP", measured) if len(measured) == len(results) else ("loss", [one.val_loss for one in results])
    each = ", ".join(f"{value:.4f} with seed {one.seed}" for value, one in zip(values, results, strict=True))
    spread = f"mean {statistics.mean(values):.4f}, standard deviation {statistics.stdev(values):.4f}"
    return f"validation {name} of {len(results)} seeds: {each}; {spread}"


def told_of(model_dir: Path) -> dict[str, str]:
    """What a report says of a training: by label, what differs from one that shows all images alike, once."""
    if not (model_dir / TrainingFacts.FILE).exists():
        return {}
    facts, told = TrainingFacts.read(model_dir), {}
    if facts.class_examples:
        told["Examples with each class"] = ", ".join(
            f"{name} {share.images} (an epoch: {share.shown})" for name, share in facts.class_examples.items()
        )
    if facts.seeds:
        told["Seeds"] = f"{_in_words(facts.seeds)}; kept: seed {facts.hyperparameters.seed}"
    return told
