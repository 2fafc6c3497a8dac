"""The name of a registered model: `models:/NAME/3`, `models:/NAME@champion`, or NAME for its newest accepted version.

Whatever else names a model, a URI of an archive or a folder, is told apart by its beginning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from boxwright.errors import UsageError, shorten

CHAMPION, CANDIDATE, PREVIOUS = "champion", "candidate", "previous"
MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}"
_SCHEME = "models:/"
_REFERENCE = re.compile(
    rf"{_SCHEME}(?P<name>{MODEL_NAME})(?:/(?P<version>[0-9]{{1,9}})|@(?P<alias>[\w.-]+))|(?P<bare>{MODEL_NAME})"
)


@dataclass(frozen=True)
class ModelReference:
    """A registered model's version, by its number or by an alias: one of the two is set."""

    name: str
    version: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelReference:
        """Reads a reference; a bare NAME stands for `models:/NAME@candidate`.

        Raises:
            UsageError: it is not a reference.
        """
        match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise UsageError(
                f"{shorten(text)} is not a model reference; expected {_SCHEME}name/3 or {_SCHEME}name@{CHAMPION}"
            )
        if match["bare"]:
            return cls(match["bare"], alias=CANDIDATE)
        return cls(match["name"], int(match["version"]) if match["version"] else None, match["alias"])

    @classmethod
    def find(cls, text: str) -> ModelReference | None:
        """Reads a reference from any text; None where the text is not one."""
        try:
            return cls.parse(text) if is_registered(text) else None
        except UsageError:
            return None

    def __str__(self) -> str:
        return f"{_SCHEME}{self.name}@{self.alias}" if self.version is None else f"{_SCHEME}{self.name}/{self.version}"


def is_registered(text: str) -> bool:
    """Whether a text means to name a registered model, and not an archive or a folder."""
    return text.startswith(_SCHEME)


def checked_name(name: str) -> str:
    """`name`, where it can be a registered model's.

    Raises:
        UsageError: it cannot.
    """
    if not isinstance(name, str) or not re.fullmatch(MODEL_NAME, name):
        raise UsageError(f"{shorten(name)} is not a model name; use at most 200 letters, digits, _, . and -")
    return name
