"""Image files, untrusted: each is read once, hashed, decoded whole, and held against the rules about pictures."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from boxwright.dataset.annotations import ImageRecord
from boxwright.dataset.validation.checks import PictureCheck, TwinCheck
from boxwright.dataset.validation.image_measures import Picture, Place, Twins
from boxwright.dataset.validation.rules import IMAGE_MISSING, IMAGE_TOO_LARGE, IMAGE_UNDECODABLE, RULES
from boxwright.images import on_one_line, open_image, too_complex, unreadable_reason, viewed
from boxwright.storage import explain_os_error

if TYPE_CHECKING:
    from PIL import Image

_HEADER = 32
# Above this, few at a time: memory must not grow with the size of the images times the number of cores.
_LARGE_PIXELS = 16_000_000
_LARGE = threading.Semaphore(2)

Problem = tuple[str, Any]


@dataclass(frozen=True)
class Inspection:
    """The properties of one image file.

    Attributes:
        digest: SHA-256 of the file's bytes in hexadecimal; None where there is no file.
        problems: the broken rules by name, each with the value that breaks it.
    """

    digest: str | None
    problems: tuple[Problem, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether it could be decoded, so that comparing it with others says something."""
        return self.digest is not None and not any(RULES[rule].spoils_image for rule, _ in self.problems)


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
        return Inspection(None, ((IMAGE_MISSING.name, None),))
    except OSError as error:
        raise explain_os_error(error, str(path)) from error


def duplicates(by_split: Mapping[str, Sequence[tuple[Place, Inspection]]]) -> Iterator[tuple[Place, Problem]]:
    """Byte-identical images: within a split, and across splits, where they make the metrics worthless.

    Args:
        by_split: the images of each split; of two equal ones the later is named, so training comes first.

    Yields:
        The later image, with the rule and the earlier image.
    """
    asked = [(rule.name, check) for rule in RULES.values() for check in rule.of_kind(TwinCheck)]
    before: dict[str, Place] = {}
    for images in by_split.values():
        own: dict[str, Place] = {}
        for place, inspection in images:
            if not inspection.digest or not inspection.is_usable:
                continue
            twins = Twins(own.get(inspection.digest), before.get(inspection.digest))
            for rule, check in asked:
                if (earlier := check.measure(twins)) is not None:
                    yield place, (rule, str(earlier))
            own.setdefault(inspection.digest, place)
        before = {**own, **before}


def _problems(file: BinaryIO, record: ImageRecord, max_megapixels: float) -> list[Problem]:
    from PIL import Image

    header = file.read(_HEADER)
    file.seek(0)
    try:
        with open_image(file) as image:
            if image.width * image.height > max_megapixels * 1e6:
                return [(IMAGE_TOO_LARGE.name, f"{image.width} x {image.height}")]
            if reason := _too_complex(file, image, max_megapixels):
                return [(IMAGE_UNDECODABLE.name, reason)]
            with _room_for(image):
                if image.format == "PNG":
                    _verify(file)
                image.load()
            return _differences(Picture(image, header, record))
    except Image.DecompressionBombError as error:
        return [(IMAGE_TOO_LARGE.name, on_one_line(error))]
    except Exception as error:  # Pillow's decoders raise many types on broken bytes, and this is where they come in
        return [(IMAGE_UNDECODABLE.name, unreadable_reason(file, header, error))]


def _room_for(image: Image.Image) -> AbstractContextManager[Any]:
    return _LARGE if image.width * image.height > _LARGE_PIXELS else nullcontext()


def _too_complex(file: BinaryIO, image: Image.Image, max_megapixels: float) -> str | None:
    with viewed(file) as data:
        return too_complex(data, image.format, image.width * image.height, int(max_megapixels * 1e6))


def _verify(file: BinaryIO) -> None:
    """Checks the check sums of a PNG, which Pillow's decoder passes over and TensorFlow's does not."""
    position = file.tell()
    file.seek(0)
    open_image(file).verify()
    file.seek(position)


def _differences(picture: Picture) -> list[Problem]:
    """The unusual properties of a picture that can be decoded, in the order of the rules."""
    asked = ((rule.name, check.measure(picture)) for rule in RULES.values() for check in rule.of_kind(PictureCheck))
    return [(rule, value) for rule, value in asked if value is not None]
