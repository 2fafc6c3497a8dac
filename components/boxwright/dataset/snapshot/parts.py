"""A dataset's images fetched and inspected in parts by several machines, before one puts the dataset together.

Each part leaves a file `<number>-of-<parts>.jsonl`: a line with the version of the code, and one for each image with
its split and name, what was listed of it, its SHA-256 and the rules that it breaks. What the last machine has a line
for, it neither fetches nor decodes: the fingerprint is the same, whoever looked at an image. One that was written
meanwhile, or that nobody of its own version has looked at, it inspects itself.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from boxwright.config import RunConfig
from boxwright.dataset.annotations import ImageRecord
from boxwright.dataset.snapshot.manifest import SplitManifest
from boxwright.dataset.validation import RULES, Inspection, inspect_images
from boxwright.errors import StorageError
from boxwright.storage import FileEntry, download, join, list_files, read_bytes, replacing, upload_file
from boxwright.version import current_version

_log = logging.getLogger("boxwright")

# Images that lie on the disk of a machine at a time, beside its cache.
_AT_A_TIME = 1000
_LARGEST_PART = 2_000_000_000

# What was listed of an image when it was inspected, None where there was no such file; and what was found.
Known = tuple[tuple[int, str] | None, Inspection]


def inspect_part(
    config: RunConfig,
    listed: Mapping[str, SplitManifest],
    images: Mapping[str, Sequence[ImageRecord]],
    number: int,
    parts: int,
    uri: str,
    scratch: Path,
) -> int:
    """Inspects every `parts`-th image of a dataset, from the image `number` on.

    Args:
        config: says how large an image may be.
        listed: the files of each split.
        images: the images of each split that the annotations name.
        number: of the part, from 0 on.
        parts: into which the dataset is divided.
        uri: folder of the files that the parts leave.
        scratch: a folder on the disk of the cache, for images while they are looked at.

    Returns:
        The number of images.

    Raises:
        UsageError, DataError, StorageError: see `boxwright.storage`.
    """
    mine = [(split, image) for split, of_split in images.items() for image in of_split][number::parts]
    with TemporaryDirectory(prefix="boxwright-part-", dir=scratch) as folder:
        path = Path(folder, "part.jsonl")
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(f"{json.dumps({'version': current_version()})}\n")
            done = 0
            for some in _batched(mine):
                for line in _inspected(config, listed, some, folder):
                    file.write(f"{json.dumps(line)}\n")
                done += len(some)
                _log.info("part %d of %d: %d of %d images are checked", number + 1, parts, done, len(mine))
        upload_file(path, join(uri, f"{number:05d}-of-{parts:05d}.jsonl"))
    return len(mine)


def _batched(mine: Sequence[tuple[str, ImageRecord]]) -> Iterator[Sequence[tuple[str, ImageRecord]]]:
    for begin in range(0, len(mine), _AT_A_TIME):
        yield mine[begin : begin + _AT_A_TIME]


def _inspected(
    config: RunConfig, listed: Mapping[str, SplitManifest], some: Sequence[tuple[str, ImageRecord]], folder: str
) -> Iterator[dict[str, Any]]:
    with TemporaryDirectory(dir=folder) as images:
        for split in dict.fromkeys(split for split, _ in some):
            records = [image for of, image in some if of == split]
            of_split = listed[split]
            entries = {name: of_split.used[name] for name in (i.file_name for i in records) if name in of_split.used}
            download(of_split.images, entries.values(), Path(images, split))
            found = inspect_images(Path(images, split), records, config.data_validation.max_megapixels)
            for record, inspection in zip(records, found, strict=True):
                yield _line(split, record.file_name, entries.get(record.file_name), inspection)


def _line(split: str, name: str, entry: FileEntry | None, inspection: Inspection) -> dict[str, Any]:
    return {
        "split": split,
        "file": name,
        "listed": [entry.size, entry.etag] if entry else None,
        "sha256": inspection.digest,
        "problems": [[rule, value] for rule, value in inspection.problems],
    }


def read_parts(uri: str) -> dict[str, dict[str, Known]]:
    """What the parts have found, by split and file name; empty where there were none.

    Raises:
        StorageError: a file is not as it was written.
        UsageError: see `boxwright.storage`.
    """
    found: dict[str, dict[str, Known]] = {}
    for entry in list_files(uri):
        place = join(uri, entry.key)
        try:
            first, *lines = read_bytes(place, _LARGEST_PART).splitlines()
            if (version := json.loads(first)["version"]) != current_version():
                _log.warning(
                    "%s is of version %s, not %s: its images are checked here", place, version, current_version()
                )
                continue
            for text in lines:
                split, name, known = _parse(json.loads(text))
                found.setdefault(split, {})[name] = known
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StorageError(
                f"{place} is not as it was written ({type(error).__name__}); clear the tasks that check images",
                file=place,
            ) from None
    return found


def _parse(line: Any) -> tuple[str, str, Known]:
    listed = None if line["listed"] is None else (int(line["listed"][0]), str(line["listed"][1]))
    problems = tuple((str(rule), value) for rule, value in line["problems"])
    if unknown := [rule for rule, _ in problems if rule not in RULES]:
        raise ValueError(f"no rule is called {unknown[0]}")
    digest = None if line["sha256"] is None else str(line["sha256"])
    return str(line["split"]), str(line["file"]), (listed, Inspection(digest, problems))


def still_known(
    known: Mapping[str, Known], listed: SplitManifest, records: Iterable[ImageRecord]
) -> dict[str, Inspection]:
    """The inspections that hold for images as they are listed now, by file name."""
    found = {}
    for record in records:
        name = record.file_name
        entry = listed.used.get(name)
        if name in known and known[name][0] == ((entry.size, entry.etag) if entry else None):
            found[name] = known[name][1]
    return found
