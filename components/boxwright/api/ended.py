"""What a command that ended in a process of its own has said."""

from __future__ import annotations


def last_error(log: str) -> str:
    """The line with which a command ended."""
    lines = [line for line in log.splitlines() if line.strip()]
    found = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "no reason")
    return found.removeprefix("error: ")
