"""Draws boxes on pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

INK, MUTED, PAPER = (28, 32, 38), (104, 112, 122), (255, 255, 255)
WRONG = -1  # stands for a class where a box is wrong, whatever its class
_WRONG_COLOUR = (230, 60, 20)
_PLAIN_SIZE = 800  # longest side in pixels up to which lines and letters have their own size
# Okabe and Ito's colours without black, told apart by colour-blind readers too; then their darker relatives.
_COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (153, 102, 204),
    (140, 86, 75),
    (127, 127, 127),
)
_Box = tuple[float, float, float, float]
# A box as `[xmin, ymin, xmax, ymax]`, its class by index, and the text beside it.
Labelled = tuple[_Box, int, str]


def scaled_picture(encoded: bytes, declared: tuple[int, int], panel: tuple[int, int]) -> tuple[Image.Image, float]:
    """An image as large as a panel allows, and the scale of its boxes.

    Args:
        encoded: JPEG or PNG bytes.
        declared: width and height in pixels that the boxes are given in.
        panel: largest width and height in pixels.
    """
    with Image.open(io.BytesIO(encoded)) as opened:
        picture = opened.convert("RGB")
    # Sizes are compared with what the boxes are given in, whatever the decoder makes of the file.
    scale = min(panel[0] / declared[0], panel[1] / declared[1])
    size = (max(1, round(declared[0] * scale)), max(1, round(declared[1] * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS), scale


def draw_detections(
    picture: Image.Image, labelled: Sequence[tuple[tuple[float, float, float, float], int, str]]
) -> None:
    """Draws boxes with their labels on an RGB picture, in place; lines and letters grow with the picture.

    Args:
        picture: any size.
        labelled: `[xmin, ymin, xmax, ymax]` in pixels, class index, and the text beside it; best first.
    """
    draw_boxes(picture, labelled, 1.0, max(1.0, max(picture.size) / _PLAIN_SIZE))


def draw_boxes(panel: Image.Image, labelled: Sequence[Labelled], scale: float, unit: float = 1.0) -> None:
    """Draws boxes, then labels over them, the best score last so that it stays readable.

    Args:
        panel: the picture, drawn on in place.
        labelled: as for `draw_detections`.
        scale: pixels of the picture for each pixel of the boxes.
        unit: width of a line in pixels.
    """
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(round(11 * unit))
    line = round(unit)
    for (xmin, ymin, xmax, ymax), row, _ in reversed(labelled):
        left, top = xmin * scale, ymin * scale
        corners = (left, top, max(left, xmax * scale - 1), max(top, ymax * scale - 1))
        outer = (left - line, top - line, corners[2] + line, corners[3] + line)
        draw.rectangle(outer, outline=INK, width=line)
        draw.rectangle(corners, outline=class_colour(row), width=2 * line)
    taken: list[_Box] = []
    for (xmin, ymin, _, _), row, text in labelled:
        if text:
            _draw_label(draw, (xmin * scale, ymin * scale), text, class_colour(row), font, taken, panel.size, unit)


def _draw_label(
    draw: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    colour: tuple[int, int, int],
    font: Any,
    taken: list[_Box],
    size: tuple[int, int],
    unit: float,
) -> None:
    """A label above its box, or within it; none where a better prediction's label already is."""
    width, height = font.getlength(text) + 6 * unit, 14 * unit
    x = min(max(corner[0], 0), size[0] - width)
    for y in (corner[1] - height, corner[1] + unit):
        area = (x, max(0, y), x + width, max(0, y) + height)
        if not any(_overlap(area, other) for other in taken):
            taken.append(area)
            draw.rectangle(area, fill=colour)
            draw.text((area[0] + 3 * unit, area[1]), text, _readable_on(colour), font)
            return


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def class_colour(row: int) -> tuple[int, int, int]:
    """The colour of a class by index, or of `WRONG`; after the list's end it begins anew, darker."""
    if row == WRONG:
        return _WRONG_COLOUR
    red, green, blue = _COLOURS[row % len(_COLOURS)]
    share = 0.65 ** (row // len(_COLOURS))
    return (int(red * share), int(green * share), int(blue * share))


def _readable_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = colour
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else PAPER


def clip(text: str, length: int, keep_end: bool = False) -> str:
    """One short line of a name."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    if len(text) <= length:
        return text
    return f"...{text[3 - length :]}" if keep_end else f"{text[: length - 3]}..."
