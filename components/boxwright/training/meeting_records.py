"""What machines that train together tell each other through the store: small files in the folder of a run.

`call.json` is that of the newest generation. All else lies in a folder of the generation, what one machine says in a
folder of its rank: `3/1/arrival.json`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar, TypeVar

from boxwright.storage import StoredRecord, exists, join, upload_file


class _Told(StoredRecord):
    """What one machine tells the others."""

    ADVICE: ClassVar[str] = "have all workers run the same version of Boxwright"


class Call(_Told):
    """The first machine's call for the others.

    Attributes:
        generation: number of the try of a training; each loss of a machine ends one.
        address: `host:port` of the first one, where it tells `word` while it waits.
        word: of this call alone.
        seconds: after which it has ended, whatever came of it.
    """

    FILE: ClassVar[str] = "call.json"

    generation: int
    address: str
    word: str
    seconds: float


class Arrival(_Told):
    """A machine that has come.

    Attributes:
        call: the word of the call that it answers.
        host: its name, for people.
        address: `host:port`, where it tells `word` while it waits.
        word: of this arrival alone: a machine that comes again has another.
        unreached: why it does not reach the first machine; empty where it does.
    """

    FILE: ClassVar[str] = "arrival.json"

    call: str
    host: str
    address: str
    word: str
    unreached: str = ""


class Roster(_Told):
    """All machines of a generation, by rank: they are to see whether they reach each other.

    Attributes:
        addresses: `host:port` of each.
        words: what each tells there.
    """

    FILE: ClassVar[str] = "roster.json"

    addresses: tuple[str, ...]
    words: tuple[str, ...]


class Looked(_Told):
    """A machine that has seen whom it reaches.

    Attributes:
        word: of its arrival.
        unreached: why it does not reach another, by the rank of that one.
    """

    FILE: ClassVar[str] = "looked.json"

    word: str
    unreached: dict[int, str] = {}


class Start(_Told):
    """The word to begin: all reach all."""

    FILE: ClassVar[str] = "start.json"


class Fault(_Told):
    """What ended a machine's part in a generation, where that was its own.

    Attributes:
        message: of the error.
        retryable: whether the same may go well another time.
    """

    FILE: ClassVar[str] = "fault.json"

    message: str
    retryable: bool


Record = TypeVar("Record", bound=_Told)


class MeetingPlace:
    """The folder in the store where the machines of one run meet.

    Args:
        uri: of the folder.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def put(self, record: _Told, generation: int | None = None, rank: int | None = None) -> None:
        """Puts a record there, in place of the one before."""
        with tempfile.TemporaryDirectory() as folder:
            record.write(Path(folder))
            upload_file(Path(folder, record.FILE), join(self._folder(generation, rank), record.FILE))

    def find(self, kind: type[Record], generation: int | None = None, rank: int | None = None) -> Record | None:
        """The record of a kind that is there; None where there is none.

        Raises:
            DataError: another version has written it.
        """
        folder = self._folder(generation, rank)
        return kind.read(folder) if exists(join(folder, kind.FILE)) else None

    def is_called(self) -> bool:
        """Whether the first machine has ever called."""
        return self.find(Call) is not None

    def _folder(self, generation: int | None, rank: int | None) -> str:
        return join(self._uri, *(str(part) for part in (generation, rank) if part is not None))
