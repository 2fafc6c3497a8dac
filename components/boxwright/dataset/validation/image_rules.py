"""Image files, untrusted: each is read once, hashed, decoded whole, and compared with what is declared."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from boxwright.dataset.annotations import ImageRecord
from boxwright.errors import shorten
from boxwright.images import is_quarter_turned, on_one_line, open_image, orientation_of, unreadable_reason
from boxwright.storage import explain_os_error

if TYPE_CHECKING:
    from PIL import Image

_SUFFIXES = {"JPEG": (".jpg", ".jpeg"), "MPO": (".jpg", ".jpeg"), "PNG": (".png",)}
_MODE_RULES = {
    "1": "image_grayscale",
    "L": "image_grayscale",
    "LA": "image_rgba",
    "PA": "image_rgba",
    "RGBA": "image_rgba",
    "CMYK": "image_cmyk",
}
_PNG_DEPTH = 24  # offset of the bit depth in a PNG file
_HEADER = 32
# Above this, few at a time: memory must not grow with the size of the images times the number of cores.
_LARGE_PIXELS = 16_000_000
_LARGE = threading.Semaphore(2)

Problem = tuple[str, Any]


@dataclass(frozen=True)
class Inspection:
    """What one image file is like.

    Attributes:
        digest: SHA-256 of the file's bytes in hexadecimal; None where there is no file.
        problems: the broken rules by name, each with the value that breaks it.
    """

    digest: str | None
    problems: tuple[Problem, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether it could be decoded, so that comparing it with others says something."""
        unusable = {"image_missing", "image_undecodable", "image_too_large"}
        return self.digest is not None and not any(rule in unusable for rule, _ in self.problems)


@dataclass(frozen=True)
class Place:
    """Where an image stands: `index` is its position in the `images` of the annotations file of `split`."""

    split: str
    index: int
    file: str

    def __str__(self) -> str:
        return f"{self.split}: images[{self.index}] {shorten(self.file, 260)}"


def inspect_images(folder: Path, records: Sequence[ImageRecord], max_megapixels: float) -> list[Inspection]:
    """Inspects the files of a split on all cores that this process may use.

    Args:
        folder: what `file_name` is relative to.
        records: what the annotations declare.
        max_megapixels: larger images are not decoded.

    Returns:
        One inspection a record, in the same order.

    Raises:
        UsageError, StorageError: a file is there and cannot be read.
    """
    # Pillow decodes, and hashlib hashes, outside Python's lock: threads reach all cores and need no start-up.
    workers = max(1, min(len(os.sched_getaffinity(0)), len(records)))

    def inspect(part: int) -> list[Inspection]:
        return [inspect_image(folder / record.file_name, record, max_megapixels) for record in records[part::workers]]

    found: list[Inspection] = [Inspection(None)] * len(records)
    with ThreadPoolExecutor(workers) as pool:
        for part, inspections in enumerate(pool.map(inspect, range(workers))):
            found[part::workers] = inspections
    return found


def inspect_image(path: Path, record: ImageRecord, max_megapixels: float) -> Inspection:
    """Hashes and decodes one file.

    Raises:
        UsageError, StorageError: the file is there and cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            return Inspection(digest, tuple(_problems(file, record, max_megapixels)))
    except FileNotFoundError:
        return Inspection(None, (("image_missing", None),))
    except OSError as error:
        raise explain_os_error(error, str(path)) from error


def duplicates(by_split: Mapping[str, Sequence[tuple[Place, Inspection]]]) -> Iterator[tuple[Place, Problem]]:
    """Byte-identical images: within a split, and across splits, where they make the metrics worthless.

    Args:
        by_split: the images of each split; of two equal ones the later is named, so training comes first.

    Yields:
        The later image, with the rule and the earlier image.
    """
    before: dict[str, Place] = {}
    for images in by_split.values():
        own: dict[str, Place] = {}
        for place, inspection in images:
            if not inspection.digest or not inspection.is_usable:
                continue
            if earlier := before.get(inspection.digest):
                yield place, ("duplicate_image_across_splits", str(earlier))
            if twin := own.get(inspection.digest):
                yield place, ("duplicate_image_within_split", str(twin))
            else:
                own[inspection.digest] = place
        before = {**own, **before}


def _problems(file: BinaryIO, record: ImageRecord, max_megapixels: float) -> list[Problem]:
    from PIL import Image

    header = file.read(_HEADER)
    file.seek(0)
    try:
        with open_image(file) as image:
            if image.width * image.height > max_megapixels * 1e6:
                return [("image_too_large", f"{image.width} x {image.height}")]
            with _room_for(image):
                if image.format == "PNG":
                    _verify(file)
                image.load()
            return list(_differences(image, header, record))
    except Image.DecompressionBombError as error:
        return [("image_too_large", on_one_line(error))]
    except Exception as error:  # Pillow's decoders raise many types on broken bytes, and this is where they come in
        return [("image_undecodable", unreadable_reason(file, header, error))]


def _room_for(image: Image.Image) -> AbstractContextManager[Any]:
    return _LARGE if image.width * image.height > _LARGE_PIXELS else nullcontext()


def _verify(file: BinaryIO) -> None:
    """Checks the check sums of a PNG, which Pillow's decoder passes over and TensorFlow's does not."""
    position = file.tell()
    file.seek(0)
    open_image(file).verify()
    file.seek(position)


def _differences(image: Image.Image, header: bytes, record: ImageRecord) -> Iterator[Problem]:
    """What is unusual about a picture that can be decoded."""
    suffix, kind = PurePosixPath(record.file_name).suffix.lower(), str(image.format)
    if suffix not in _SUFFIXES[kind]:
        yield "image_extension_mismatch", f"{kind} in a file {suffix}"
    if kind == "PNG" and getattr(image, "n_frames", 1) > 1:
        yield "image_animated", f"{getattr(image, 'n_frames', 0)} frames"
    if image.mode.startswith(("I", "F")) or (kind == "PNG" and header[_PNG_DEPTH] == 16):
        yield "image_16bit", f"16 bits a channel, mode {image.mode}"
    elif image.mode == "P" and "transparency" in image.info:
        yield "image_rgba", "palette with transparency"
    elif image.mode in _MODE_RULES:
        yield _MODE_RULES[image.mode], f"mode {image.mode}"
    yield from _size_and_orientation(image, record)


def _size_and_orientation(image: Image.Image, record: ImageRecord) -> Iterator[Problem]:
    orientation, declared = orientation_of(image), (record.width, record.height)
    shown = (image.height, image.width) if is_quarter_turned(orientation) else image.size
    if declared not in (image.size, shown):
        yield "image_size_mismatch", f"{_by(image.size)} in the file, {_by(declared)} declared"
    elif orientation != 1 and (declared != shown or shown == image.size):
        # Only a quarter turn whose declared size is the turned one proves that the boxes were drawn on what is shown.
        yield "image_orientation", f"EXIF orientation {orientation}, {_by(declared)} declared, {_by(image.size)} stored"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
