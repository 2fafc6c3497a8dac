"""Images as a program has them: bytes, PIL images and arrays, on their way to the model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxwright.errors import UsageError, shorten

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    OneImage = str | Path | bytes | Image.Image | npt.NDArray[np.uint8]

_EXPECTED = "expected a path or URI, the bytes of a JPEG or PNG, a PIL image, or an array of uint8 (height, width, 3)"


class Images:
    """Images by name, in the order in which they were given.

    Args:
        images: see `boxwright.Detector.detect`.

    Attributes:
        names: path or URI; `image`, or `image 2` for the second of a list, of what came as pixels or bytes.

    Raises:
        UsageError: one is nothing that holds an image.
    """

    def __init__(self, images: Sequence[Any]) -> None:
        self.names: list[str] = []
        self._given: dict[str, Any] = {}
        for number, image in enumerate(images, start=1):
            if isinstance(image, str | Path):
                self.names.append(str(image))
                continue
            name = "image" if len(images) == 1 else f"image {number}"
            _check(name, image)
            self.names.append(name)
            self._given[name] = image

    def read(self, name: str, limit: int) -> bytes:
        """The encoded image; `limit`: the largest file, in bytes.

        Raises:
            DataError, UsageError, StorageError: see `boxwright.storage.read_bytes`.
        """
        from boxwright.storage import read_bytes

        return _encoded(self._given[name]) if name in self._given else read_bytes(name, limit)


def _check(name: str, image: Any) -> None:
    import numpy as np
    from PIL import Image

    if isinstance(image, bytes | Image.Image):
        return
    if not isinstance(image, np.ndarray):
        raise UsageError(f"{name}: {_EXPECTED}, got {type(image).__name__} {shorten(image)}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        advice = "; values in [0, 1] are multiplied by 255" if image.dtype.kind == "f" else ""
        raise UsageError(f"{name}: {_EXPECTED}, got an array of {image.dtype} {image.shape}{advice}")


def _encoded(image: Any) -> bytes:
    from PIL import Image, ImageOps

    if isinstance(image, bytes):
        return image
    shown = ImageOps.exif_transpose(image) if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    # Hardly smaller by more, and the wait grows.
    shown.convert("RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
