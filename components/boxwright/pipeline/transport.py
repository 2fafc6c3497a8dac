"""Folders that steps hand on, kept at a URI that the workers share: put there whole, and brought back where needed.

`complete.json` lists a folder's files and is put last: where it is, all are. A dataset's images are not copied: its
manifest says where they came from and what they are, so they come from there again, most often out of the cache. The
shards of examples can be fetched while training is under way already.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from boxwright.dataset.examples import COMPLETE_FILE, SHARDS, leave_shards
from boxwright.dataset.snapshot import IMAGES, MANIFEST_FILE, read_lines
from boxwright.errors import StorageError
from boxwright.storage import FileEntry, download, exists, join, list_files, upload_folder, write_json


def publish_folder(folder: Path, uri: str, anew: bool = False) -> None:
    """Puts a finished folder at `uri`, unless it is there already.

    Args:
        folder: what to put there.
        uri: where it goes.
        anew: also where one is: what an earlier try has left, which did not come to its end.

    Raises:
        UsageError, StorageError: see `boxwright.storage`.
    """
    if not anew and exists(join(uri, COMPLETE_FILE)):
        return
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    rebuilt = (folder / MANIFEST_FILE).exists()
    kept = [name for name in names if not (rebuilt and name.split("/")[1:2] == [IMAGES])]
    write_json(folder / COMPLETE_FILE, {"files": [name for name in kept if name != COMPLETE_FILE]})
    upload_folder(folder, uri, last=COMPLETE_FILE, names=kept)


def bring_folder(uri: str, folder: Path, shards_ahead: bool = False) -> None:
    """Brings a folder back, unless it is there.

    Args:
        uri: where `publish_folder` put it.
        folder: where to.
        shards_ahead: leave the shards of training examples to `dataset.examples.shards_of`.

    Raises:
        StorageError: it is not there, or not whole; or see `boxwright.storage`.
    """
    if (folder / COMPLETE_FILE).exists():
        return
    entries = {entry.key: entry for entry in list_files(uri)}
    if COMPLETE_FILE not in entries:
        if folder.exists() and any(folder.iterdir()):
            return  # made here, before there was a place to share it
        raise StorageError(f"{uri} is missing or incomplete; clear the step that writes it")
    later = [entry for entry in entries.values() if shards_ahead and Path(entry.key).match(f"training/{SHARDS}")]
    last = entries.pop(COMPLETE_FILE)
    download(uri, [entry for entry in entries.values() if entry not in later], folder)
    if (folder / MANIFEST_FILE).exists():
        _bring_images(folder)
    if later:
        # Without the mark of a whole folder: who does not fetch ahead brings the shards as well.
        leave_shards(folder, uri, later)
    else:
        download(uri, [last], folder)


def _bring_images(folder: Path) -> None:
    sources: dict[str, str] = {}
    wanted: dict[str, list[FileEntry]] = defaultdict(list)
    for line in read_lines(folder / MANIFEST_FILE):
        if "source" in line:
            sources[line["split"]] = line["source"]
        elif "sha256" in line:
            facts = {name: line[name] for name in ("size", "etag", "version", "modified")}
            wanted[line["split"]].append(FileEntry(line["key"].removeprefix(f"{IMAGES}/"), **facts))
    for split, entries in wanted.items():
        download(join(sources[split], IMAGES), entries, folder / split / IMAGES)
