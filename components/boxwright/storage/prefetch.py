"""Files that are used in order while later ones are still on their way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from boxwright.storage.file_entry import FileEntry
from boxwright.storage.transfer import download


class FetchedAhead(Sequence[Path]):
    """The local paths of remote files, each given out once it is there, as often as it is asked for.

    A thread fetches them through the cache in their order, from the first that is asked for on, whether the others
    are or not.

    Args:
        uri: folder that they lie in.
        entries: the files.
        folder: where to.
    """

    def __init__(self, uri: str, entries: Sequence[FileEntry], folder: Path) -> None:
        self._uri, self._entries, self._folder = uri, entries, folder
        self._there = 0
        self._error: BaseException | None = None
        self._changed = Condition()
        self._thread: Thread | None = None

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes of all files, there or not."""
        return sum(entry.size for entry in self._entries)

    def __getitem__(self, number: Any) -> Any:
        entry = self._entries[number]
        with self._changed:
            if self._thread is None:
                self._thread = Thread(target=self._fetch, name="fetch-ahead", daemon=True)
                self._thread.start()
            while self._there <= number:
                if self._error is not None:
                    raise self._error
                self._changed.wait()
        return self._folder / entry.key

    def _fetch(self) -> None:
        for entry in self._entries:
            try:
                download(self._uri, [entry], self._folder)
            except BaseException as error:  # for whoever waits for the file
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._there += 1
                self._changed.notify_all()
