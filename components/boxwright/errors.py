"""Typed errors. Exit codes, Airflow's retry rules and messages all key on these classes.

Every message is one line that says what was expected, what came, where, and what to do; the gate's has its table
below that line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

# What a command ends with where a bug ended it (`EX_SOFTWARE` of sysexits.h).
BUG_EXIT_CODE = 70
# What stands before the host of an address, and values of its query that are secret by their name.
_LOGIN = re.compile(r"(?<=://)[^\s/?#]*@")
_SECRET = re.compile(r"([?&][\w.-]*(?:passw|secret|token|credential|signature|key)[\w.-]*=)[^\s&#'\"]+", re.IGNORECASE)


class BoxwrightError(Exception):
    """A failure that a user can act on; printed without a traceback. Its message loses the log-ins of addresses.

    Attributes:
        exit_code: what a command line exits with.
        retryable: whether running the same step again may succeed without a change by a person.
        file: the file that is damaged or gone, where that is the fault; if a step of the run made it, it is done again.
    """

    exit_code = 5
    retryable = False

    def __init__(self, message: str, file: str | None = None) -> None:
        super().__init__(without_secrets(message))
        self.file = file


class DataError(BoxwrightError):
    """The dataset, or an archive given as data, is not usable as it is."""

    exit_code = 1


class UsageError(BoxwrightError):
    """A parameter, URI, credential or reference is wrong."""

    exit_code = 2


class NotAllowedError(UsageError):
    """A run names what an administrator's list, such as `BOXWRIGHT_ALLOWED_URIS`, does not have."""


class GateError(BoxwrightError):
    """The model was trained and measured, and is not good enough to be registered."""

    exit_code = 3


class StorageError(BoxwrightError):
    """Storage or a server did not answer as it should; the same call may succeed later."""

    exit_code = 4
    retryable = True


class TrainingError(BoxwrightError):
    """Training cannot go on: the loss diverged, or memory does not suffice."""

    exit_code = 5


class DivergedError(TrainingError):
    """The loss grew without end, or is not a number: the settings are to blame."""


class OutOfMemoryError(TrainingError):
    """Memory does not suffice for the batch."""


class PartlyError(BoxwrightError):
    """Some of many inputs could not be processed; the result has all others."""

    exit_code = 6


class StoppedError(BoxwrightError):
    """The training was stopped as a person asked; its state is kept, and it can go on."""

    exit_code = 7


def error_of(exit_code: int | None) -> type[BoxwrightError]:
    """The class of the errors with an exit code; `TrainingError` for all other codes."""
    return next((kind for kind in BoxwrightError.__subclasses__() if kind.exit_code == exit_code), TrainingError)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The nearest of the names as ` (did you mean NAME?)`, to be put behind a wrong one; empty if none is near."""
    near = difflib.get_close_matches(str(name), list(names), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def shorten(value: Any, length: int = 80) -> str:
    """`value` in printable ASCII on one line, cut at `length` characters."""
    # Only a beginning is rendered: an untrusted value may be as large as the file, and nested as deep as JSON can be.
    try:
        text = ascii(value[: length + 1] if isinstance(value, str | list) else value)
    except RecursionError:
        text = f"a {type(value).__name__} that is nested too deep to show"
    text = " ".join(text.splitlines())  # of a type that shows itself on several
    return text if len(text) <= length else f"{text[: length - 3]}..."


def some(names: Sequence[str], shown: int = 20) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def without_secrets(text: str) -> str:
    """A text with the user and password of every address in it left out, and what its query calls a secret masked."""
    return _SECRET.sub(r"\1***", _LOGIN.sub("", text))
