"""URIs and keys: how they are parsed, joined, and kept from leaving the folder they belong to."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from boxwright.config import is_registered
from boxwright.errors import UsageError, shorten

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", re.IGNORECASE | re.ASCII)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_LEFTOVERS = re.compile(r"(\._.*|\.DS_Store|Thumbs\.db|desktop\.ini|__MACOSX|\.git|\.ipynb_checkpoints)", re.IGNORECASE)
_LONGEST_NAME = 255  # bytes, what common file systems take


@dataclass(frozen=True)
class Location:
    """A file or folder.

    Attributes:
        bucket: S3 bucket; None for the local file system.
        key: S3 key without leading or trailing `/` (empty for the whole bucket), or an absolute local path.
    """

    bucket: str | None
    key: str

    def __str__(self) -> str:
        return self.key if self.bucket is None else f"s3://{self.bucket}/{self.key}".rstrip("/")

    @property
    def path(self) -> Path:
        """The local path; only where `bucket` is None."""
        return Path(self.key)

    def child(self, key: str) -> Location:
        """The file or folder `key` below this folder.

        Raises:
            UsageError: `key` would leave this folder.
        """
        if reason := unsafe_key(key):
            raise UsageError(f"key {shorten(key, 300)} below {self}: {reason}")
        return Location(self.bucket, f"{self.key.rstrip('/')}/{key}" if self.key else key)


def parse_uri(uri: str) -> Location:
    """Reads `s3://bucket/key`, `file:///path` or a local path; relative paths start at the working directory.

    Raises:
        UsageError: another scheme, a registered model, no valid bucket name, or a key with `..` or control characters.
            The message does not repeat what stands before an `@`, where people put credentials.
    """
    if match := _SCHEME.match(uri):
        scheme, rest = match[1].lower(), match[2]
        if scheme == "s3":
            return _parse_s3(rest)
        if scheme == "file":
            return _parse_file(rest)
        raise UsageError(f"URI scheme {scheme}:// is not supported; use s3://bucket/prefix, file:///folder or a path")
    if is_registered(uri):
        # As a path it would be a folder `models:`, which the lists of what may be named do not look at.
        raise UsageError(
            f"{shorten(uri, 300)} names a registered model; expected s3://bucket/prefix, file:///folder or a path"
        )
    if not uri.strip() or "\0" in uri:
        raise UsageError(
            f"{shorten(uri, 300)} is not a folder or file; use s3://bucket/prefix, file:///folder or a path"
        )
    try:
        path = str(Path(uri).expanduser().absolute())
        os.fsencode(path)
    except (RuntimeError, UnicodeEncodeError) as error:  # no such user's home, half a surrogate pair
        raise UsageError(
            f"{shorten(uri, 300)} is not a path of this machine: {error}; write the folder out in full"
        ) from None
    return Location(None, path)


def local_path(text: str) -> Path:
    """A path of this machine, absolute, so that no library has to know from where it counts.

    Raises:
        UsageError: it is a URI, which would become a folder of that name, or no path.
    """
    if _URI.match(text):
        raise UsageError(f"{text}: expected a path of this machine; what lies elsewhere is copied there afterwards")
    return parse_uri(text).path


def _parse_s3(rest: str) -> Location:
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        shown = "what stands before the first /" if "@" in bucket else shorten(bucket)
        raise UsageError(f"{shown} is not a bucket name; expected s3://bucket/prefix; credentials go into AWS_*")
    key = key.rstrip("/")
    if key and (reason := unsafe_key(key)):
        raise UsageError(f"s3://{bucket}/...: key {shorten(key, 300)}: {reason}")
    return Location(bucket, key)


def _parse_file(rest: str) -> Location:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        raise UsageError(f"file://{shorten(host)[1:-1]}/... names another machine; expected file:///folder")
    path = unquote(f"/{path}")
    if "\0" in path:
        raise UsageError(f"{shorten(path, 300)} is not a path; expected file:///folder")
    return Location(None, str(Path(path)))


def join(uri: str, *keys: str) -> str:
    """The URI of `keys` below `uri`, in a form that `parse_uri` reads.

    Raises:
        UsageError: a key would leave the folder.
    """
    location = parse_uri(uri)
    for key in keys:
        location = location.child(key.rstrip("/"))
    return str(location)


def unsafe_key(key: str) -> str | None:
    """Why `key` cannot name a file below a folder, or None if it can.

    Refused are absolute paths, `.` and `..`, empty parts, backslashes, control characters, half surrogate pairs, and
    names longer than file systems take.
    """
    if key.startswith("/"):
        return "is an absolute path; use one relative to the folder"
    # What is printable has none of them, and most keys are: files with a hundred thousand names come here.
    if not key.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in key):
        return "holds a control character or broken Unicode; rename the file"
    if "\\" in key:
        return "holds a backslash; separate folders with /"
    parts = key.split("/")
    if ".." in parts or "." in parts:
        return "holds . or .., which could leave the folder; use a plain relative path"
    if "" in parts:
        return "is empty or has an empty part; use a plain relative path"
    if any(len(part.encode()) > _LONGEST_NAME for part in parts):
        return f"has a part longer than {_LONGEST_NAME} bytes; rename the file"
    return None


def is_leftover(name: str) -> bool:
    """Whether a file or folder is one that a system leaves behind, as macOS's `._x.jpg` beside x.jpg."""
    return bool(_LEFTOVERS.fullmatch(name))
