"""What the disk and the machine do to any program: a full disk, no inodes, a folder that cannot be written, no memory.

Storage types its own errors where they arise. What is meant here comes from libraries that write in their own ways
(TensorFlow, HDF5, SQLite) or from any `open`.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from boxwright.errors import StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)
_OF_THE_DISK = (*_FULL, *_CLOSED, errno.EIO)
_OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
# Said so by the system, and by nobody else: found in the texts of types that are no OSError.
_TOLD = tuple((number, os.strerror(number)) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS))


def disk_error(error: BaseException, home: Path, doing: str) -> StorageError | None:
    """The typed error for what the disk or the machine did; None where they did nothing.

    Args:
        error: what was raised.
        home: where this machine keeps its state, which is meant where the error names no file.
        doing: what was under way.
    """
    found = _cause(error)
    if found is None:
        return None
    number, place = found
    said = os.strerror(number)
    if number in _OF_THE_MACHINE:
        return StorageError(f"{doing}: {said}; end other programs or raise the limit (`ulimit -a`), then run again")
    if number in _FULL:
        advice = "free space, or inodes (`df -h`, `df -i`)"
    else:
        advice = "mend the disk" if number == errno.EIO else "give this user the rights to it"
    return StorageError(f"{doing}: {place or f'a file in {home} or of the results'}: {said}; {advice}, then run again")


def _cause(error: BaseException | None) -> tuple[int, str | None] | None:
    """The number of the system's error, and its file, behind an exception or behind what it was raised from."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (*_OF_THE_DISK, *_OF_THE_MACHINE):
            return error.errno, None if error.filename is None else str(error.filename)
        said = str(error)
        if found := next((number for number, text in _TOLD if text in said), None):
            return found, None
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None
