"""Checksums of files, in the forms in which S3 states them.

An object that was uploaded whole has the MD5 of its bytes as ETag. One that was uploaded in parts has the MD5 over the
MD5s of its parts, `-` and the number of parts; S3's SHA-256 checksums are given in the same two forms (see "Checking
object integrity" in the S3 user guide). Both need the size of the parts to be computed again.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MD5 = re.compile(r"[0-9a-f]{32}(-\d+)?")
_ADDRESS = re.compile(r"(md5|sha256)-([0-9a-f]{32,64}(?:-\d+(?=-))?)(?:-([1-9]\d*))?")
_READ = 1 << 20


class Hasher:
    """A running hash, over the bytes or over the hashes of their parts.

    Args:
        algorithm: "md5" or "sha256".
        part_size: in bytes; None for a plain hash.
    """

    def __init__(self, algorithm: str, part_size: int | None = None) -> None:
        self._new: Callable[[], Any] = lambda: hashlib.new(algorithm, usedforsecurity=False)
        self._part_size = part_size
        self._hash, self._filled = self._new(), 0
        self._parts: list[bytes] = []

    def update(self, data: Any) -> None:
        """Takes the next bytes (anything with the buffer protocol)."""
        if self._part_size is None:
            self._hash.update(data)
            return
        view = memoryview(data)
        while len(view):
            taken = view[: self._part_size - self._filled]
            self._hash.update(taken)
            self._filled, view = self._filled + len(taken), view[len(taken) :]
            if self._filled == self._part_size:
                self._end_part()

    def _end_part(self) -> None:
        self._parts.append(self._hash.digest())
        self._hash, self._filled = self._new(), 0

    def result(self) -> str:
        """The hash in hexadecimal; over parts with `-` and their number."""
        if self._part_size is None:
            return str(self._hash.hexdigest())
        if self._filled:
            self._end_part()
        whole = self._new()
        whole.update(b"".join(self._parts))
        return f"{whole.hexdigest()}-{len(self._parts)}"


@dataclass(frozen=True)
class Check:
    """The expected checksum of a file.

    Attributes:
        algorithm: "md5" or "sha256".
        value: in hexadecimal, over parts with `-` and their number; None where nothing is known, so that the hash
            can only name the content.
        part_size: in bytes, where the hash is over parts.
    """

    algorithm: str
    value: str | None = None
    part_size: int | None = None

    def hasher(self) -> Hasher:
        """A new hash of this kind."""
        return Hasher(self.algorithm, self.part_size)

    def address(self, result: str) -> str:
        """The name of content with this hash, for a content-addressed store."""
        return f"{self.algorithm}-{result}" + (f"-{self.part_size}" if self.part_size else "")

    def of_file(self, path: Path) -> str:
        """This hash of a local file."""
        hasher = self.hasher()
        with path.open("rb") as file:
            while data := file.read(_READ):
                hasher.update(data)
        return hasher.result()

    def matches(self, path: Path) -> bool:
        """Whether a local file has the expected hash."""
        return self.of_file(path) == self.value


def check_of_address(address: str) -> Check | None:
    """The check that content with an address has to pass; None where it is not one of `Check.address`."""
    if not (found := _ADDRESS.fullmatch(address)):
        return None
    algorithm, value, part_size = found.groups()
    return Check(algorithm, value, int(part_size) if part_size else None)


def check_of_etag(etag: str, part_size: int | None = None) -> Check | None:
    """The check of an ETag; None if it is not an MD5, or is one over parts of unknown size."""
    if not (found := _MD5.fullmatch(etag)):
        return None
    if found[1] is None:
        return Check("md5", etag)
    return Check("md5", etag, part_size) if part_size else None


def check_of_sha256(header: str, part_size: int | None = None) -> Check | None:
    """The check that S3's `x-amz-checksum-sha256` is; None where it is over parts of unknown size."""
    encoded, dash, parts = header.partition("-")
    value = base64.b64decode(encoded).hex()
    if not dash:
        return Check("sha256", value)
    return Check("sha256", f"{value}-{parts}", part_size) if part_size else None
