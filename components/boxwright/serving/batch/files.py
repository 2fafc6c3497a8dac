"""Detections on files: local ones and those in buckets, in batches, read ahead of the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from boxwright.config import ServingConfig
from boxwright.errors import DataError
from boxwright.serving.engine import Decoders, Detections, ModelInfo, Picture, Predictor
from boxwright.storage import is_leftover, join, list_files, parse_uri, read_bytes

SUFFIXES = (".jpg", ".jpeg", ".png")
BATCH = 8
_READERS = 4
# A file and what reading it gave.
_Read = tuple[str, Picture | DataError]


@dataclass(frozen=True)
class Looked:
    """One file and what came of it.

    Attributes:
        uri: of the file.
        picture: None where it could not be read.
        result: detections, best first, or why there are none.
    """

    uri: str
    picture: Picture | None
    result: Detections | DataError


def images_at(uri: str) -> list[str]:
    """The images that a URI stands for: itself, or every .jpg, .jpeg and .png below it, sorted.

    What a system left behind, as macOS's `._x.jpg`, is not an image.

    Raises:
        DataError: there are none.
        UsageError, StorageError: see `boxwright.storage`.
    """
    location = parse_uri(uri)
    is_image = location.key.lower().endswith(SUFFIXES)
    if location.bucket is None:
        is_image = location.path.is_file() or (is_image and not location.path.is_dir())
    if is_image:
        return [str(location)]
    found = [
        join(uri, entry.key)
        for entry in list_files(uri)
        if entry.key.lower().endswith(SUFFIXES) and not any(map(is_leftover, entry.key.split("/")))
    ]
    if not found:
        raise DataError(f"{uri} has no image; expected {', '.join(SUFFIXES)} files below it")
    return found


def look_at(
    predictor: Predictor,
    uris: Sequence[str],
    limits: ServingConfig,
    decoders: Decoders | None = None,
    fetch: Callable[[str], bytes] | None = None,
) -> Iterator[Looked]:
    """Runs the model on files, in their order; a file that is not an image, too large or too slow gives an error.

    Args:
        predictor: the model.
        uris: of the files.
        limits: largest file and image, which bounds a batch as well, and the seconds in which one is decoded.
        decoders: to decode with; they stay. Some are made for this call, by the limits, if unset.
        fetch: gives the bytes of a file by its URI; from storage if unset.

    Raises:
        UsageError, StorageError: storage cannot be read.
    """
    fetch = fetch or partial(read_bytes, limit=limits.max_bytes)
    readers = max(1, min(_READERS, len(uris)))
    with ThreadPoolExecutor(readers, "read") as pool, ExitStack() as opened:
        in_use = decoders or opened.enter_context(_decoding(readers, limits))

        def read(uri: str) -> Picture | DataError:
            try:
                return in_use.read(fetch(uri))
            except DataError as error:
                return error

        for batch in _batches(_ahead(pool, read, uris), limits.max_pixels):
            yield from _run(predictor, batch)


@contextmanager
def _decoding(count: int, limits: ServingConfig) -> Iterator[Decoders]:
    decoders = Decoders(count, limits.max_pixels, limits.decode_timeout)
    try:
        yield decoders
    finally:
        decoders.stop()


def _batches(ahead: Iterable[_Read], max_pixels: int) -> Iterator[list[_Read]]:
    """The files that go to the model together: at most `BATCH`, and no more pixels than the largest image has."""
    waiting: list[_Read] = []
    for one in ahead:
        if waiting and (len(waiting) == BATCH or _pixels([*waiting, one]) > max_pixels):
            yield waiting
            waiting = []
        waiting.append(one)
    if waiting:
        yield waiting


def _ahead(pool: ThreadPoolExecutor, read: Any, uris: Sequence[str]) -> Iterator[_Read]:
    """Results in order, with at most two batches read ahead."""
    left = iter(uris)
    jobs: deque[tuple[str, Future[Picture | DataError]]] = deque(
        (uri, pool.submit(read, uri)) for uri in islice(left, 2 * BATCH)
    )
    try:
        while jobs:
            uri, job = jobs.popleft()
            yield uri, job.result()
            jobs.extend((uri, pool.submit(read, uri)) for uri in islice(left, 1))
    finally:
        for _, job in jobs:
            job.cancel()


def _pixels(waiting: Sequence[_Read]) -> int:
    return sum(one.width * one.height for _, one in waiting if isinstance(one, Picture))


def _run(predictor: Predictor, waiting: Sequence[_Read]) -> Iterator[Looked]:
    results = iter(predictor.predict([one for _, one in waiting if isinstance(one, Picture)]))
    for uri, one in waiting:
        if isinstance(one, Picture):
            yield Looked(uri, one, next(results))
        else:
            yield Looked(uri, None, one)


def record(looked: Looked, image_id: int, file_name: str, info: ModelInfo, threshold: float) -> dict[str, Any]:
    """The record of one file, for one line of JSON Lines.

    Returns:
        `image_id`, `file_name`, and either `width`, `height` and `detections`, or `error`. Detections are COCO results
        (`image_id`, `category_id` of the training dataset, `bbox` as `[x, y, width, height]` in pixels, `score`) with
        the class name as `label`, best first.
    """
    told: dict[str, Any] = {"image_id": image_id, "file_name": file_name}
    if looked.picture is None or not isinstance(looked.result, Detections):
        return told | {"error": str(looked.result)}
    found = looked.result.at_least(threshold)
    width, height = looked.picture.width, looked.picture.height
    boxes = found.boxes.astype("float64")
    corner, extent = boxes[:, 1::-1] * (width, height), (boxes[:, :1:-1] - boxes[:, 1::-1]) * (width, height)
    rows = zip(corner.tolist(), extent.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True)
    detections = [
        {
            "image_id": image_id,
            "category_id": info.category_ids[row],
            "label": info.classes[row],
            "bbox": [round(side, 3) for side in (*start, *size)],
            "score": round(score, 6),
        }
        for start, size, row, score in rows
    ]
    return told | {"width": width, "height": height, "detections": detections}
