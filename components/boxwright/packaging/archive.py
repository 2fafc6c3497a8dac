"""`model.tar.gz`: packed with bytes that depend on the content only, unpacked as what it is: somebody's upload."""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path

from boxwright.errors import DataError
from boxwright.packaging.exports import FORMATS
from boxwright.storage import Layout, replacing
from boxwright.storage import unpack as unpack_archive

FOLDERS = tuple(export.name for export in FORMATS if export.is_folder)
FILES = (
    *(export.name for export in FORMATS if not export.is_folder),
    "model.weights.h5",
    "model.json",
    "label_map.json",
    "label_map.pbtxt",
    "run.json",
    "metrics.json",
    "sample.json",
)
LAYOUT = Layout(
    folders=FOLDERS,
    files=FILES,
    kind="a model package",
    remedy="upload it again from a finished run",
    # SageMaker repacks an archive with the code of its own container.
    skipped=("code",),
)


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
        raise DataError(f"{source_dir} is empty or missing; expected {LAYOUT.listed()}")
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
    if problem := LAYOUT.problem(name, path.is_dir()):
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
    """Unpacks an untrusted `model.tar.gz` into a new folder; see `storage.unpack`."""
    unpack_archive(archive_path, target_dir, LAYOUT, max_bytes, max_files)
