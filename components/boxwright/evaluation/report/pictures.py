"""Pictures of what a model finds beside what is there."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from boxwright.dataset.annotations import Annotations, ImageRecord
from boxwright.storage import replacing

SHEET_IMAGES = 12
_COLUMNS = 3
_PANEL = (340, 255)  # width and height in pixels of one picture's place
_GAP = 10
_MARGIN = 24
_CAPTION = 24
_SHOWN_PREDICTIONS = 60
WRONG = -1  # stands for a class where a box is wrong, whatever its class
_WRONG_COLOUR = (230, 60, 20)
_PLAIN_SIZE = 800  # longest side in pixels up to which lines and letters have their own size
_INK, _MUTED, _PAPER = (28, 32, 38), (104, 112, 122), (255, 255, 255)
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
_Labelled = tuple[_Box, int, str]


def draw_predictions(
    images: Sequence[tuple[str, bytes]],
    annotations: Annotations,
    detections: Sequence[Mapping[str, Any]],
    out_png: Path,
    threshold: float = 0.3,
) -> None:
    """Writes one contact sheet: each image twice, with its ground truth on the left and the predictions on the right.

    Equal arguments give equal bytes.

    Args:
        images: `(file_name, encoded image)`; the first `SHEET_IMAGES` are drawn, in this order.
        annotations: the ground truth, with corner boxes.
        detections: COCO results, `bbox` as `[x, y, width, height]` in pixels.
        out_png: file to write, atomically.
        threshold: least score of a prediction that is drawn.
    """
    records = {record.file_name: record for record in annotations.images}
    shown = [(records[name], encoded) for name, encoded in images[:SHEET_IMAGES] if name in records]
    columns = max(1, min(_COLUMNS, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    pair = 2 * _PANEL[0] + 4
    header = _Header(annotations, _MARGIN * 2 + columns * (pair + _GAP * 2) - _GAP * 2, threshold)
    row_height = _CAPTION + _PANEL[1] + _GAP * 2
    sheet = Image.new("RGB", (header.width, header.height + rows * row_height + _MARGIN - _GAP), _PAPER)
    header.draw(ImageDraw.Draw(sheet))
    for number, (record, encoded) in enumerate(shown):
        row, column = divmod(number, columns)
        corner = (_MARGIN + column * (pair + _GAP * 2), header.height + row * row_height)
        truth, found = _boxes_of(record, annotations, detections, threshold)
        _draw_pair(sheet, corner, record, encoded, (truth, found))
    with replacing(out_png) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)


def _boxes_of(
    record: ImageRecord, annotations: Annotations, detections: Sequence[Mapping[str, Any]], threshold: float
) -> tuple[list[_Labelled], list[_Labelled]]:
    """Ground truth and the best predictions of one image, as corner boxes with class index and label."""
    index = {category_id: row for row, category_id in enumerate(annotations.category_ids)}
    truth = [(box.bbox, index[box.category_id], "") for box in annotations.boxes_by_image[record.id]]
    mine = [found for found in detections if found["image_id"] == record.id and found["score"] >= threshold]
    mine.sort(key=lambda found: (-found["score"], found["category_id"], tuple(found["bbox"])))
    predicted = []
    for found in mine[:_SHOWN_PREDICTIONS]:
        x, y, width, height = found["bbox"]
        label = f"{clip(annotations.categories[found['category_id']], 14)} {found['score']:.2f}"
        predicted.append(((x, y, x + width, y + height), index[found["category_id"]], label))
    return truth, predicted


class _Header:
    """Title and legend; the legend takes as many lines as its names need."""

    def __init__(self, annotations: Annotations, width: int, threshold: float) -> None:
        self.width = max(width, 560)
        self.title, self.small = ImageFont.load_default(22), ImageFont.load_default(15)
        self.subtitle = f"left: ground truth    right: predictions with a score of at least {threshold:g}"
        self.places: list[tuple[int, int, str, tuple[int, int, int]]] = []
        x, y = _MARGIN, _MARGIN + 60
        for row, name in enumerate(annotations.classes[:40]):
            text = clip(name, 28)
            needed = 22 + int(self.small.getlength(text)) + 24
            if x + needed > self.width - _MARGIN and x > _MARGIN:
                x, y = _MARGIN, y + 24
            self.places.append((x, y, text, class_colour(row)))
            x += needed
        self.height = y + 36

    def draw(self, draw: ImageDraw.ImageDraw) -> None:
        draw.text((_MARGIN, _MARGIN - 6), "What the model finds", _INK, self.title)
        draw.text((_MARGIN, _MARGIN + 26), self.subtitle, _MUTED, self.small)
        for x, y, text, colour in self.places:
            draw.rounded_rectangle((x, y + 2, x + 14, y + 16), 3, fill=colour, outline=_INK)
            draw.text((x + 22, y), text, _INK, self.small)


def _draw_pair(
    sheet: Image.Image,
    corner: tuple[int, int],
    record: ImageRecord,
    encoded: bytes,
    boxes: tuple[list[_Labelled], list[_Labelled]],
) -> None:
    x, y = corner
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    truth, found = boxes
    draw.text((x, y), clip(record.file_name, 36, keep_end=True), _INK, font)
    counts = f"{len(truth)} true, {len(found)} found"
    draw.text((x + 2 * _PANEL[0] + 4 - font.getlength(counts), y), counts, _MUTED, font)
    picture, scale = scaled_picture(encoded, record, _PANEL)
    size = picture.size
    for side, labelled in enumerate((truth, found)):
        panel = picture.copy()
        _draw_boxes(panel, labelled, scale)
        left = x + side * (_PANEL[0] + 4)
        draw.rectangle((left, y + _CAPTION, left + _PANEL[0] - 1, y + _CAPTION + _PANEL[1] - 1), (238, 240, 242))
        sheet.paste(panel, (left + (_PANEL[0] - size[0]) // 2, y + _CAPTION + (_PANEL[1] - size[1]) // 2))


def scaled_picture(encoded: bytes, record: ImageRecord, panel: tuple[int, int]) -> tuple[Image.Image, float]:
    """An image as large as `panel` (width, height) allows, and the scale of its boxes."""
    with Image.open(io.BytesIO(encoded)) as opened:
        picture = opened.convert("RGB")
    # Sizes are compared with what the boxes are given in, whatever the decoder makes of the file.
    scale = min(panel[0] / record.width, panel[1] / record.height)
    size = (max(1, round(record.width * scale)), max(1, round(record.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS), scale


def draw_detections(
    picture: Image.Image, labelled: Sequence[tuple[tuple[float, float, float, float], int, str]]
) -> None:
    """Draws boxes with their labels on an RGB picture, in place; lines and letters grow with the picture.

    Args:
        picture: any size.
        labelled: `[xmin, ymin, xmax, ymax]` in pixels, class index, and the text beside it; best first.
    """
    _draw_boxes(picture, labelled, 1.0, max(1.0, max(picture.size) / _PLAIN_SIZE))


def _draw_boxes(panel: Image.Image, labelled: Sequence[_Labelled], scale: float, unit: float = 1.0) -> None:
    """Draws boxes first and labels over them, best score last, so that it stays readable; `unit` is a line's width."""
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(round(11 * unit))
    line = round(unit)
    for (xmin, ymin, xmax, ymax), row, _ in reversed(labelled):
        left, top = xmin * scale, ymin * scale
        corners = (left, top, max(left, xmax * scale - 1), max(top, ymax * scale - 1))
        outer = (left - line, top - line, corners[2] + line, corners[3] + line)
        draw.rectangle(outer, outline=_INK, width=line)
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
    return _INK if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else _PAPER


def clip(text: str, length: int, keep_end: bool = False) -> str:
    """One short line of a name."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    if len(text) <= length:
        return text
    return f"...{text[3 - length :]}" if keep_end else f"{text[: length - 3]}..."
