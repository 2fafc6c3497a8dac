"""The imports as a picture: a line a part in the order of its row, and an arc from each part to those it imports.

Arcs on the right go up, to a row above; an import that went down, or beside, would be an arc on the left, in red.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from docs.generator.house import ROWS, USERS, WINGS, Edges, House, Rows

_LINE, _GAP, _BOX = 34, 12, 26
_LEFT, _WIDTH, _ARCS = 70, 560, 250
_MARGIN = 16
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1c2026}.name{font-weight:600}.small{font-size:11px;fill:#5b636c}"
    ".box{fill:#fff;stroke:#0072b2}.row{fill:#eef3f7}.wing{fill:#e4f1ea;stroke:#009e73}"
    ".up{fill:none;stroke:#0072b2;opacity:.55}.up:hover{opacity:1;stroke-width:2.5}.down{fill:none;stroke:#d62728;stroke-width:2}"
)


@dataclass(frozen=True)
class _Line:
    """A part's place: its row, and the middle of its box."""

    name: str
    row: int
    y: float


def house_picture(house: House) -> str:
    """All parts, `dataset` with its wings in its box."""
    return _picture("Imports between the parts of Boxwright", (*ROWS, *USERS), house.parts, house.edges, wings=WINGS)


def wings_picture(house: House) -> str:
    """The wings of `dataset`."""
    return _picture("Imports between the wings of dataset", WINGS, house.wings, house.wing_edges)


def _picture(title: str, rows: Rows, parts: Mapping[str, str], edges: Edges, wings: Rows = ()) -> str:
    lines = {line.name: line for line in _lines(rows)}
    height = max(line.y for line in lines.values()) + _LINE / 2 + _GAP + _MARGIN
    width = _LEFT + _WIDTH + _ARCS
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height:g}" rx="6" fill="#fff"/>',
        *_bands(rows, lines),
        *(_box(line, parts[line.name], wings) for line in lines.values()),
        *(_arc(lines[own], lines[theirs]) for own, theirs in sorted(edges)),
        "</svg>",
    ]
    return "\n".join(body) + "\n"


def _lines(rows: Rows) -> Iterator[_Line]:
    y = _MARGIN + _LINE / 2
    for number, row in enumerate(rows):
        for name in row:
            yield _Line(name, number, y)
            y += _LINE
        y += _GAP


def _bands(rows: Rows, lines: Mapping[str, _Line]) -> Iterator[str]:
    """One band behind each row, so that parts that are beside each other show as such."""
    for row in rows:
        top, bottom = lines[row[0]].y - _LINE / 2 - 2, lines[row[-1]].y + _LINE / 2 + 2
        yield f'<rect class="row" x="{_LEFT - 6}" y="{top:g}" width="{_WIDTH + 12}" height="{bottom - top:g}" rx="4"/>'


def _box(line: _Line, purpose: str, wings: Rows) -> str:
    top = line.y - _BOX / 2
    shapes = [f'<rect class="box" x="{_LEFT}" y="{top:g}" width="{_WIDTH}" height="{_BOX}" rx="4"/>']
    shapes.append(f'<text class="name" x="{_LEFT + 10}" y="{line.y + 4.5:g}">{escape(line.name)}</text>')
    if line.name == "dataset" and wings:
        shapes.extend(_wings(line, wings))
    else:
        purpose = purpose.replace("`", "")
        text = purpose if len(purpose) <= 78 else f"{purpose[:75].rsplit(' ', 1)[0]} ..."
        shapes.append(f'<text class="small" x="{_LEFT + 110}" y="{line.y + 4:g}">{escape(text)}</text>')
    return "".join(shapes)


def _wings(line: _Line, wings: Rows) -> Iterator[str]:
    names = [name for row in wings for name in row]
    # Each as wide as its name, in what the box's own name leaves.
    unit = (_WIDTH - 112) / sum(len(name) + 3 for name in names)
    x: float = _LEFT + 106
    for name in names:
        step = unit * (len(name) + 3)
        yield (
            f'<rect class="wing" x="{x:g}" y="{line.y - 10:g}" width="{step - 5:g}" height="20" rx="3"/>'
            f'<text class="small" x="{x + 7:g}" y="{line.y + 4:g}">{escape(name)}</text>'
        )
        x += step


def _arc(own: _Line, theirs: _Line) -> str:
    """From the importing part to the imported one."""
    up = theirs.row < own.row
    reach = min(_ARCS - _MARGIN, 14 + 0.28 * abs(own.y - theirs.y)) if up else min(_LEFT - _MARGIN, 40)
    x, sign = (_LEFT + _WIDTH, 1) if up else (_LEFT, -1)
    # It leaves above the middle of a box and arrives below it, so that both can be told apart.
    start, end = own.y - 5, theirs.y + 5
    # The curve's middle is at three quarters of its control points.
    bend = x + sign * reach / 0.75
    kind = "up" if up else "down"
    head = f"M{x + sign * 7:g},{end - 3:g}L{x + sign:g},{end:g}L{x + sign * 7:g},{end + 3:g}"
    return (
        f'<g class="{kind}">'
        f"<title>{escape(own.name)} imports {escape(theirs.name)}</title>"
        f'<path d="M{x},{start:g}C{bend:g},{start:g} {bend:g},{end:g} {x + sign:g},{end:g}"/><path d="{head}"/></g>'
    )
