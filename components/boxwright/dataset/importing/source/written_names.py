"""Names of files as records have them: paths of other systems, addresses of servers, and prefixes of tools."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from urllib.parse import parse_qs, unquote, urlsplit

READ = (".jpg", ".jpeg", ".png")
# Pictures that Boxwright does not read; `--reencode` makes them such, as far as Pillow can.
OTHER_PICTURES = (".bmp", ".webp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".dib", ".ppm")
PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".gz", ".bz2", ".xz")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_LOCAL = "local-files/?d="  # Label Studio's, before a path on its own disk
_STORED = re.compile(r"/(?:presign|resolve)/?\?fileuri=(.+)$")  # and before an address, mostly in base64
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(.+)$")
_BUCKETS = ("s3", "s3a", "gs", "gcs")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")


def is_picture(name: str) -> bool:
    """Whether a name is that of a picture, of a kind that is read or not."""
    return name.lower().endswith(READ + OTHER_PICTURES)


def parts_of(written: str) -> list[str]:
    """The parts of a path as systems and services write it: with a drive, as a URL, or behind Label Studio's `?d=`."""
    name = written.strip()
    if stored := _STORED.search(name):
        return parts_of(_address(unquote(stored[1])))
    if _SCHEME.match(name):
        name = _path_of_url(name)
    elif _LOCAL in name:
        name = unquote(name.split(_LOCAL, 1)[1])
    elif _DRIVE.match(name):
        name = name[2:]
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _address(written: str) -> str:
    """An address that may be packed as base64."""
    try:
        return base64.b64decode(written, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return written


def _path_of_url(url: str) -> str:
    scheme, _, behind = url.partition("://")
    try:
        split = urlsplit(url)
        given = parse_qs(split.query)
    except ValueError:  # brackets that are no address
        return behind.partition("/")[2]
    if scheme.lower() in _BUCKETS:  # a key is what it is: nothing in it is a query, and nothing is encoded
        return behind.partition("/")[2]
    if "d" in given:
        return given["d"][0]
    path = f"{split.path}#{split.fragment}" if is_picture(split.fragment) else split.path
    return unquote(path)


def without_upload(name: str) -> str | None:
    """A name without the prefix that Label Studio puts before that of each file which is uploaded; None without one."""
    found = _UPLOAD.match(name)
    return found[1] if found else None


def folded(name: str) -> str:
    """A name without what systems do not tell apart: case, and the way its accents are composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
