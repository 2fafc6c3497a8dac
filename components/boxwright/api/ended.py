"""The last words of a command that ran in a process of its own."""

from __future__ import annotations


def last_error(log: str) -> str:
    """The error of a command that failed: the last line of its log that says so."""
    lines = [line for line in log.splitlines() if line.strip()]
    found = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "no reason")
    return found.removeprefix("error: ")
