"""Examples that are written again with other boxes or pixels, before training reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.examples import decode_example, encode_example, read_records

Example = Mapping[str, list[Any]]
LABELS, TEXTS = "image/object/class/label", "image/object/class/text"
SIDES = ("ymin", "xmin", "ymax", "xmax")
_WHOLE_NUMBERS = ("image/height", "image/width", LABELS)


def examples_of(shards: Sequence[Path]) -> Iterator[Example]:
    """The features of each record of TFRecord files, in order."""
    for shard in shards:
        with shard.open("rb") as file:
            yield from map(decode_example, read_records(file))


def boxes_of(example: Example) -> NDArray[np.float64]:
    """`(n, 4)`, `[ymin, xmin, ymax, xmax]` in shares of the image."""
    sides = [np.array(example.get(f"image/object/bbox/{side}", []), np.float64) for side in SIDES]
    return np.stack(sides, axis=-1)


def with_boxes(example: Example, boxes: NDArray[Any], labels: Sequence[int], texts: Sequence[Any]) -> Example:
    """The example with these boxes in place of its own."""
    sides = {f"image/object/bbox/{side}": boxes[:, place].tolist() for place, side in enumerate(SIDES)}
    return {**example, **sides, LABELS: list(labels), TEXTS: list(texts)}


def encoded(example: Example) -> bytes:
    """The serialized tf.train.Example."""
    return encode_example({name: (_kind_of(name), values) for name, values in example.items()})


def _kind_of(name: str) -> str:
    if "/bbox/" in name:
        return "float_list"
    return "int64_list" if name in _WHOLE_NUMBERS else "bytes_list"
