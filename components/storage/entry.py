"""What a listing says of one file."""

from __future__ import annotations

from dataclasses import dataclass

from components.errors import DataError


@dataclass(frozen=True)
class FileEntry:
    """A file in a listing.

    Attributes:
        key: path relative to the listed folder, with `/`.
        size: in bytes.
        etag: changes when the content changes; the MD5 of the content where S3 gives that.
    """

    key: str
    size: int
    etag: str


def too_large(name: str, size: int, limit: int) -> DataError:
    """The error for a file that is larger than what a reader is ready to hold."""
    return DataError(f"{name} has {size:,} bytes, more than the limit of {limit:,}; is it the right file?")
