"""The pictures of a validation report: what classes, sizes, shapes and places the boxes have. All come as PNG bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.report.data import SplitBoxes
from boxwright.dataset.validation import ModelInput
from boxwright.reporting import Chart, Theme, make_chart, new_axes, new_figure, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_CLASSES = 40
_MATCH = 0.5  # overlap from which an anchor is trained on a box
_GRID = 32
_FAR, _LEAST = 1e7, 1e-3  # pixels

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Anchors:
    """A detector's input, and the boxes that it starts from, as plain numbers: this package knows no models.

    Attributes:
        image_size: input height and width in pixels.
        sizes: square roots of the areas of the anchors, in input pixels; none for a detector without anchors.
        aspect_ratios: heights over widths.
        keep_aspect, tile_size: see `ModelInput`.
    """

    image_size: int
    sizes: tuple[float, ...] = ()
    aspect_ratios: tuple[float, ...] = ()
    keep_aspect: bool = False
    tile_size: int | None = None

    @property
    def model_input(self) -> ModelInput:
        """The size at which it sees boxes."""
        return ModelInput(self.image_size, self.keep_aspect, self.tile_size)

    def __str__(self) -> str:
        tiles = f" in tiles of {self.tile_size} px" if self.tile_size else ""
        return f"the model's input of {self.image_size} px{tiles}"


def draw_charts(splits: Mapping[str, SplitBoxes], anchors: Anchors | None) -> list[Chart]:
    """The charts of a dataset: classes by split and, where there are boxes, their sizes, shapes and places.

    Args:
        splits: the boxes of each split; those without area or with values that are not finite are left out.
        anchors: of the model that will be trained; none are drawn if unset.
    """
    if not splits:
        return []
    charts = [make_chart("Boxes of each class", _class_caption(splits), _draw_classes, splits)]
    shapes = _Shapes.of(splits.values(), anchors.model_input if anchors else None)
    if len(shapes.width):
        charts.append(make_chart("Sizes and shapes", _shape_caption(shapes, anchors), _draw_shapes, shapes, anchors))
        charts.append(make_chart("Where the boxes are", _place_caption(shapes), _draw_places, shapes))
    return charts


@dataclass(frozen=True)
class _Shapes:
    """All drawable boxes: `width` and `height` in pixels of the model's input (or of the image), centres in [0, 1]."""

    width: Numbers
    height: Numbers
    x: Numbers
    y: Numbers

    @classmethod
    def of(cls, splits: Iterable[SplitBoxes], model_input: ModelInput | None) -> _Shapes:
        owned = [(split, split.owners >= 0) for split in splits]
        box = np.concatenate([split.corners[known] for split, known in owned])
        size = np.concatenate([split.sizes[split.owners[known]] for split, known in owned])
        # NaN and infinity are not below the limit, nor are the numbers that only a fault can give.
        sane = (np.abs(box) < _FAR).all(axis=1) & np.isfinite(size).all(axis=1)
        box, size = box[sane].astype(np.float32), size[sane].astype(np.float32)
        extent = box[:, 2:] - box[:, :2]
        solid = (extent > 0).all(axis=1)
        box, size, extent = box[solid], size[solid], extent[solid]
        centre = (box[:, :2] + box[:, 2:]) / 2 / size
        scaled = np.maximum(extent * model_input.scales(size) if model_input else extent, _LEAST)
        return cls(scaled[:, 0], scaled[:, 1], centre[:, 0], centre[:, 1])


def best_overlap(width: Numbers, height: Numbers, anchors: Anchors) -> Numbers:
    """The overlap (IoU) of each box with the anchor that is most like it, were they at the same place.

    Args:
        width: in input pixels, (boxes,).
        height: in input pixels, (boxes,).
        anchors: all sizes are combined with all aspect ratios.
    """
    best, area = np.zeros_like(width), width * height
    for size in anchors.sizes:
        for ratio in anchors.aspect_ratios:
            wide, high = size / ratio**0.5, size * ratio**0.5
            common = np.minimum(width, wide) * np.minimum(height, high)
            np.maximum(best, common / (area + wide * high - common), out=best)
    return best


# --- in words ---


def _class_caption(splits: Mapping[str, SplitBoxes]) -> str:
    counts = [f"{len(part.corners):,} in {split}" for split, part in splits.items()]
    classes = len({key for part in splits.values() for key in part.categories})
    more = f" The {SHOWN_CLASSES} most frequent are shown." if classes > SHOWN_CLASSES else ""
    return f"{classes:,} class{'es' * (classes != 1)}; boxes: {', '.join(counts)}.{more}"


def _shape_caption(shapes: _Shapes, anchors: Anchors | None) -> str:
    side = np.sqrt(shapes.width * shapes.height)
    low, middle, high = np.percentile(side, (5, 50, 95))
    text = f"Half of all boxes are smaller than {middle:.0f} px (side of a square as large), 90 % between "
    text += f"{low:.0f} and {high:.0f} px"
    if anchors is None:
        return f"{text}, in pixels of the images."
    if not anchors.sizes:
        return f"{text}, at {anchors}."
    missed = float(np.mean(best_overlap(shapes.width, shapes.height, anchors) < _MATCH))
    return (
        f"{text}, at {anchors}. {missed:.1%} of the boxes overlap no anchor by "
        f"{_MATCH:g} even when centred on it: too small, too large or too long for this input size. "
        "They are learnt from their best anchors alone, and found less surely."
    )


def _place_caption(shapes: _Shapes) -> str:
    inner = np.mean((np.abs(shapes.x - 0.5) < 0.25) & (np.abs(shapes.y - 0.5) < 0.25))
    return f"Centres of {len(shapes.x):,} boxes over the image; {inner:.0%} lie in the middle quarter of its area."


# --- in pictures ---


def _draw_classes(theme: Theme, splits: Mapping[str, SplitBoxes]) -> Figure:
    counts = {split: _class_counts(part) for split, part in splits.items()}
    names = {key: name for part in reversed(list(splits.values())) for key, name in part.categories.items()}
    total = {key: sum(count.get(key, 0) for count in counts.values()) for key in names}
    shown = sorted(names, key=lambda key: (-total[key], key))[:SHOWN_CLASSES]
    figure, rows = new_figure(8.4, 1.0 + 0.27 * max(3, len(shown))), range(len(shown))
    first: Axes | None = None
    for number, (split, count) in enumerate(counts.items(), start=1):
        axes = new_axes(figure, theme, (1, len(counts), number), sharey=first)
        values = [count.get(key, 0) for key in shown]
        axes.barh(rows, values, height=0.68, color=theme.bar)
        for row, value in zip(rows, values, strict=True):
            axes.annotate(
                f"{value:,}", (value, row), (4, 0), textcoords="offset points", va="center", fontsize=8, color=theme.ink
            )
        axes.set_title(split, loc="left", fontsize=10, color=theme.ink)
        axes.set_xlim(0, max([1, *values]) * 1.25)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="y", labelleft=first is None)
        if first is None:
            first = axes
            axes.set_yticks(rows, [short_name(names[key]) for key in shown], color=theme.ink, parse_math=False)
            axes.invert_yaxis()
    return figure


def _class_counts(split: SplitBoxes) -> dict[int, int]:
    ids, counts = np.unique(split.category_ids, return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))


def _draw_shapes(theme: Theme, shapes: _Shapes, anchors: Anchors | None) -> Figure:
    figure = new_figure(8.4, 3.2)
    side, ratio = np.sqrt(shapes.width * shapes.height), shapes.height / shapes.width
    of_input = "px at the model's input" if anchors else "px"
    panels = (
        (side, f"side of a square as large, {of_input}", anchors.sizes if anchors else ()),
        (ratio, "height / width", anchors.aspect_ratios if anchors else ()),
    )
    for number, (values, label, marks) in enumerate(panels, start=1):
        axes = new_axes(figure, theme, (1, 2, number))
        _log_histogram(axes, theme, values, marks)
        axes.set_xlabel(label, fontsize=9, color=theme.muted)
        axes.set_title("Size" if number == 1 else "Shape", loc="left", fontsize=10, color=theme.ink)
        if marks:
            axes.legend(frameon=False, fontsize=8, labelcolor=theme.ink, loc="upper right")
    return figure


def _log_histogram(axes: Axes, theme: Theme, values: Numbers, marks: Sequence[float]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

    low = min(float(values.min()), *marks, 1e6) / 1.1
    high = max(float(values.max()), *marks, 1e-6) * 1.1
    edges = np.geomspace(low, high, 41)
    share = np.histogram(values, edges)[0] / len(values)
    axes.bar(edges[:-1], share, np.diff(edges) * 0.92, align="edge", color=theme.bar, label="boxes")
    for number, mark in enumerate(marks):
        axes.axvline(mark, color=theme.anchor, lw=1, alpha=0.85, label="anchors" if number == 0 else None)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(_round_values(low, high))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.grid(axis="y", color=theme.grid, lw=0.6)
    axes.set_axisbelow(True)


def _round_values(low: float, high: float) -> Iterator[float]:
    """Powers of two within the range, every second where they are many."""
    first, last = int(np.ceil(np.log2(low))), int(np.floor(np.log2(high)))
    step = max(1, round((last - first) / 7))
    yield from (2.0**power for power in range(first, last + 1, step))


def _draw_places(theme: Theme, shapes: _Shapes) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap

    figure = new_figure(5.2, 4.4)
    axes = new_axes(figure, theme, (1, 1, 1), aspect="equal")
    counts = np.histogram2d(shapes.y, shapes.x, _GRID, ((0, 1), (0, 1)))[0]
    colours = LinearSegmentedColormap.from_list("boxes", theme.heat)
    drawn = axes.imshow(counts, cmap=colours, extent=(0, 1, 1, 0), vmin=0, interpolation="nearest")
    axes.set_xticks([0, 0.5, 1], ["left", "", "right"])
    axes.set_yticks([0, 0.5, 1], ["top", "", "bottom"])
    bar = figure.colorbar(drawn, ax=axes, shrink=0.85)
    bar.set_label("boxes", fontsize=9, color=theme.muted)
    bar.ax.tick_params(colors=theme.muted, labelsize=8, length=0)
    bar.outline.set_visible(False)
    return figure
