"""Markdown, as far as the generated pages need it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def page(title: str, *parts: str) -> str:
    """A page of a title and parts, with a line that says where it comes from."""
    note = "<!-- Generated from the code by `make docs`: change the code, not this file. -->"
    return "\n\n".join((f"# {title}", note, *(part.strip() for part in parts if part.strip()))) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown of one line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell(text) for text in line)} |" for line in lines)


def cell(text: str) -> str:
    """`text` on one line, with what would end a cell, or begin an element, escaped."""
    pieces = " ".join(text.split()).replace("|", "\\|").split("`")
    # Outside of code, what is in angle brackets would be an element of HTML.
    return "`".join(piece if number % 2 else piece.replace("<", "&lt;") for number, piece in enumerate(pieces))


def code(text: object) -> str:
    """`text` as code; nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def listed(names: Iterable[object]) -> str:
    """Names as code, divided by commas."""
    return ", ".join(code(name) for name in names)


def shown(value: object) -> str:
    """A default value: as it is written in `--set NAME=VALUE`."""
    if value is None or value == "" or value == {}:
        return ""
    if isinstance(value, float):
        return code(f"{value:g}")
    return code(value)
