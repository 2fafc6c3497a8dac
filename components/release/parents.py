"""Which earlier model a run starts from."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from components.config import RunConfig, Settings
from components.errors import DataError, UsageError
from components.model.seeds import Seed, check_classes, write_seed
from components.model.store import MODEL_FILE, WEIGHTS_FILE, load_card
from components.release.archive import unpack
from components.run_info import RunInfo
from components.storage import download_file

if TYPE_CHECKING:
    from components.release.registry import Registry, Version

SeedNode = Literal["fetch_pretrained", "resolve_parent"]


def choose_seed(config: RunConfig, run: RunInfo) -> SeedNode:
    """The seed step that the run's seed mode asks for; `auto` takes a parent where there is one."""
    if config.seed_mode == "pretrained":
        return "fetch_pretrained"
    if config.seed_mode == "incremental" or config.parent or _newest(config, run):
        return "resolve_parent"
    return "fetch_pretrained"


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
    reference, archive, reason = _find(config, run)
    with tempfile.TemporaryDirectory(dir=out_dir) as temporary:
        fetched = Path(temporary, "model.tar.gz")
        download_file(archive, fetched)
        unpacked = Path(temporary, "unpacked")
        unpack(fetched, unpacked)
        card = load_card(unpacked)
        if card.model_id != config.model_id:
            raise DataError(
                f"the parent {reference} is a {card.model_id}, this run trains a {config.model_id}; set model_id"
            )
        check_classes(card, classes)
        for name in (WEIGHTS_FILE, MODEL_FILE):
            (unpacked / name).replace(out_dir / name)
    seed = Seed(kind="incremental", model_id=card.model_id, origin=reference, reason=reason)
    write_seed(seed, out_dir)
    return seed


def _find(config: RunConfig, run: RunInfo) -> tuple[str, str, str]:
    """Reference, archive URI and reason."""
    if config.parent and not config.parent.startswith("models:/"):
        return config.parent, config.parent, "named by the run"
    if config.parent:
        version = _registry().resolve(config.parent)
        return version.reference, version.archive_uri, f"named by the run as {config.parent}"
    newest = _newest(config, run)
    if newest is None:
        raise UsageError(
            f"seed_mode=incremental needs an earlier model, and {config.model_name} has no accepted version as of "
            f"{run.parents_until.isoformat()}; train one with seed_mode=pretrained, or name a parent"
        )
    return newest.reference, newest.archive_uri, f"newest accepted version as of {run.parents_until.isoformat()}"


def _newest(config: RunConfig, run: RunInfo) -> Version | None:
    return _registry().newest_accepted(config.model_name, run.parents_until, exclude_run_id=run.run_id)


def _registry() -> Registry:
    from components.release.registry import Registry

    return Registry(Settings.from_environment().tracking_uri)
