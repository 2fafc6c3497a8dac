"""Pictures of what a model finds beside what is there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from boxwright.dataset.annotations import Annotations, ImageRecord
from boxwright.images import INK, MUTED, PAPER, Labelled, class_colour, clip, draw_boxes, scaled_picture
from boxwright.storage import replacing

SHEET_IMAGES = 12
_COLUMNS = 3
_PANEL = (340, 255)  # width and height in pixels of one picture's place
_GAP = 10
_MARGIN = 24
_CAPTION = 24
_SHOWN_PREDICTIONS = 60


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
    sheet = Image.new("RGB", (header.width, header.height + rows * row_height + _MARGIN - _GAP), PAPER)
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
) -> tuple[list[Labelled], list[Labelled]]:
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
        draw.text((_MARGIN, _MARGIN - 6), "What the model finds", INK, self.title)
        draw.text((_MARGIN, _MARGIN + 26), self.subtitle, MUTED, self.small)
        for x, y, text, colour in self.places:
            draw.rounded_rectangle((x, y + 2, x + 14, y + 16), 3, fill=colour, outline=INK)
            draw.text((x + 22, y), text, INK, self.small)


def _draw_pair(
    sheet: Image.Image,
    corner: tuple[int, int],
    record: ImageRecord,
    encoded: bytes,
    boxes: tuple[list[Labelled], list[Labelled]],
) -> None:
    x, y = corner
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    truth, found = boxes
    draw.text((x, y), clip(record.file_name, 36, keep_end=True), INK, font)
    counts = f"{len(truth)} true, {len(found)} found"
    draw.text((x + 2 * _PANEL[0] + 4 - font.getlength(counts), y), counts, MUTED, font)
    picture, scale = scaled_picture(encoded, (record.width, record.height), _PANEL)
    size = picture.size
    for side, labelled in enumerate((truth, found)):
        panel = picture.copy()
        draw_boxes(panel, labelled, scale)
        left = x + side * (_PANEL[0] + 4)
        draw.rectangle((left, y + _CAPTION, left + _PANEL[0] - 1, y + _CAPTION + _PANEL[1] - 1), (238, 240, 242))
        sheet.paste(panel, (left + (_PANEL[0] - size[0]) // 2, y + _CAPTION + (_PANEL[1] - size[1]) // 2))
