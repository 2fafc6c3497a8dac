"""The manifest of a dataset: every file of its prefixes as it was listed, and the content of those that were used.

`manifest.jsonl` has a line for each file, so that a million of them can be read one at a time:
`{"split", "key", "size", "etag", "version", "modified", "sha256"}`; `key` is relative to the split's `source`, which
the split's first line names. Files that no annotation names have no `sha256` and were not fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from boxwright.config import SPLITS
from boxwright.errors import DataError, shorten
from boxwright.storage import FileEntry, join, list_files, replacing, stat

MANIFEST_FILE = "manifest.jsonl"
IMAGES = "images"
_TEXTS = ("split", "key", "sha256", "source", "etag")
_LISTED = ("size", "etag", "version", "modified")


@dataclass(frozen=True)
class SplitManifest:
    """The files of one split.

    Attributes:
        source: URI of the folder that they lie in.
        annotations: the annotations file, as it was before it was read.
        used: files below `images/` that the annotations name, by name.
        unused: the other files there.
    """

    source: str
    annotations: FileEntry
    used: dict[str, FileEntry]
    unused: tuple[FileEntry, ...]

    @property
    def images(self) -> str:
        """URI of the folder that `used` and `unused` are relative to."""
        return join(self.source, IMAGES)


def list_split(source: str, annotations_uri: str, file_names: Iterable[str]) -> SplitManifest:
    """Lists a split's images, once.

    Args:
        source: URI of the split.
        annotations_uri: of its annotations file.
        file_names: those that the annotations name.

    Raises:
        UsageError, DataError, StorageError: see `boxwright.storage`.
    """
    names = set(file_names)
    listed = list_files(join(source, IMAGES))
    return SplitManifest(
        source=source,
        annotations=stat(annotations_uri),
        used={entry.key: entry for entry in listed if entry.key in names},
        unused=tuple(entry for entry in listed if entry.key not in names),
    )


def write_manifest(path: Path, splits: Mapping[str, SplitManifest], digests: Mapping[str, Mapping[str, str]]) -> None:
    """Writes the manifest, atomically.

    Args:
        path: the file.
        splits: the listed files.
        digests: SHA-256 of each image that is part of the dataset, by split and name.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for split, manifest in splits.items():
            for line in _lines(split, manifest, digests[split]):
                file.write(f"{json.dumps(line)}\n")


def _lines(split: str, manifest: SplitManifest, digests: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    yield {"split": split, "source": manifest.source, "unused": len(manifest.unused)}
    yield {"split": split, **asdict(manifest.annotations)}
    for name, entry in manifest.used.items():
        content = {"sha256": digests[name]} if name in digests else {}
        yield {"split": split, **asdict(entry), "key": f"{IMAGES}/{name}", **content}
    for entry in manifest.unused:
        yield {"split": split, **asdict(entry), "key": f"{IMAGES}/{entry.key}"}


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a manifest, one at a time.

    Raises:
        DataError: there is no manifest.
    """
    try:
        with path.open(encoding="utf-8") as file:
            yield from map(_read_line, file)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: expected a manifest ({type(error).__name__}); run download_dataset", file=str(path)
        ) from error


def _read_line(text: str) -> dict[str, Any]:
    line = json.loads(text)
    if not isinstance(line, dict) or not all(isinstance(line.get(name, ""), str) for name in _TEXTS):
        raise ValueError("a line is not an entry of a manifest")
    if "source" in line and line.get("split") not in SPLITS:
        raise ValueError("a source is not of a split")
    if "sha256" in line and not {"split", "key", *_LISTED} <= line.keys():
        raise ValueError("an entry lacks its split, its key or what was listed")
    if not isinstance(line.get("size", 0), int) or not all(
        line.get(name) is None or isinstance(line[name], str) for name in ("version", "modified")
    ):
        raise ValueError("what was listed of an entry is not as it was written")
    return line


@dataclass(frozen=True)
class DatasetImages:
    """The images of one split that are part of the dataset.

    Attributes:
        uri: of the folder that they came from.
        entries: each as it was listed there, by name.
        digests: SHA-256 of each, by name.
    """

    uri: str
    entries: dict[str, FileEntry]
    digests: dict[str, str]


def read_images(path: Path) -> dict[str, DatasetImages]:
    """The images of a dataset, by split.

    Raises:
        DataError: there is no manifest.
    """
    found: dict[str, DatasetImages] = {}
    for line in read_lines(path):
        if "source" in line:
            found[line["split"]] = DatasetImages(join(line["source"], IMAGES), {}, {})
        elif "sha256" in line:
            if line["split"] not in found:
                raise DataError(
                    f"{path}: expected the source of split {shorten(line['split'])} before its images; run "
                    "download_dataset again",
                    file=str(path),
                )
            name = line["key"].removeprefix(f"{IMAGES}/")
            found[line["split"]].entries[name] = FileEntry(name, **{field: line[field] for field in _LISTED})
            found[line["split"]].digests[name] = line["sha256"]
    return found
