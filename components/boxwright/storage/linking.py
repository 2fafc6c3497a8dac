"""Puts what the cache has at its place: as a second link to the cached file, or as a copy where links cannot be."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import uuid
from pathlib import Path

from boxwright.storage.cache import Cache
from boxwright.storage.checks import check_of_address

_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES)
_log = logging.getLogger("boxwright")


def place_cached(cache: Cache, address: str, target: Path) -> bool:
    """Makes `target` the content with this address; False where the cache has none.

    What is handed out is read once, and has the hash that its address names: a disk that loses a bit keeps size
    and time.
    """
    path = cache.find(address)
    if path is None or not place(path, target):
        return False
    check = check_of_address(address)
    if check is not None and check.matches(target):
        return True
    cache.discard(address)
    target.unlink(missing_ok=True)
    _log.warning("%s of the cache is not what its name says; it is fetched again", address)
    return False


def place(cached: Path, target: Path) -> bool:
    """Makes `target` the cached file: a second link to it, or a copy where links cannot be.

    Returns:
        False where the cached file has gone meanwhile.
    """
    try:
        os.link(cached, target)
    except FileExistsError:
        return _replace(cached, target)
    except FileNotFoundError:
        if not cached.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        return place(cached, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        target.parent.mkdir(parents=True, exist_ok=True)
        return _replace(cached, target)
    return True


def _replace(cached: Path, target: Path) -> bool:
    temporary = target.parent / f".{uuid.uuid4().hex}.part"
    try:
        wanted = cached.stat()
        if target.exists():
            there = target.stat()
            # A link to the cached file, or a copy that an earlier call completed.
            if os.path.samestat(wanted, there) or _looks(there) == _looks(wanted):
                return True
        try:
            os.link(cached, temporary)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copy2(cached, temporary)
        os.replace(temporary, target)
    except FileNotFoundError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _looks(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
