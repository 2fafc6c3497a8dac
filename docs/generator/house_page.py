"""The page that says in words what the picture of the imports shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from docs.generator.house import ROWS, USERS, WINGS, Edges, House, Rows
from docs.generator.markdown import code, listed, page, table

_INTRO = """
What [the picture](../architecture.md#the-house) shows, in words: each part of the project, from the first row down, and
the parts that it imports. A part imports only from rows above its own; `tests/test_import_walls.py` holds that.
"""
_HEADER = ("row", "part", "what it is", "imports from")


def house_page(house: House) -> str:
    """Every part with its purpose and its imports; then the wings of `dataset`."""
    return page(
        "Imports",
        _INTRO,
        table(_HEADER, _rows((*ROWS, *USERS), house.parts, house.edges)),
        "## The wings of dataset",
        table(_HEADER, _rows(WINGS, house.wings, house.wing_edges)),
    )


def _rows(rows: Rows, parts: Mapping[str, str], edges: Edges) -> Iterator[tuple[str, ...]]:
    order = [name for row in rows for name in row]
    for number, row in enumerate(rows, start=1):
        for name in row:
            yield str(number), code(name), parts[name], listed(other for other in order if (name, other) in edges)
