"""Records with a file of their own: what one stage writes and others read, as JSON in a folder or below a URI."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ValidationError

from boxwright.config import Frozen
from boxwright.errors import DataError, shorten
from boxwright.storage.files import write_json
from boxwright.storage.transfer import read_bytes

_SHOWN = 3


class StoredRecord(Frozen):
    """A record that is a file.

    A file may come from another version of Boxwright, or from a stranger's archive. So what is read may have names
    that this version does not know; they are left out. What is there must have the right type, and each number must be
    finite, as JSON itself has it.

    Attributes:
        FILE: name of the file.
        ADVICE: what to do where it is broken.
        LIMIT: bytes that it may have.
    """

    FILE: ClassVar[str]
    ADVICE: ClassVar[str]
    LIMIT: ClassVar[int] = 20_000_000

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values, as the file holds it."""
        return self.model_dump()

    def write(self, folder: Path) -> None:
        """Writes the file, atomically."""
        write_json(folder / self.FILE, self.to_dict())

    @classmethod
    def read(cls, folder: Path | str) -> Self:
        """Reads the file of a folder, or of what a URI names.

        Raises:
            DataError: there is no such file, or it is not what `write` writes: naming file and fields.
            UsageError, StorageError: see `boxwright.storage`.
        """
        uri = f"{str(folder).rstrip('/')}/{cls.FILE}"
        try:
            data = read_bytes(uri, cls.LIMIT)
        except DataError as error:
            raise DataError(f"{error}, or {cls.ADVICE}", file=uri) from None
        return cls.parse(data, uri)

    @classmethod
    def parse(cls, data: bytes, name: str) -> Self:
        """Reads the content of a file.

        Args:
            data: the content.
            name: what to call the file in an error.

        Raises:
            DataError: it is broken.
        """
        try:
            content = json.loads(data)
            problems = list(_not_finite(content))
            if not problems:
                return cls.model_validate(content, extra="ignore")
        except ValidationError as error:
            problems = [_explain(problem) for problem in error.errors(include_url=False)]
        except (ValueError, RecursionError) as error:
            problems = [f"it is no JSON ({type(error).__name__})"]
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise DataError(
            f"{name} is not a {cls.FILE} of Boxwright: {'; '.join(problems[:_SHOWN])}{more}; {cls.ADVICE}",
            file=name,
        ) from None


def _not_finite(value: Any, place: str = "") -> Iterator[str]:
    """Names the numbers that are NaN, infinite, or too large for a float."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{place}[{index}]")
    elif isinstance(value, int | float) and not abs(value) <= sys.float_info.max:
        yield f"{shorten(place)} is not a finite number"


def _explain(problem: Any) -> str:
    if not problem["loc"]:
        return f"it is {shorten(problem['input'])}, expected an object"
    place = shorten(".".join(str(part) for part in problem["loc"]))
    if problem["type"] == "missing":
        return f"{place} is missing"
    message = problem["msg"]
    return f"{place} is {shorten(problem['input'])}: {message[:1].lower()}{message[1:]}"
