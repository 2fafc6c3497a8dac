"""Images as a program has them: bytes, PIL images and arrays, on their way to the model."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxwright.api.arguments import kind_of
from boxwright.errors import DataError, UsageError
from boxwright.images import on_one_line, to_rgb

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    OneImage = str | Path | bytes | Image.Image | npt.NDArray[np.uint8]

_EXPECTED = "expected a path or URI, the bytes of a JPEG or PNG, a PIL image, or an array of uint8 (height, width, 3)"
# How what is near to an image becomes one, by a method that it has.
_MADE_BY = {"numpy": "; `.numpy()` gives its array", "read": "; `.read()` gives its bytes"}
_ANY_RANGE = ("I", "F")
_LAST_AXIS = {4: "; alpha is left out: `array[..., :3]`", 1: "; gray is given three times: `array.repeat(3, axis=2)`"}
_CHANNELS_FIRST = "; channels come last: `array.transpose(1, 2, 0)`"


class Images:
    """Images by name, in the order in which they were given.

    Args:
        images: each as `boxwright.Detector.detect` takes one.

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


def several(images: Any) -> Sequence[Any]:
    """The images of a list, a batch or whatever else gives one after the other.

    Raises:
        UsageError: it is one image, or none.
    """
    if isinstance(images, bytes) or getattr(images, "ndim", None) == 3 or not isinstance(images, Iterable):
        got = kind_of(images)
        raise UsageError(f"images: expected a folder, an s3:// prefix or a list, got {got}; `detect` takes one image")
    return list(images)


def _check(name: str, image: Any) -> None:
    import numpy as np
    from PIL import Image

    if isinstance(image, Image.Image) and image.mode in _ANY_RANGE:
        advice = "`image.convert('L')` keeps 0 to 255"
        raise UsageError(f"{name}: a PIL image of mode {image.mode} has values of any range; {advice}")
    if isinstance(image, bytes | Image.Image):
        return
    if not isinstance(image, np.ndarray):
        advice = next((advice for method, advice in _MADE_BY.items() if hasattr(image, method)), "")
        if isinstance(image, bytearray | memoryview):
            advice = "; `bytes(...)` makes bytes of it"
        raise UsageError(f"{name}: {_EXPECTED}, got {kind_of(image)}{advice}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UsageError(f"{name}: {_EXPECTED}, got an array of {image.dtype} {image.shape}{_advice(image)}")


def _advice(array: npt.NDArray[Any]) -> str:
    """What makes an image of an array that is none, to be put behind the message; empty where that is not known."""
    if 0 in array.shape:
        return ""
    if array.dtype.kind == "f":
        return "; values in [0, 1] are multiplied by 255: `(array * 255).astype('uint8')`"
    if array.ndim == 4:
        return "; a batch is given as a list: `list(array)`"
    if array.ndim == 2:
        return "; gray is given three times: `numpy.stack([array] * 3, axis=-1)`"
    if array.ndim == 3 and array.shape[2] != 3:
        return _LAST_AXIS.get(array.shape[2], _CHANNELS_FIRST if array.shape[0] == 3 else "")
    return "; values in [0, 255] are kept by `array.astype('uint8')`" if array.dtype.kind in "iu" else ""


def _encoded(image: Any) -> bytes:
    from PIL import Image, ImageOps

    if isinstance(image, bytes):
        return image
    try:
        shown = ImageOps.exif_transpose(image) if isinstance(image, Image.Image) else Image.fromarray(image)
        shown = shown if shown.mode == "RGB" else to_rgb(shown)
        shown.info.clear()  # no second rotation, profile or transparency
        buffer = io.BytesIO()
        # Hardly smaller by more, and the wait grows.
        shown.save(buffer, "PNG", compress_level=1)
    except Exception as error:  # Pillow raises many types: closed, without pixels, cut off
        raise DataError(f"the image cannot be read: {on_one_line(error)}") from None
    return buffer.getvalue()
