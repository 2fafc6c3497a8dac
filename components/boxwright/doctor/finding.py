"""One thing that was looked at, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from boxwright.errors import BoxwrightError, without_secrets


class Verdict(StrEnum):
    """What a finding says: `WELL`; `DOUBTFUL` works here and may not under load or elsewhere; `WRONG` has to be mended.

    `SKIPPED` does not apply here, or cannot be looked at from here; it says why.
    """

    WELL = "well"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what it is.
        verdict: what came of it.
        said: what was found, on one line and without log-ins.
        mend: what to do; empty where nothing is to be done.
    """

    subject: str
    verdict: Verdict
    said: str
    mend: str = ""

    def facts(self) -> dict[str, str]:
        """All of it as JSON takes it."""
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
    """What was not looked at, and why."""
    return Finding(subject, Verdict.SKIPPED, without_secrets(said))


def looked_at(subject: str, look: Look) -> Iterator[Finding]:
    """What a look finds; an error of Boxwright's is a finding, too."""
    try:
        yield from look()
    except BoxwrightError as error:
        yield of_error(subject, error)


def of_error(subject: str, error: BoxwrightError) -> Finding:
    """The finding of a look that an error ended; the error's message says what to do."""
    said, _, mend = str(error).rpartition("; ")
    return wrong(subject, said or mend, mend if said else "see what it says")
