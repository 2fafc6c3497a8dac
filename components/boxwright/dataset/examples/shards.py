"""The work of building examples: one shard at a time, the same in this process, in a pool, and on a Beam cluster."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from boxwright.dataset.annotations import Box, ImageRecord
from boxwright.dataset.examples.tfrecord import encode_example, write_record
from boxwright.errors import StorageError
from boxwright.images import encoded_image
from boxwright.storage import replacing


@dataclass(frozen=True)
class ShardTask:
    """One shard to write.

    Attributes:
        source: folder that file names are relative to.
        target: path of the shard.
        images: each record with the boxes to train on (corners in pixels) and the SHA-256 of its file.
        labels: the label of each category id, from 1.
        names: the name of each category id.
    """

    source: str
    target: str
    images: tuple[tuple[ImageRecord, tuple[Box, ...], str], ...]
    labels: Mapping[int, int]
    names: Mapping[int, str]


def write_shard(task: ShardTask) -> Counter[str]:
    """Writes one shard, whole or not at all, and returns how many images had to be normalised, by reason.

    Raises:
        StorageError: an image is not the one that was checked; or see `boxwright.storage`.
    """
    counts: Counter[str] = Counter()
    with replacing(Path(task.target)) as temporary, temporary.open("wb") as file:
        for example, reason in _examples(task):
            write_record(file, example)
            if reason:
                counts[reason] += 1
    return counts


def _examples(task: ShardTask) -> Iterator[tuple[bytes, str | None]]:
    for image, boxes, digest in task.images:
        path = Path(task.source, image.file_name)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise StorageError(f"{path} is no longer the file that was checked; run download_dataset again")
        stored = encoded_image(data, (image.width, image.height))
        yield _example(image, stored.data, stored.kind, boxes, task), stored.reason


def _example(image: ImageRecord, data: bytes, kind: str, boxes: tuple[Box, ...], task: ShardTask) -> bytes:
    """One serialized tf.train.Example; see the TF Object Detection API's tf_example_decoder for the names."""

    def normalised(side: int, size: int) -> tuple[str, list[float]]:
        return "float_list", [min(max(box.bbox[side] / size, 0.0), 1.0) for box in boxes]

    return encode_example(
        {
            "image/encoded": ("bytes_list", [data]),
            "image/format": ("bytes_list", [kind]),
            "image/filename": ("bytes_list", [image.file_name]),
            "image/source_id": ("bytes_list", [str(image.id)]),
            "image/height": ("int64_list", [image.height]),
            "image/width": ("int64_list", [image.width]),
            "image/object/bbox/xmin": normalised(0, image.width),
            "image/object/bbox/ymin": normalised(1, image.height),
            "image/object/bbox/xmax": normalised(2, image.width),
            "image/object/bbox/ymax": normalised(3, image.height),
            "image/object/class/label": ("int64_list", [task.labels[box.category_id] for box in boxes]),
            "image/object/class/text": ("bytes_list", [task.names[box.category_id] for box in boxes]),
        }
    )
