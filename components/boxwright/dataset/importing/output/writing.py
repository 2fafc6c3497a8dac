"""Writes a set as Boxwright reads it: a folder with images/ and annotations.json, or one for each split."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.config import ANNOTATIONS_FILE
from boxwright.dataset.importing.source import SourceImage, shown
from boxwright.errors import DataError
from boxwright.storage import explain_os_error


@dataclass(frozen=True, slots=True)
class ReadyImage:
    """An image that is ready to be written: its record, the size to declare, and new bytes where it gets such."""

    image: SourceImage
    size: tuple[int, int]
    data: bytes | None = None


def write_sets(by_split: Mapping[str, Sequence[ReadyImage]], categories: Mapping[str, int], out_dir: Path) -> None:
    """Writes all splits, or none; "" is the name of a set without splits.

    Args:
        by_split: the images of each split.
        categories: ids by name.
        out_dir: a new or empty folder.
    """
    with appearing(out_dir) as whole:
        for split, images in by_split.items():
            folder = whole / split if split else whole
            for ready in images:
                _bring(ready, folder / "images" / ready.image.out_name)
            write_document(folder / ANNOTATIONS_FILE, _lists(images, categories))


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `folder` when the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        # A folder of its own inside: mkdtemp's is private to its owner, the dataset is not.
        whole = Path(scratch) / "set"
        whole.mkdir()
        yield whole
        os.replace(whole, folder)


def _bring(ready: ReadyImage, target: Path) -> None:
    content = ready.data if ready.data is not None else ready.image.content and ready.image.content()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            with target.open("xb") as file:
                file.write(content)
            return
        assert ready.image.path is not None
        link_or_copy(ready.image.path, target)
    except (FileExistsError, NotADirectoryError):
        raise DataError(
            f"{ready.image.where}: the disk does not tell {shown(ready.image.out_name)} from another name; rename one"
        ) from None
    except OSError as error:
        # By its own name, not by that of the folder that it is written to first.
        raise explain_os_error(OSError(error.errno, error.strerror), ready.image.out_name) from error


def link_or_copy(source: Path, target: Path) -> None:
    """A second link to a file, or a copy where links cannot be; what is linked by name is followed.

    Raises:
        FileExistsError: `target` is there.
    """
    try:
        os.link(os.path.realpath(source) if source.is_symlink() else source, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def write_document(path: Path, lists: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    """Writes an object of lists as JSON, a record a line: as fast as without lines, and without it all in memory."""
    encode = json.JSONEncoder(allow_nan=False).encode
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for position, (name, records) in enumerate(lists.items()):
            file.write(f"{',' if position else '{'}\n{encode(name)}: [")
            for number, record in enumerate(records):
                file.write(f"{',' if number else ''}\n{encode(record)}")
            file.write("]")
        file.write("\n}\n")


def _lists(images: Sequence[ReadyImage], categories: Mapping[str, int]) -> dict[str, Iterable[dict[str, Any]]]:
    return {
        "images": (
            {"file_name": ready.image.out_name, "height": ready.size[1], "width": ready.size[0], "id": number}
            for number, ready in enumerate(images)
        ),
        "annotations": (
            {
                "image_id": number,
                "bbox": [_plain(value) for value in found.bbox],
                "category_id": categories[found.label],
            }
            | ({"iscrowd": 1} if found.crowd else {})
            for number, ready in enumerate(images)
            for found in ready.image.objects
        ),
        "categories": ({"id": key, "name": name} for name, key in categories.items()),
    }


def _plain(value: float) -> int | float:
    return int(value) if value == int(value) else value
