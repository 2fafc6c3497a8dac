"""One small API for `s3://` URIs, `file://` URIs and plain local paths alike.

A URI names a folder (a prefix) or a file (an object); keys are paths below a folder, with `/`. Credentials, region
and endpoint are boto3's standard ones (`AWS_*`, profiles, instance roles), or what `connected` sets. Failures come as
`UsageError` (the bucket, the credentials or the URI is wrong), `DataError` (the object is missing or too large) or
`StorageError` (the server did not answer as it should; the step may be repeated), and never hold a secret.
"""

from boxwright.storage.connection import connected
from boxwright.storage.entry import ChangedError, FileEntry
from boxwright.storage.fetching import TransferStats
from boxwright.storage.files import replacing, write_atomic, write_json
from boxwright.storage.location import Location, join, parse_uri, unsafe_key
from boxwright.storage.presigning import presigned
from boxwright.storage.transfer import (
    download,
    download_file,
    exists,
    list_files,
    read_bytes,
    stat,
    upload_file,
    upload_folder,
)
from boxwright.storage.unpacking import Layout, unpack

__all__ = [
    "ChangedError",
    "FileEntry",
    "Layout",
    "Location",
    "TransferStats",
    "connected",
    "download",
    "download_file",
    "exists",
    "join",
    "list_files",
    "parse_uri",
    "presigned",
    "read_bytes",
    "replacing",
    "stat",
    "unpack",
    "unsafe_key",
    "upload_file",
    "upload_folder",
    "write_atomic",
    "write_json",
]
