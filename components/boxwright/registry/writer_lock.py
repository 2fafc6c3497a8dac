"""A lock between the processes that write to one registry and share a home."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from boxwright.config import Settings
from boxwright.errors import StorageError, without_secrets

if TYPE_CHECKING:
    from filelock import FileLock

LOCK_SECONDS = 300.0
SQLITE = "sqlite:///"


class WriterLock:
    """The lock of a registry, for `with`: beside a database file, else in the home.

    Args:
        tracking_uri: of the registry.
        seconds: for which another process is waited for.
    """

    def __init__(self, tracking_uri: str, seconds: float = LOCK_SECONDS) -> None:
        self._seconds = seconds
        if tracking_uri.startswith(SQLITE):
            path = Path(f"{tracking_uri.removeprefix(SQLITE)}.lock").absolute()
        else:
            # Who sees the name must not be able to try passwords on it; and all log-ins write to one registry.
            digest = hashlib.sha256(without_secrets(tracking_uri).encode()).hexdigest()[:16]
            # In a folder for everybody's files somebody else could make it first, and hold it.
            path = Settings.from_environment().home / "locks" / f"registry-{digest}.lock"
        self._path = path

    @cached_property
    def _lock(self) -> FileLock:
        # Who only reads needs no lock, nor the library for it.
        from filelock import FileLock

        self._path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self._path)

    def __enter__(self) -> None:
        from filelock import Timeout

        try:
            self._lock.acquire(timeout=self._seconds)
        except Timeout as error:
            raise StorageError(
                f"another process held {error.lock_file} for {self._seconds:g} s; end it if it hangs, then run again"
            ) from None

    def __exit__(self, *raised: object) -> None:
        self._lock.release()
