"""One file of a listing."""

from __future__ import annotations

from dataclasses import dataclass

from boxwright.errors import DataError, StorageError


@dataclass(frozen=True)
class FileEntry:
    """A file in a listing.

    Attributes:
        key: path relative to the listed folder, with `/`.
        size: in bytes.
        etag: changes when the content changes; the MD5 of the content where S3 gives that.
        version: the object's version id where the bucket has versions; what is fetched is this version.
        modified: when it was last written, as ISO 8601 in UTC.
    """

    key: str
    size: int
    etag: str
    version: str | None = None
    modified: str | None = None


class ChangedError(StorageError):
    """A file differs from its listing: it was written, or deleted, while the run was reading."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} changed after it was listed; wait until nobody writes there, and run again")


def too_large(name: str, size: int, limit: int) -> DataError:
    """The error for a file that is larger than what a reader is ready to hold."""
    return DataError(f"{name} has {size:,} bytes, more than the limit of {limit:,}; is it the right file?")
