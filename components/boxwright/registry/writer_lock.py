"""A lock between the processes that write to one registry: those of a home, or of all machines of a cluster."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from boxwright.config import Settings
from boxwright.errors import StorageError, without_secrets
from boxwright.metadata import alone

if TYPE_CHECKING:
    from filelock import FileLock

LOCK_SECONDS = 300.0
SQLITE = "sqlite:///"


class WriterLock:
    """The lock of a registry, for `with`: beside a database file, else in ML Metadata's server, else in the home.

    Args:
        tracking_uri: of the registry.
        seconds: for which another process is waited for.
    """

    def __init__(self, tracking_uri: str, seconds: float = LOCK_SECONDS) -> None:
        self._seconds = seconds
        self._name = ""
        self._held = ExitStack()
        if tracking_uri.startswith(SQLITE):
            path = Path(f"{tracking_uri.removeprefix(SQLITE)}.lock").absolute()
        else:
            # Who sees the name must not be able to try passwords on it; and all log-ins write to one registry.
            digest = hashlib.sha256(without_secrets(tracking_uri).encode()).hexdigest()[:16]
            self._name = f"registry-{digest}"
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

        address = Settings.from_environment().metadata
        if self._name and address.is_shared:
            self._held.enter_context(alone(address, self._name, self._seconds))
            return
        try:
            self._lock.acquire(timeout=self._seconds)
        except Timeout as error:
            raise StorageError(
                f"another process held {error.lock_file} for {self._seconds:g} s; end it if it hangs, then run again"
            ) from None

    def __exit__(self, *raised: object) -> None:
        if self._name and Settings.from_environment().metadata.is_shared:
            self._held.close()
        else:
            self._lock.release()
