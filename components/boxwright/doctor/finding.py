"""The result of one check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from boxwright.errors import BoxwrightError, without_secrets


class Verdict(StrEnum):
    """The verdict of a finding.

    `DOUBTFUL` works here and may fail under load or elsewhere; `WRONG` has to be mended; `SKIPPED` does not apply here,
    or cannot be checked from here.
    """

    WELL = "well"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        subject: what was checked.
        verdict: the result.
        said: what was found, on one line and without log-ins.
        mend: what to do; empty where nothing is to be done.
    """

    subject: str
    verdict: Verdict
    said: str
    mend: str = ""

    def facts(self) -> dict[str, str]:
        """The finding as JSON values."""
        return {name: str(value) for name, value in asdict(self).items()}


Look = Callable[[], Iterable[Finding]]


def well(subject: str, said: str) -> Finding:
    """A finding that all is well."""
    return Finding(subject, Verdict.WELL, without_secrets(said))


def doubtful(subject: str, said: str, mend: str) -> Finding:
    """A finding that may become a fault."""
    return Finding(subject, Verdict.DOUBTFUL, without_secrets(said), mend)


def wrong(subject: str, said: str, mend: str) -> Finding:
    """A finding that has to be mended."""
    return Finding(subject, Verdict.WRONG, without_secrets(said), mend)


def skipped(subject: str, said: str) -> Finding:
    """A finding that something was not checked, and why."""
    return Finding(subject, Verdict.SKIPPED, without_secrets(said))


def looked_at(subject: str, look: Look) -> Iterator[Finding]:
    """The findings of a check; an error of Boxwright's is a finding, too."""
    try:
        yield from look()
    except BoxwrightError as error:
        yield of_error(subject, error)


def of_error(subject: str, error: BoxwrightError) -> Finding:
    """The finding of a check that an error ended; the error's message says what to do."""
    said, _, mend = str(error).rpartition("; ")
    return wrong(subject, said or mend, mend if said else "see what it says")
