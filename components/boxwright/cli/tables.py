"""Tables of the command line, in which nothing is cut: what they hold is there to be copied."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Column, Table

# A pipe has no width at which a table would have to end.
_PIPE = 10_000


def table(*headers: str, **options: Any) -> Table:
    """A table whose cells are wrapped where there is no room, never cut.

    Args:
        headers: of the columns.
        options: what `rich.table.Table` takes.
    """
    return Table(*(Column(header, overflow="fold") for header in headers), **options)


def wide_console() -> Console:
    """A console for tables: as wide as the terminal, or as the table where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE)


def show_rows(rows: Table) -> None:
    """Prints a table of facts as such where it fits, and else each row as lines of their names and values."""
    console = wide_console()
    if console.measure(rows, options=console.options.update(width=_PIPE)).maximum <= console.width:
        console.print(rows)
        return
    names = [str(column.header) for column in rows.columns]
    longest = max(map(len, names))
    for cells in zip(*(column.cells for column in rows.columns), strict=True):
        for name, cell in zip(names, cells, strict=True):
            console.print(f"[bold]{name:{longest}}[/bold]  {cell}", soft_wrap=True)
        console.print()
