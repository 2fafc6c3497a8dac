"""Commands that run in processes of their own: the environment that they get, and their last words."""

from __future__ import annotations

import os

# By these a notebook's kernel asks programs for colours, whose codes would be taken for words of their messages.
_COLOURS = ("FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR")


def plain_environment() -> dict[str, str]:
    """The environment of this process, for a command whose lines are read by a program."""
    return {name: value for name, value in os.environ.items() if name not in _COLOURS}


def last_error(log: str) -> str:
    """The error of a command that failed: the last line of its log that says so."""
    lines = [line for line in log.splitlines() if line.strip()]
    found = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "no reason")
    return found.removeprefix("error: ")
