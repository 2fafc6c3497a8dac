"""`model.tar.gz`: packed with bytes that depend on the content only, unpacked as what it is: somebody's upload."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, cast

from components.errors import DataError, UsageError
from components.storage import replacing, unsafe_key
from components.storage.files import explain_os_error

FOLDERS = ("saved_model",)
FILES = (
    "model.weights.h5",
    "model.json",
    "label_map.json",
    "label_map.pbtxt",
    "run.json",
    "metrics.json",
    "sample.json",
)
_CHUNK = 1 << 20
# Names and extended headers of one entry; a bomb may hide in them, since tarfile reads them into memory whole.
_HEADER_LIMIT = 1 << 18
_BROKEN = (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError, ValueError, OverflowError, RecursionError)


def pack(source_dir: Path, archive_path: Path) -> None:
    """Writes the content of `source_dir` to a `.tar.gz`, atomically.

    Equal contents give equal bytes: entries are sorted and carry no time, owner or mode of their own.

    Args:
        source_dir: folder in the layout of `FOLDERS` and `FILES`.
        archive_path: file to write.

    Raises:
        DataError: something in the folder is not of the layout, or neither file nor folder.
    """
    paths = sorted(source_dir.rglob("*"), key=lambda path: path.relative_to(source_dir).parts)
    if not paths:
        raise DataError(f"{source_dir} is empty or missing; expected {_layout()}")
    with (
        replacing(archive_path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in paths:
            _add(archive, path, path.relative_to(source_dir).as_posix())


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    if path.is_symlink() or not (path.is_dir() or path.is_file()):
        raise DataError(f"{path} is neither file nor folder; replace it by what it stands for")
    if problem := _outside_layout(name, path.is_dir()):
        raise DataError(f"{path}: {problem}")
    entry = tarfile.TarInfo(name)
    if path.is_dir():
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
        return
    with path.open("rb") as content:
        entry.size = os.fstat(content.fileno()).st_size
        archive.addfile(entry, content)


def unpack(archive_path: Path, target_dir: Path, max_bytes: int = 4 << 30, max_files: int = 10_000) -> None:
    """Unpacks an untrusted `.tar.gz` into a new folder; nothing is left where it is refused.

    Regular files and folders of the project's layout are taken, and nothing else. Limits hold for what is really
    read, whatever the headers say. Owners, times and modes of the archive are ignored.

    Args:
        archive_path: the archive.
        target_dir: folder to make; it may exist empty.
        max_bytes: most bytes of all files together.
        max_files: most entries, folders counted.

    Raises:
        DataError: one line on what is wrong with the archive.
        UsageError: the target holds something already.
        StorageError: the disk failed.
    """
    if target_dir.exists() and (not target_dir.is_dir() or any(target_dir.iterdir())):
        raise UsageError(f"{target_dir} exists and is not empty; unpack {archive_path.name} into a new folder")
    target_dir.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpack-", dir=target_dir.parent))
    try:
        with archive_path.open("rb") as raw, gzip.GzipFile(fileobj=raw, mode="rb") as zipped:
            _Unpacking(str(archive_path), zipped, temporary, max_bytes, max_files).run()
        temporary.chmod(0o755)
        os.replace(temporary, target_dir)
    except _BROKEN as error:
        raise DataError(
            f"{archive_path} is no whole .tar.gz ({type(error).__name__}); upload it again from a finished run"
        ) from error
    except OSError as error:
        raise explain_os_error(error, str(archive_path)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Metered:
    """A reader that refuses to give more than it was last allowed."""

    def __init__(self, source: IO[bytes], refuse: Callable[[], DataError]) -> None:
        self.source, self.refuse, self.allowance = source, refuse, 0

    def allow(self, count: int) -> None:
        self.allowance = count + tarfile.RECORDSIZE  # tarfile reads ahead by one record

    def read(self, size: int) -> bytes:
        data = self.source.read(min(size, _CHUNK))
        self.allowance -= len(data)
        if self.allowance < 0:
            raise self.refuse()
        return data


class _Unpacking:
    """One archive on its way to a folder."""

    def __init__(self, name: str, zipped: gzip.GzipFile, target: Path, max_bytes: int, max_files: int) -> None:
        self.name, self.target, self.max_bytes, self.max_files = name, target, max_bytes, max_files
        self.meter = _Metered(
            cast(IO[bytes], zipped), lambda: self._refused("holds more data than its headers announce")
        )
        self.bytes = self.entries = 0

    def run(self) -> None:
        self.meter.allow(_HEADER_LIMIT)
        with tarfile.open(fileobj=cast(IO[bytes], self.meter), mode="r|") as archive:
            while (member := archive.next()) is not None:
                self._take(archive, member)
                self.meter.allow(_HEADER_LIMIT)
        if not self.entries:
            raise self._refused("is empty")
        # gzip compares its checksum at the end of the data only.
        while self.meter.read(_CHUNK):
            pass

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self.entries += 1
        if self.entries > self.max_files:
            raise self._refused(f"has more than {self.max_files} entries")
        name = PurePosixPath(member.name).as_posix()
        if name == "." and member.isdir():
            return
        self._check(member, name)
        path = self.target / name
        try:
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            target = path.open("xb")
        except (FileExistsError, NotADirectoryError):
            raise self._refused(f"has {name!a} twice, or as a file and a folder") from None
        with target:
            self._copy(archive, member, target)

    def _check(self, member: tarfile.TarInfo, name: str) -> None:
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or member.issparse():
            raise self._refused(f"has {name!a}, which is neither a regular file nor a folder")
        if len(name) > 1024 or unsafe_key(name):
            raise self._refused(f"has the unsafe path {name[:200]!a}")
        if problem := _outside_layout(name, member.isdir()):
            raise self._refused(f"has {name!a}: {problem}")
        if member.size < 0 or (member.isdir() and member.size):
            raise self._refused(f"gives {name!a} the size {member.size}")
        self.bytes += member.size
        if self.bytes > self.max_bytes:
            raise self._refused(f"unpacks to more than {self.max_bytes} bytes, at {name!a}")

    def _copy(self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: IO[bytes]) -> None:
        self.meter.allow(member.size + _HEADER_LIMIT)
        source = archive.extractfile(member)
        assert source is not None  # it is a regular file
        shutil.copyfileobj(source, target, _CHUNK)
        if target.tell() != member.size:
            raise self._refused(f"ends within {member.name!a}")

    def _refused(self, problem: str) -> DataError:
        return DataError(f"{self.name} {problem}; expected a model.tar.gz of a run, with {_layout()}")


def _outside_layout(name: str, is_folder: bool) -> str | None:
    top, *below = PurePosixPath(name).parts
    if top in FOLDERS and (below or is_folder):
        return None
    if top in FILES and not below and not is_folder:
        return None
    return f"it is not of a model package, which has {_layout()}"


def _layout() -> str:
    return ", ".join((*(f"{folder}/" for folder in FOLDERS), *FILES))
