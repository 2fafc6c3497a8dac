"""Charts of a report: one picture for a light page and one for a dark one. All come as PNG bytes."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 110


@dataclass(frozen=True)
class Chart:
    """One picture, for a light and for a dark page, and what it says in words."""

    title: str
    caption: str
    light: bytes
    dark: bytes


@dataclass(frozen=True)
class Theme:
    """Colours of a page: text, lesser text, lines, amounts, what amounts are held against, and amounts on an area."""

    ink: str
    muted: str
    grid: str
    bar: str
    anchor: str
    heat: tuple[str, ...]


# One blue for all amounts, from the page's background to full; the anchors in orange, told apart by everyone.
LIGHT = Theme("#1f2328", "#59636e", "#d8dee4", "#2a78d6", "#c2410c", ("#f3f7fc", "#9ec3ee", "#2a78d6", "#0b3566"))
DARK = Theme("#e6edf3", "#9aa4af", "#30363d", "#4a94e8", "#f0883e", ("#161b22", "#1d3f6b", "#4a94e8", "#d6e8fc"))


def make_chart(title: str, caption: str, draw: Any, *data: Any) -> Chart:
    """Draws a chart twice: `draw(theme, *data)` returns the figure."""
    light, dark = (png_of(draw(theme, *data)) for theme in (LIGHT, DARK))
    return Chart(title, caption, light, dark)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches; no window system is asked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="none")
    FigureCanvasAgg(figure)
    return figure


def png_of(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG, the same for the same figure."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Class names may be in any script; the one font there is draws a box for what it lacks.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        # By itself `savefig` would draw the whole figure for its layout alone, and then again.
        if engine := figure.get_layout_engine():
            engine.execute(figure)
            figure.set_layout_engine("none")
        # The version of the library would otherwise stand in the file.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def new_axes(figure: Figure, theme: Theme, place: tuple[int, int, int], **options: Any) -> Axes:
    """Plain axes at `place`, (rows, columns, number), as `add_subplot` counts."""
    axes: Axes = figure.add_subplot(*place, facecolor="none", **options)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(theme.grid)
    axes.tick_params(colors=theme.muted, labelsize=9, length=0)
    return axes


def short_name(text: str, length: int = 28) -> str:
    """A class name as one short line."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= length else f"{text[: length - 3]}..."
