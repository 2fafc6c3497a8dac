"""The page and the picture of a run's steps, from the one table of nodes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from boxwright.pipeline.nodes import NODES, Node, Phase, nodes_of
from docs.generator.markdown import code, page, table

_INTRO = """
A run is these steps, in this order: each is a TFX node, a task of the Airflow DAG, and a function of the same name in
`components/boxwright/pipeline/data_steps.py` or `model_steps.py` beside it. Of the steps that fetch a seed, one runs;
one that reuses a version runs instead of all that follow the data. `choose_best` is a step of [a tuning](../tuning.md)
alone. The table is
`components/boxwright/pipeline/nodes.py`.

![The steps of a run](../images/pipeline.svg)
"""

_WIDTH, _BOX, _HEIGHT, _STEP, _LEFT, _TOP = 900, 190, 26, 42, 60, 16
_ALTERNATIVE, _TALL = 262, 66
_FORK = "choose_seed"
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1c2026}.name{font-weight:600}.small{font-size:11.5px;fill:#5b636c}"
    ".box{fill:#e8f1f8;stroke:#0072b2}.store{fill:#fdf3e1;stroke:#b26a00}.way{fill:none;stroke:#5b636c;stroke-width:1.4}"
    ".back{fill:none;stroke:#b26a00;stroke-width:1.4;stroke-dasharray:5 4}"
)
_TITLE = "The steps of a run, from a bucket of images to the model registry"


def steps_page() -> str:
    """Every step: what it does, and which part of the run it is."""
    rows = [(code(node.id), node.phase.name.lower(), node.does) for node in NODES]
    return page("Steps of a run", _INTRO, table(("step", "part of the run", "what it does"), rows))


def steps_picture() -> str:
    """The steps from top to bottom, the alternatives beside each other, and the way back to the next run."""
    y, shapes = float(_TOP), list[str]()
    for node in nodes_of(Phase.DATA):
        shapes += [_box(_LEFT, y, node.id), _text(y, node.does), _down(_LEFT + _BOX / 2, y + _HEIGHT, y + _STEP)]
        y += _STEP
    shapes += [_box(_LEFT, y, _FORK), _text(y, "decides once which of these three ways a run takes, and keeps to it")]
    top = y + _STEP + 6
    alternatives = nodes_of(Phase.SEED, Phase.REUSE)
    shapes += _alternatives(alternatives, y + _HEIGHT, top)
    y = top + _TALL + 28
    parent = next(number for number, node in enumerate(alternatives) if node.seed == "incremental")
    rest = nodes_of(Phase.MODEL, Phase.RELEASE)
    for node in rest:
        shapes += [_box(_LEFT, y, node.id), _text(y, node.does), _down(_LEFT + _BOX / 2, y + _HEIGHT, y + _STEP)]
        y += _STEP
    shapes += [_box(_LEFT, y, "model registry", "store"), _text(y, "model.tar.gz, and all that is known of it")]
    shapes.append(_way_back(y + _HEIGHT / 2, top + _TALL, _middle(parent) + 30))
    return _svg(shapes, y + _HEIGHT + _TOP)


def _svg(shapes: Iterable[str], height: float) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{_TITLE}">'
        f"<title>{_TITLE}</title><style>{_STYLE}</style>"
        f'<rect width="{_WIDTH}" height="{height:g}" rx="6" fill="#fff"/>'
    )
    return "\n".join([head, *shapes, "</svg>"]) + "\n"


def _alternatives(nodes: Sequence[Node], start: float, top: float) -> Iterator[str]:
    """Boxes beside each other, each with its arrow from the fork; those with a seed go on to the next step."""
    fork, bus = _LEFT + _BOX / 2, start + 10
    for number, node in enumerate(nodes):
        x, middle = _LEFT + number * (_ALTERNATIVE + 12), _middle(number)
        yield f'<path class="way" d="M{fork:g},{start:g}V{bus:g}H{middle:g}V{top:g}"/>{_head(middle, top)}'
        yield f'<rect class="box" x="{x}" y="{top:g}" width="{_ALTERNATIVE}" height="{_TALL}" rx="4"/>'
        yield f'<text class="name" x="{x + 10}" y="{top + 18:g}">{escape(node.id)}</text>'
        for line, words in enumerate(textwrap.wrap(_plain(node.does), 40)[:3]):
            yield f'<text class="small" x="{x + 10}" y="{top + 32 + 13 * line:g}">{escape(words)}</text>'
        if node.phase is Phase.SEED:
            join, end = top + _TALL + 14, top + _TALL + 28
            yield f'<path class="way" d="M{middle:g},{top + _TALL:g}V{join:g}H{fork:g}V{end:g}"/>{_head(fork, end)}'


def _middle(number: int) -> float:
    return _LEFT + number * (_ALTERNATIVE + 12) + _ALTERNATIVE / 2


def _box(x: float, y: float, name: str, kind: str = "box") -> str:
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{_BOX}" height="{_HEIGHT}" rx="4"/>'
        f'<text class="name" x="{x + 10:g}" y="{y + 17.5:g}">{escape(name)}</text>'
    )


def _text(y: float, words: str) -> str:
    return f'<text class="small" x="{_LEFT + _BOX + 14}" y="{y + 17:g}">{escape(_plain(words))}</text>'


def _down(x: float, start: float, end: float) -> str:
    return f'<path class="way" d="M{x:g},{start:g}V{end:g}"/>{_head(x, end)}'


def _head(x: float, y: float) -> str:
    return f'<path class="way" d="M{x - 4:g},{y - 6:g}L{x:g},{y:g}L{x + 4:g},{y - 6:g}"/>'


def _way_back(start: float, end: float, x: float) -> str:
    """From the registry up to the step that fetches the next run's parent."""
    way = f'<path class="back" d="M{_LEFT},{start:g}H24V{end + 7:g}H{x:g}V{end:g}"/>'
    head = f'<path class="way" d="M{x - 4:g},{end + 6:g}L{x:g},{end:g}L{x + 4:g},{end + 6:g}"/>'
    label = f'<text class="small" x="{x + 8:g}" y="{end + 20:g}">the next run&#8217;s parent</text>'
    return way + head + label


def _plain(text: str) -> str:
    return text.replace("`", "")
