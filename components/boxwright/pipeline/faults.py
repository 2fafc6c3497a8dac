"""Faults around a step as typed errors: of the disk, of the machine, and of the database of ML Metadata.

A step's own errors are typed where they arise; whatever is left after this module is a bug.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from boxwright.config import Settings
from boxwright.errors import BoxwrightError, StorageError, shorten
from boxwright.metadata import is_lost, server_said, why
from boxwright.storage import disk_error

# How ML Metadata's connection begins what it says, as a RuntimeError, when SQLite fails.
_METADATA = (
    "Error when executing query", "Cannot connect sqlite3", "There are a subset of tables", "Concurrent writes aborted",
    "MLMD database version", "In the given db, MLMDEnv",
)  # fmt: skip
_HELD = "another program holds the file: end it, or wait, then run again"
_CLOSED = "let this user write the file and its folder, then run again"
_ADVICE = {
    "database version": "another version of ML Metadata wrote it: use the Boxwright that did, or move it away; then "
    "finished steps are done again, and the lineage of earlier models is lost",
    "locked": _HELD,
    "Concurrent": _HELD,
    "readonly": _CLOSED,
    "unable to open": _CLOSED,
    "is full": "free space, then run again",
    "disk I/O": "free space or mend the disk, then run again",
}
_DAMAGED = (
    "the file is damaged: restore it from a backup, or move it away; then finished steps are done again, and the "
    "lineage of earlier models is lost"
)


@contextmanager
def explained(settings: Settings, doing: str) -> Iterator[None]:
    """Turns faults of the disk and of ML Metadata in the block into a StorageError that says what to do.

    Args:
        settings: whose home it is.
        doing: what is under way, for the message.
    """
    try:
        yield
    except BoxwrightError:
        raise
    except Exception as error:
        if (found := _explain(error, settings, doing)) is None:
            raise
        raise found from error


def _explain(error: Exception, settings: Settings, doing: str) -> BoxwrightError | None:
    if settings.metadata.is_shared and is_lost(error):
        return why(settings.metadata) or StorageError(
            f"{doing}: the connection to {settings.metadata} of ML Metadata was lost ({server_said(error)}), and the "
            "server is there again: run again"
        )
    if _is_of_metadata(error):
        said = " ".join(str(error).split())
        advice = next((text for sign, text in _ADVICE.items() if sign in said), _DAMAGED)
        return StorageError(f"{doing}: {settings.metadata} of ML Metadata: {shorten(said, 120)}; {advice}")
    if isinstance(error, FileNotFoundError) and str(error.filename or "").startswith(f"{settings.home}/"):
        return StorageError(
            f"{doing}: {error.filename} is gone, which an earlier step left: clear that step, or run anew",
            file=error.filename,
        )
    return disk_error(error, settings.home, doing)


def _is_of_metadata(error: Exception) -> bool:
    if type(error).__module__.split(".")[0] == "ml_metadata":
        return True
    return isinstance(error, RuntimeError) and str(error).startswith(_METADATA)
