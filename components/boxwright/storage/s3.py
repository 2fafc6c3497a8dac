"""The storage operations on S3: boto3 for listing and metadata, obstore for bulk bytes."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxwright.errors import DataError, StorageError
from boxwright.storage.checks import Check, check_of_etag, check_of_sha256
from boxwright.storage.connection import UPLOAD_SECONDS, client, endpoint, store
from boxwright.storage.file_entry import ChangedError, FileEntry, too_large
from boxwright.storage.location import Location
from boxwright.storage.s3_errors import explained

if TYPE_CHECKING:
    from obstore.store import S3Store

_PART = 8 * 1024 * 1024
_MOST_PARTS = 9_000  # S3 takes 10,000
# Under these encryptions an ETag looks like an MD5 and is not one.
_OPAQUE = ("aws:kms", "aws:kms:dsse")


def list_entries(location: Location) -> list[FileEntry]:
    """All objects below a prefix, folder markers left out; the newest versions where the bucket has versions."""
    prefix = f"{location.key}/" if location.key else ""
    with explained(location):
        versioned = _has_versions(location.bucket or "", endpoint())
        method, items = ("list_object_versions", "Versions") if versioned else ("list_objects_v2", "Contents")
        pages = client().get_paginator(method).paginate(Bucket=location.bucket, Prefix=prefix)
        found: Iterable[dict[str, Any]] = (item for page in pages for item in page.get(items, ()))
        return [
            _entry(item["Key"][len(prefix) :], item["Size"], item)
            for item in found
            if item.get("IsLatest", True) and not item["Key"].endswith("/")
        ]


@lru_cache(maxsize=64)
def _has_versions(bucket: str, _endpoint: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        status = client().get_bucket_versioning(Bucket=bucket).get("Status")
    except ClientError as error:
        # Not every reader may ask, and not every server knows the question.
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) in (400, 403, 405, 501):
            return False
        raise
    return bool(status == "Enabled")


def _entry(key: str, size: int, found: dict[str, Any]) -> FileEntry:
    version = found.get("VersionId")
    return FileEntry(
        key=key,
        size=size,
        etag=found["ETag"].strip('"'),
        version=None if version == "null" else version,
        modified=found["LastModified"].strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def head(location: Location) -> FileEntry:
    """The entry of one object; its key is the last part of the object's."""
    with explained(location):
        found = client().head_object(Bucket=location.bucket, Key=location.key)
    return _entry(location.key.rpartition("/")[2], found["ContentLength"], found)


def exists(location: Location) -> bool:
    """Whether the object is there; a missing bucket is an error."""
    try:
        head(location)
    except DataError:
        return False
    return True


def read(location: Location, limit: int) -> bytes:
    """The bytes of an object of at most `limit` bytes."""
    with explained(location):
        found = client().get_object(Bucket=location.bucket, Key=location.key)
        with found["Body"] as body:
            if found["ContentLength"] > limit:
                raise too_large(str(location), found["ContentLength"], limit)
            data: bytes = body.read()
    check = check_of_etag(found["ETag"].strip('"'))
    if check and found.get("ServerSideEncryption") not in _OPAQUE:
        hasher = check.hasher()
        hasher.update(data)
        if hasher.result() != check.value:
            raise StorageError(f"{location}: the received bytes differ from those of the object; run again")
    return data


def identity(location: Location, entry: FileEntry) -> str:
    """Names this content of this object among all objects of all servers."""
    return "\n".join((endpoint(), str(location), str(entry.size), entry.etag, entry.version or ""))


def address(entry: FileEntry) -> str | None:
    """The content address that the listing tells by itself."""
    check = check_of_etag(entry.etag)
    return check.address(check.value or "") if check else None


def check(location: Location, entry: FileEntry, doubted: bool = False) -> Check:
    """The expected checksum of the object.

    Args:
        location: the object.
        entry: as it was listed.
        doubted: the bytes did not match the ETag: find out whether it is a hash at all.
    """
    if not doubted and (simple := check_of_etag(entry.etag)):
        return simple
    name: dict[str, Any] = {"Bucket": location.bucket, "Key": location.key}
    if entry.version:
        name["VersionId"] = entry.version
    with _as_listed(location):
        found = client().head_object(**name, ChecksumMode="ENABLED")
        opaque = found.get("ServerSideEncryption") in _OPAQUE or "SSECustomerAlgorithm" in found
        # A hash over parts can be computed again by who knows the size of the parts.
        parted = "-" in entry.etag
        part_size = client().head_object(**name, PartNumber=1)["ContentLength"] if parted else None
    if header := found.get("ChecksumSHA256"):
        if known := check_of_sha256(header, part_size):
            return known
    etag = None if opaque else check_of_etag(entry.etag, part_size)
    return etag or Check("sha256")


def reader(location: Location) -> Callable[[Location, FileEntry, int, int], Any]:
    """A function that reads the bytes [start, stop) of any object of this one's bucket, as listed, into a buffer.

    It raises:
        ChangedError: the object is another one by now.
        StorageError: fewer bytes came, or none.
    """
    with explained(location):
        return partial(_read_range, store(location.bucket or ""))


def _read_range(bucket: S3Store, location: Location, entry: FileEntry, start: int, stop: int) -> Any:
    import obstore

    options: Any = {"if_match": f'"{entry.etag}"'} | ({"version": entry.version} if entry.version else {})
    if (start, stop) != (0, entry.size):
        options["range"] = (start, stop)
    with _as_listed(location):
        found = obstore.get(bucket, location.key, options=options)
        # Not every server heeds If-Match.
        if (found.meta["e_tag"] or "").strip('"') not in ("", entry.etag):
            raise ChangedError(str(location))
        data = found.bytes()
    if len(data) != stop - start:
        raise StorageError(f"{location}: expected {stop - start:,} bytes, got {len(data):,}; run again")
    return data


@contextmanager
def _as_listed(location: Location) -> Iterator[None]:
    """The error of an object that was listed and has been deleted since."""
    try:
        with explained(location):
            yield
    except DataError as error:
        raise ChangedError(str(location)) from error


def send(path: Path, location: Location, new: bool) -> bool:
    """Puts a file as an object, in parts where it is large; no reader ever sees half of it.

    Args:
        path: the file.
        location: the object.
        new: only where there is no such object yet.

    Returns:
        Whether it was put.

    Raises:
        StorageError: the stored bytes differ from those that were sent.
    """
    import obstore
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    size = path.stat().st_size
    part_size = max(_PART, size // _MOST_PARTS)
    kind, encoding = mimetypes.guess_type(location.key)
    # Browsers show a page only where its type is told, and offer to save it otherwise.
    attributes: Any = {"Content-Type": kind} if kind and not encoding else {}
    # A conditional put takes one request.
    how: Any = {"mode": "create", "use_multipart": False} if new else {"use_multipart": size > part_size}
    with explained(location):
        bucket = store(location.bucket or "", UPLOAD_SECONDS)
        try:
            sent = obstore.put(bucket, location.key, path, chunk_size=part_size, attributes=attributes, **how)
        except (AlreadyExistsError, PreconditionError):
            return False
    etag = (sent["e_tag"] or "").strip('"')
    _verify_sent(path, location, size, check_of_etag(etag, part_size))
    return True


def _verify_sent(path: Path, location: Location, size: int, told: Check | None) -> None:
    if told and told.of_file(path) == told.value:
        return
    with explained(location):
        found = client().head_object(Bucket=location.bucket, Key=location.key)
    # An encrypting server's ETag is not a hash; it has checked each request's own signature over the bytes' hash.
    opaque = told is None or found.get("ServerSideEncryption") in _OPAQUE
    if found["ContentLength"] != size or not opaque:
        raise StorageError(f"{location}: the stored bytes differ from those that were sent ({size:,} bytes); run again")
