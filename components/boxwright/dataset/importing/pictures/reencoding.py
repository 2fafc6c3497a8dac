"""Pictures in formats that Boxwright does not read, written as PNG, which loses nothing."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from boxwright.dataset.importing.pictures.frames import Header
from boxwright.dataset.importing.source import Account, BrokenError, SourceImage, shown
from boxwright.images import on_one_line, orientation_of

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = ("BMP", "DIB", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM", "MPO")
_PLAIN = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_BYTE, _TWO_BYTES = 255, 65_535


def reencoded(image: SourceImage, account: Account) -> tuple[Header, bytes]:
    """The header of the original, and PNG bytes of its first picture, upright.

    Raises:
        BrokenError: Pillow cannot read it.
    """
    from PIL import Image, ImageOps

    try:
        file = io.BytesIO(image.content()) if image.content is not None else image.path
        assert file is not None
        with Image.open(file, formats=_FORMATS) as opened:
            header = Header(opened.size, orientation_of(opened), str(opened.format))
            if getattr(opened, "is_animated", False):  # not `n_frames`, which reads a file to its end
                account.changed("of several pictures in a file the first is taken", image.where)
            picture = ImageOps.exif_transpose(opened)
            picture = _plain(picture)
            buffer = io.BytesIO()
            picture.info.clear()
            picture.save(buffer, "PNG")
    except BrokenError:
        raise
    except Exception as error:  # Pillow raises many types on broken bytes
        raise BrokenError(f"{shown(image.name)} cannot be read: {on_one_line(error)}") from None
    account.changed(f"{header.kind} written as PNG", image.where)
    return header, buffer.getvalue()


def _plain(picture: Image.Image) -> Image.Image:
    """A picture in a mode that PNG has; none of its brightness is cut off.

    Raises:
        BrokenError: its pixels are numbers that PNG does not have.
    """
    if picture.mode in _PLAIN:
        return picture
    if picture.mode[0] not in "IF":
        return picture.convert("RGB")
    if picture.mode not in ("I", "F"):
        picture = picture.convert("I")  # of 16 bits in another order of bytes
    lowest, highest = np.asarray(picture).min(), np.asarray(picture).max()
    if lowest >= 0 and highest <= _BYTE:
        return picture.convert("L")
    if lowest >= 0 and highest <= _TWO_BYTES and picture.mode == "I":
        return picture.convert("I;16")
    raise BrokenError(
        f"its pixels go from {lowest:g} to {highest:g}, which PNG does not have; write it with 8 or 16 bits"
    )
