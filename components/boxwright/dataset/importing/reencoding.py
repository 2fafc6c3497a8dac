"""Pictures in formats that Boxwright does not read, written as PNG, which loses nothing."""

from __future__ import annotations

import io

from boxwright.dataset.importing.account import Account
from boxwright.dataset.importing.frames import Header
from boxwright.dataset.importing.records import BrokenError, SourceImage, shown
from boxwright.images import on_one_line, orientation_of

_FORMATS = ("BMP", "DIB", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM", "MPO")
_PLAIN = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def reencoded(image: SourceImage, account: Account) -> tuple[Header, bytes]:
    """The header of the original, and PNG bytes of its first picture, upright.

    Raises:
        BrokenError: Pillow cannot read it.
    """
    from PIL import Image, ImageOps

    assert image.path is not None
    try:
        with Image.open(image.path, formats=_FORMATS) as opened:
            header = Header(opened.size, orientation_of(opened), str(opened.format))
            if getattr(opened, "n_frames", 1) > 1:
                account.changed("of several pictures in a file the first is taken", image.where)
            picture = ImageOps.exif_transpose(opened)
            if picture.mode not in _PLAIN:
                picture = picture.convert("RGB")
            buffer = io.BytesIO()
            picture.info.clear()
            picture.save(buffer, "PNG")
    except Exception as error:  # Pillow raises many types on broken bytes
        raise BrokenError(f"{shown(image.name)} cannot be read: {on_one_line(error)}") from None
    account.changed(f"{header.kind} written as PNG", image.where)
    return header, buffer.getvalue()
