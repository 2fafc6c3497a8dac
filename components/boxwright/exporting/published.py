"""The exports that a run has measured and kept beside its archive, for the runtimes of this machine."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from boxwright.errors import BoxwrightError, DataError
from boxwright.evaluation import FormatRecord, FormatsSummary
from boxwright.exporting.facts import METADATA_FILE, ExportFacts
from boxwright.exporting.formats import parse_name
from boxwright.exporting.kept import place_of, remove_unused
from boxwright.model import WEIGHTS_FILE, load_card
from boxwright.storage import download_file, explain_os_error, join, list_files, sha256_of

_LARGEST_BYTES, _MOST_FILES = 4 << 30, 20
_log = logging.getLogger("boxwright")


def published_exports(model_dir: Path, archive: str) -> Iterator[tuple[str, Path]]:
    """Name and folder of the exports that lost little in their run and that this machine runs, the fastest first.

    Each is fetched from beside the archive when it is asked for, once on a machine.

    Args:
        model_dir: the unpacked archive.
        archive: its URI.
    """
    beside = archive.rpartition("/")[0]
    try:
        records = FormatsSummary.read(beside).kept
    except DataError:
        return  # a run without formats, one of an early version, or a folder
    except BoxwrightError as error:
        _log.warning("the formats that the run of %s has kept are not looked at: %s", archive, error)
        return
    for record in sorted(filter(_runs_here, records), key=_milliseconds):
        try:
            yield record.name, _fetched(model_dir, join(beside, str(record.folder)), record.name)
        except BoxwrightError as error:
            _log.warning("%s beside %s is not used: %s", record.name, archive, error)


def _milliseconds(record: FormatRecord) -> float:
    return record.measured.latency_ms if record.measured else float("inf")


def _runs_here(record: FormatRecord) -> bool:
    with suppress(BoxwrightError):
        kind, _ = parse_name(record.name)
        kind.check_installed(precision=None)
        return record.folder is not None
    return False


def _fetched(model_dir: Path, uri: str, name: str) -> Path:
    """The folder of a published export, one that was made from the archive's weights."""
    place = place_of(model_dir)
    folder = place / f"published-{name.replace(':', '-')}"
    if (folder / METADATA_FILE).exists():
        return folder
    remove_unused(place.parent)
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=place) as temporary:
        fetched = Path(temporary, "new")
        _fetch(uri, fetched)
        _check_is_of(fetched, model_dir, uri)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            fetched.rename(folder)
        except OSError as error:
            raise explain_os_error(error, str(folder)) from None
    return folder


def _fetch(uri: str, folder: Path) -> None:
    files = list_files(uri)
    if len(files) > _MOST_FILES or sum(file.size for file in files) > _LARGEST_BYTES:
        raise DataError(f"{uri} has more than {_MOST_FILES} files or {_LARGEST_BYTES:,} bytes")
    for file in files:
        if "/" not in file.key:
            download_file(join(uri, file.key), folder / file.key)


def _check_is_of(folder: Path, model_dir: Path, uri: str) -> None:
    facts, card = ExportFacts.read(folder), load_card(model_dir)
    if facts.weights != sha256_of(model_dir / WEIGHTS_FILE):
        raise DataError(f"{uri} was made from other weights than those of the archive; export the model again")
    if (facts.classes, facts.category_ids) != (card.classes, card.category_ids):
        raise DataError(f"{uri} names other classes than the archive; export the model again")
