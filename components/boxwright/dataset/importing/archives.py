"""An archive as the source of a conversion: unpacked beside what is written, and gone when that is done."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from boxwright.dataset.importing.readers import is_record_file
from boxwright.dataset.importing.source import PACKED, Account, is_picture, shown
from boxwright.errors import UsageError
from boxwright.storage import Layout, archive_kind, is_leftover, unpack_any

_LABELS = (
    *(".json", ".jsonl", ".jsonlines", ".ndjson", ".manifest", ".lst", ".xml", ".txt", ".yaml", ".yml", ".csv", ".tsv"),
    *(".names", ".data", ".labels", ".pbtxt"),
)
_MOST_FILES = 5_000_000
_SLACK = 1 << 30  # bytes
_DENSEST = 100  # times its own size that an archive of pictures and labels unpacks to at most
_SHARE = 0.95  # of the free disk


@dataclass(frozen=True)
class _SetLayout(Layout):
    """Pictures and files of labels, in any folders; what is neither is read past."""

    def problem(self, name: str, is_folder: bool) -> str | None:  # noqa: ARG002 - the signature is Layout's
        """None: folders are free."""
        return None

    def listed(self) -> str:
        """What is taken, in words."""
        return "pictures and files of labels"

    def within(self, name: str) -> str | None:
        """The name as it is; None for what a system left behind, and for what is neither a picture nor labels."""
        parts = name.split("/")
        if any(map(is_leftover, parts)) or name.lower().endswith(PACKED):
            return None
        is_folder_like = "." not in parts[-1]
        taken = is_folder_like or is_picture(name) or name.lower().endswith(_LABELS) or is_record_file(name)
        return name if taken else None


_LAYOUT = _SetLayout((), (), "a labelled set", "fetch or export it again")


@contextmanager
def opened(source: Path, out_dir: Path, account: Account) -> Iterator[Path]:
    """The folder or file to read: `source` itself, or where it is an archive the folder that it is unpacked to.

    Args:
        source: what the user gave.
        out_dir: beside it an archive is unpacked, so that files can be linked rather than copied.
        account: receives what of an archive is not unpacked.

    Raises:
        DataError: the archive is broken, or holds what is not safe to unpack.
    """
    kind = archive_kind(source) if source.is_file() else None
    if kind is None:
        if source.is_file() and source.name.lower().endswith(PACKED):
            raise UsageError(f"{source} is not a .zip, .tar or .tar.gz by its content; unpack it and give the folder")
        yield source
        return
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out_dir.name}-source-", dir=out_dir.parent) as scratch:
        folder = Path(scratch, "set")
        free = int(shutil.disk_usage(scratch).free * _SHARE)
        most = min(free, source.stat().st_size * _DENSEST + _SLACK)
        for name in unpack_any(source, folder, _LAYOUT, most, _MOST_FILES):
            if name.lower().endswith(PACKED):
                account.left_out("compressed inside of the archive, not unpacked", shown(name))
            elif any(map(is_leftover, name.split("/"))):
                account.noted("left behind by a system, not part of the set", shown(name))
            else:
                account.noted("neither a picture nor a file of labels, not unpacked", shown(name))
        yield folder
