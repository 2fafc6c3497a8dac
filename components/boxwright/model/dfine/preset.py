"""A KerasHub preset as it is downloaded: a folder, or one archive of it, with the weights in one file."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from boxwright.errors import DataError

WEIGHTS_FILE = "model.weights.h5"
_LIMIT = 2 << 30


@contextmanager
def preset_weights(folder: Path) -> Iterator[Path]:
    """The weights file of the preset in a folder, unpacked for the time of the block where it is in an archive.

    Nothing but the weights file is read from an archive, and it is written under a name of ours.

    Raises:
        DataError: when there is none, or it is larger than 2 GiB.
    """
    plain = sorted(folder.rglob(WEIGHTS_FILE))
    if plain:
        yield plain[0]
        return
    archives = sorted(path for path in folder.rglob("*") if path.name.endswith((".tar.gz", ".tgz", ".tar", ".zip")))
    if not archives:
        raise DataError(f"{folder}: expected a KerasHub preset, a folder or archive with {WEIGHTS_FILE}")
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary, WEIGHTS_FILE)
        try:
            _extract(archives[0], target)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise DataError(f"{archives[0].name}: cannot be unpacked: {error}") from None
        yield target


def _extract(archive: Path, target: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            names = [name for name in packed.namelist() if Path(name).name == WEIGHTS_FILE]
            _check(archive, bool(names), packed.getinfo(names[0]).file_size if names else 0)
            with packed.open(names[0]) as source:
                _copy(source, target)
        return
    with tarfile.open(archive) as packed_tar:
        found = next((one for one in packed_tar if one.isfile() and Path(one.name).name == WEIGHTS_FILE), None)
        _check(archive, found is not None, found.size if found else 0)
        content = packed_tar.extractfile(found) if found else None
        if content:
            with content:
                _copy(content, target)


def _check(archive: Path, there: bool, size: int) -> None:
    if not there:
        raise DataError(f"{archive.name}: expected {WEIGHTS_FILE} of a KerasHub preset in it")
    if size > _LIMIT:
        raise DataError(f"{archive.name}: {WEIGHTS_FILE} has {size:,} bytes, more than {_LIMIT:,}")


def _copy(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
