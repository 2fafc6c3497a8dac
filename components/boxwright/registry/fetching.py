"""Brings a model, wherever it is kept, to a local folder; the champion of a run among them."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from boxwright.config import RunConfig, RunInfo, is_registered
from boxwright.errors import DataError, UsageError
from boxwright.evaluation import Champion
from boxwright.packaging import unpack
from boxwright.registry.opening import open_registry
from boxwright.storage import download_file

log = logging.getLogger("boxwright.release")


def fetch_model(model: str, folder: Path) -> str:
    """Unpacks a model's archive into a new folder.

    Args:
        model: `models:/name/3`, `models:/name@champion`, or the URI of a `model.tar.gz`.
        folder: to make.

    Returns:
        What the model is called: its version where it is registered, else its URI.

    Raises:
        UsageError: there is no such model.
        DataError: its archive is none.
    """
    reference, archive = model, model
    if is_registered(model):
        version = open_registry().resolve(model)
        reference, archive = version.reference, version.archive_uri
    _unpack(archive, folder)
    return reference


def fetch_champion(config: RunConfig, run: RunInfo, folder: Path) -> Champion | None:
    """Fetches the version that a run has to beat: the newest accepted one that it could have had as its parent.

    Args:
        config: names the model.
        run: this run, which never has to beat itself or its future.
        folder: to make.

    Returns:
        The champion, with the problem where its archive cannot be used; None where there is no such version.

    Raises:
        StorageError: storage or the registry does not answer.
    """
    version = open_registry().newest_accepted(config.model_name, run.parents_until, exclude_run_id=run.run_id)
    if version is None:
        return None
    try:
        _unpack(version.archive_uri, folder)
    except (DataError, UsageError) as error:
        log.warning("the champion %s cannot be measured: %s", version.reference, error)
        return Champion(version.reference, None, str(error))
    return Champion(version.reference, folder)


def _unpack(archive: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        fetched = Path(temporary, "model.tar.gz")
        download_file(archive, fetched)
        unpack(fetched, folder)
