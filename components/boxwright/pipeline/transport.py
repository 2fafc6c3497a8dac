"""Folders that steps hand on, kept at a URI that the workers share: put there whole, and brought back where needed.

`complete.json` lists a folder's files and is put last: where it is, all are. A dataset's images are not copied: its
manifest says where they came from and what they are, so they come from there again, most often out of the cache. The
shards of examples can be fetched while training is under way already.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from boxwright.dataset.examples import COMPLETE_FILE, MARKS, SHARDS, leave_shards, shards_left
from boxwright.dataset.snapshot import IMAGES, MANIFEST_FILE, read_images
from boxwright.errors import StorageError
from boxwright.storage import download, exists, join, list_files, upload_file, upload_missing, write_json


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
    kept = [name for name in names if not (rebuilt and name.split("/")[1:2] == [IMAGES]) and name not in MARKS]
    elsewhere = [entry.key for entry in shards_left(folder)]
    whole = not elsewhere and (not rebuilt or _has_images(folder))
    with TemporaryDirectory(prefix="boxwright-") as temporary:
        # Only of a folder that is whole here, too: shards may be at `uri` alone, and images where they came from.
        mark = (folder if whole else Path(temporary)) / COMPLETE_FILE
        write_json(mark, {"files": sorted([*kept, *elsewhere])})
        upload_missing(folder, uri, kept)
        upload_file(mark, join(uri, COMPLETE_FILE))


def bring_folder(uri: str, folder: Path, shards_ahead: bool = False, images: bool = True) -> None:
    """Brings a folder back, unless it is there.

    Args:
        uri: where `publish_folder` put it.
        folder: where to.
        shards_ahead: leave the shards of training examples to `dataset.examples.shards_of`.
        images: bring a dataset's images as well.

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
    rebuilt = (folder / MANIFEST_FILE).exists()
    if rebuilt and images:
        _bring_images(folder)
    # What is not whole gets no mark that it is: who wants the rest brings it.
    if later:
        leave_shards(folder, uri, later)
    elif images or not rebuilt:
        download(uri, [last], folder)


def _has_images(folder: Path) -> bool:
    found = read_images(folder / MANIFEST_FILE)
    return all((folder / split / IMAGES / name).exists() for split, images in found.items() for name in images.entries)


def _bring_images(folder: Path) -> None:
    for split, images in read_images(folder / MANIFEST_FILE).items():
        download(images.uri, images.entries.values(), folder / split / IMAGES)
