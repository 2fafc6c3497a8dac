"""The choice of the earlier model that a run starts from."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from boxwright.config import RunConfig, RunInfo, is_registered
from boxwright.errors import UsageError
from boxwright.model import MODEL_FILE, WEIGHTS_FILE, Seed, check_parent, load_card, write_seed
from boxwright.registry.open_model import open_model
from boxwright.registry.opening import open_registry

log = logging.getLogger("boxwright.release")


@dataclass(frozen=True)
class Start:
    """The starting point of a run.

    Attributes:
        parent: reference or URI of the earlier model; None for pretrained weights.
        archive: URI of its `model.tar.gz`.
        reason: why it starts from there.
    """

    parent: str | None
    archive: str | None
    reason: str

    @property
    def kind(self) -> Literal["pretrained", "incremental"]:
        """The kind of the seed, as `boxwright.model.Seed` has it."""
        return "pretrained" if self.parent is None else "incremental"


def find_start(config: RunConfig, run: RunInfo) -> Start:
    """Decides by the seed mode: from an earlier model, or from pretrained weights.

    Raises:
        UsageError: `incremental` finds no parent, or the parent that the run names does not exist.
    """
    if config.seed_mode == "pretrained":
        return Start(None, None, "seed_mode=pretrained")
    if config.parent and not is_registered(config.parent):
        return Start(config.parent, config.parent, "named by the run")
    if config.parent:
        version = open_registry().resolve(config.parent)
        return Start(version.reference, version.archive_uri, f"named by the run as {config.parent}")
    until = run.parents_until.isoformat()
    newest = open_registry().newest_accepted(config.model_name, run.parents_until, exclude_run_id=run.run_id)
    if newest is not None:
        return Start(newest.reference, newest.archive_uri, f"newest accepted version as of {until}")
    if config.seed_mode == "incremental":
        raise UsageError(
            f"seed_mode=incremental needs an earlier model, and {config.model_name} has no accepted version as of "
            f"{until}; train one with seed_mode=pretrained, or name a parent"
        )
    return Start(None, None, f"seed_mode=auto, and {config.model_name} has no accepted version as of {until}")


def resolve_parent(config: RunConfig, run: RunInfo, classes: tuple[str, ...], out_dir: Path) -> Seed:
    """Fetches the parent model into `out_dir` and checks that it fits.

    Args:
        config: names the parent, or leaves it to the newest accepted version as of the run's date.
        run: this run, which is never its own parent and never learns from its future.
        classes: class names of the dataset, by index.
        out_dir: receives `model.json`, `model.weights.h5` and `seed.json`.

    Raises:
        UsageError: when there is no such parent.
        DataError: when its archive, architecture or classes do not fit.
    """
    start = find_start(config, run)
    if start.parent is None or start.archive is None:
        raise UsageError(f"the run does not start from an earlier model ({start.reason}); clear choose_seed")
    with open_model(start.archive, below=out_dir) as unpacked:
        card = load_card(unpacked)
        check_parent(card, start.parent, config.model_id, classes, config.on_class_change)
        for name in (WEIGHTS_FILE, MODEL_FILE):
            shutil.copyfile(unpacked / name, out_dir / name)
    log.info("training starts from %s (%s)", start.parent, start.reason)
    seed = Seed(kind="incremental", model_id=card.model_id, origin=start.parent, reason=start.reason)
    write_seed(seed, out_dir)
    return seed
