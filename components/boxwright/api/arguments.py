"""Arguments as people in notebooks hand them over, where nothing has checked their types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from boxwright.config import Settings
from boxwright.errors import UsageError, shorten
from boxwright.storage import disk_error, local_path

_DATASET = "a folder or s3:// prefix, as str or Path"
_FOLDER = "a folder of this machine, as str or Path"
_MODEL = (
    "models:/NAME/VERSION, models:/NAME@ALIAS, or the path or URI of a model.tar.gz or of a folder with what is in one"
)


def dataset_uri(dataset: Any) -> str:
    """A dataset as a URI.

    Raises:
        UsageError: it is neither text nor a path.
    """
    return _told(dataset, "dataset", _DATASET)


def model_uri(model: Any) -> str:
    """A model as a reference or URI.

    Raises:
        UsageError: it is neither text nor a path, or the id of an architecture.
    """
    from boxwright.model import MODELS

    # A run and a detector have one.
    advice = "; take its `.model`" if hasattr(type(model), "model") else ""
    text = _told(model, "model", _MODEL, advice)
    if text in MODELS and not Path(text).exists():
        raise UsageError(
            f"model={text}: expected {_MODEL}; {text} is an architecture, and `boxwright.train(dataset, "
            f"model_id={text!r})` makes a model of it"
        )
    return text


def name_of(value: Any, argument: str) -> str | None:
    """A name, or None where it is unset.

    Raises:
        UsageError: it is something else.
    """
    if value is None or isinstance(value, str):
        return value
    advice = "; take its `.run_id`" if hasattr(value, "run_id") else ""
    raise UsageError(f"{argument}: expected a text, got {kind_of(value)}{advice}")


def local_file(path: Any, argument: str, expected: str) -> Path:
    """A file of this machine that is to be written, absolute.

    Raises:
        UsageError: it is not a path, or a URI.
    """
    return local_path(_told(path, argument, expected))


def local_folder(folder: Any, argument: str) -> Path:
    """A folder of this machine that gets files; it is made, so that what cannot be written is known before any work.

    Raises:
        UsageError, StorageError: it is not a path, or a URI, or cannot be made.
    """
    path = local_path(_told(folder, argument, _FOLDER))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, path, argument) from None
    return path


def write_error(error: OSError, path: Path, argument: str) -> Exception:
    """The typed error for a file or folder that could not be written."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return UsageError(f"{argument}={path}: {error.filename} is a file, not a folder; name another place")
    found = disk_error(error, Settings.from_environment().home, argument)
    return found or UsageError(f"{argument}={path}: {error.strerror or error}; name another place")


def score_of(threshold: Any) -> float:
    """A minimum score.

    Raises:
        UsageError: it is not a number from 0 to 1.
    """
    try:
        is_score = 0 <= threshold <= 1
    except (TypeError, ValueError):
        is_score = False
    if not is_score:
        raise UsageError(f"threshold={shorten(threshold)}: expected a score from 0 to 1")
    return float(threshold)


def _told(value: Any, argument: str, expected: str, advice: str = "") -> str:
    if isinstance(value, str | Path):
        return str(value)
    raise UsageError(f"{argument}: expected {expected}, got {kind_of(value)}{advice}")


def kind_of(value: Any) -> str:
    """What came in place of what was expected: its type and how it begins."""
    return "None" if value is None else f"{type(value).__name__} {shorten(value)}"
