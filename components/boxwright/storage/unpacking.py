"""Unpacks an untrusted `.tar.gz`, `.tar` or `.zip`: only the files of a given layout come out, within limits."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from boxwright.errors import DataError, UsageError
from boxwright.storage.files import explain_os_error
from boxwright.storage.intake import Intake, Layout

_CHUNK = 1 << 20
# Names and extended headers of one entry; a bomb may hide in them, since tarfile reads them into memory whole.
_HEADER_LIMIT = 1 << 18
_BROKEN = (
    gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile, NotImplementedError,
    ValueError, OverflowError, RecursionError,
)  # fmt: skip
_UTF8 = 0x800  # the flag of a zip's entry whose name is UTF-8
_ENCRYPTED = 0x1


def unpack(archive_path: Path, target_dir: Path, layout: Layout, max_bytes: int, max_files: int) -> None:
    """Unpacks an untrusted `.tar.gz` into a new folder; nothing is left where it is refused.

    Regular files and folders of the layout are taken, and nothing else. Limits hold for what is really
    read, whatever the headers say. Owners, times and modes of the archive are ignored.

    Args:
        archive_path: the archive.
        target_dir: folder to make; it may exist empty.
        layout: what it may hold.
        max_bytes: most bytes of all files together.
        max_files: most entries, folders counted.

    Raises:
        DataError: one line on what is wrong with the archive.
        UsageError: the target holds something already.
        StorageError: the disk failed.
    """
    with _appearing(archive_path, target_dir, layout, ".tar.gz") as folder:
        intake = Intake(str(archive_path), layout, folder, max_bytes, max_files)
        with archive_path.open("rb") as raw, gzip.GzipFile(fileobj=raw, mode="rb") as zipped:
            _Tar(intake, cast(IO[bytes], zipped)).run()
        intake.tell_skipped()


def unpack_any(archive_path: Path, target_dir: Path, layout: Layout, max_bytes: int, max_files: int) -> tuple[str, ...]:
    """As `unpack`, of a `.zip` or a plain `.tar` as well.

    Returns:
        The names of the files that are not of the layout and were read past.
    """
    kind = archive_kind(archive_path) or "archive"
    with _appearing(archive_path, target_dir, layout, kind) as folder:
        intake = Intake(str(archive_path), layout, folder, max_bytes, max_files)
        if kind == ".zip":
            with zipfile.ZipFile(archive_path) as archive:
                _unzip(intake, archive)
        else:
            opened = gzip.open(archive_path, "rb") if kind == ".tar.gz" else archive_path.open("rb")
            with cast(IO[bytes], opened) as tar:
                _Tar(intake, tar).run()
    return tuple(intake.skipped)


def archive_kind(path: Path) -> str | None:
    """`.zip`, `.tar` or `.tar.gz`, by the beginning of the file; None if it is another kind, or cannot be read."""
    try:
        with path.open("rb") as file:
            if file.read(4) in (b"PK\x03\x04", b"PK\x05\x06"):
                return ".zip"
        if _begins_as_tar(path.open("rb")):
            return ".tar"
        return ".tar.gz" if _begins_as_tar(cast(IO[bytes], gzip.open(path, "rb"))) else None
    except (OSError, EOFError, zlib.error):
        return None


def _begins_as_tar(opened: IO[bytes]) -> bool:
    with opened as file:
        return file.read(262)[257:] == b"ustar"


@contextmanager
def _appearing(archive_path: Path, target_dir: Path, layout: Layout, kind: str) -> Iterator[Path]:
    """A folder to unpack into, which becomes `target_dir` when the block ends well; errors become typed."""
    if target_dir.exists() and (not target_dir.is_dir() or any(target_dir.iterdir())):
        raise UsageError(f"{target_dir} exists and is not empty; unpack {archive_path.name} into a new folder")
    target_dir.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpack-", dir=target_dir.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        os.replace(temporary, target_dir)
    except _BROKEN as error:
        raise DataError(f"{archive_path} is not a complete {kind} ({type(error).__name__}); {layout.remedy}") from error
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


class _Tar:
    """One tar on its way to a folder."""

    def __init__(self, intake: Intake, source: IO[bytes]) -> None:
        self.intake = intake
        self.meter = _Metered(source, lambda: intake.refused("holds more data than its headers announce"))

    def run(self) -> None:
        self.meter.allow(_HEADER_LIMIT)
        with tarfile.open(fileobj=cast(IO[bytes], self.meter), mode="r|") as archive:
            while (member := archive.next()) is not None:
                unread = self._take(archive, member)
                self.meter.allow(unread + _HEADER_LIMIT)
        if not self.intake.entries:
            raise self.intake.refused("is empty")
        # gzip compares its checksum at the end of the data only.
        while self.meter.read(_CHUNK):
            pass

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> int:
        """Deals with one entry; returns how much of it is still to be read past."""
        self.intake.count()
        name = PurePosixPath(member.name).as_posix()
        if name == "." and member.isdir():
            return 0
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or member.issparse():
            raise self.intake.refused(f"has {name!a}, which is neither a regular file nor a folder")
        target = self.intake.take(name, member.size, member.isdir())
        if target is None:
            return member.size
        self.meter.allow(member.size + _HEADER_LIMIT)
        source = archive.extractfile(member)
        assert source is not None  # it is a regular file
        self.intake.copy(source, target, member.name, member.size)
        return 0


def _unzip(intake: Intake, archive: zipfile.ZipFile) -> None:
    """Takes out a zip; `zipfile` reads no more of an entry than it announces, and compares its checksum."""
    for member in archive.infolist():
        intake.count()
        name, mode = _name_in_zip(member), member.external_attr >> 16
        is_folder, name = name.endswith("/"), PurePosixPath(name).as_posix()
        if member.flag_bits & _ENCRYPTED:
            raise intake.refused(f"has {name!a}, which is encrypted")
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise intake.refused(f"has {name!a}, which is neither a regular file nor a folder")
        target = intake.take(name, member.file_size, is_folder)
        if target is not None:
            with archive.open(member) as source:
                intake.copy(source, target, name, member.file_size)
    if not intake.entries:
        raise intake.refused("is empty")


def _name_in_zip(member: zipfile.ZipInfo) -> str:
    """The name of an entry: macOS writes UTF-8 without saying so, and Windows backslashes."""
    name = member.orig_filename
    if not member.flag_bits & _UTF8:
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            pass  # it is in the old code page, as the format says
    return name.replace("\\", "/")
