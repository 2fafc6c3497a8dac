"""The worst images of a validation report, with their boxes drawn on them."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from boxwright.dataset.annotations import ImageRecord
from boxwright.dataset.report.data import SplitBoxes
from boxwright.dataset.validation import RULES, Finding
from boxwright.images import encoded_image

if TYPE_CHECKING:
    from PIL import Image

SHOWN_OFFENDERS = 12
_PANEL = (360, 270)  # largest width and height of a picture
_MARGIN = 0.06  # of the longer side, around the image: boxes may lie outside
_COLOURS = 96
_FRAME, _PAPER, _GOOD, _BAD, _EDGE = (214, 219, 225), (120, 128, 137), (86, 180, 233), (230, 60, 20), (255, 255, 255)
_Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Offender:
    """One image, drawn as PNG, with what is wrong with it and its boxes."""

    split: str
    file: str
    findings: tuple[Finding, ...]
    png: bytes
    has_picture: bool

    @property
    def distinct(self) -> list[Finding]:
        """Its findings; of those that read alike the first."""
        first: dict[tuple[str, str, str], Finding] = {}
        for found in self.findings:
            first.setdefault((found.severity, found.rule, str(found.value)), found)
        return list(first.values())


def draw_offenders(
    findings: Sequence[Finding], splits: Mapping[str, SplitBoxes], folders: Mapping[str, Path]
) -> list[Offender]:
    """Draws the images with the most errors and, among equals, the most warnings; bad boxes in red, others in blue.

    Args:
        findings: all of them; those without an image are passed over.
        splits: the boxes of each split; bad ones that are not among them are drawn from the finding's value.
        folders: where the images of each split are; an empty frame of the declared size stands for the others.
    """
    grouped = _by_image(findings)
    rows = {split: _rows(part) for split, part in splits.items()}
    return [
        _draw(split, file, grouped[split, file], splits[split], rows[split][file], folders)
        for split, file in _worst(grouped, rows)
    ]


def images_to_draw(findings: Sequence[Finding], splits: Mapping[str, SplitBoxes]) -> list[tuple[str, str]]:
    """Split and file name of the images that `draw_offenders` opens."""
    grouped = _by_image(findings)
    worst = _worst(grouped, {split: _rows(part) for split, part in splits.items()})
    return [key for key in worst if not any(_spoils_image(found) for found in grouped[key])]


def _by_image(findings: Sequence[Finding]) -> dict[tuple[str, str], list[Finding]]:
    grouped: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for found in findings:
        if found.file:
            grouped[found.split, found.file].append(found)
    return grouped


def _worst(
    grouped: Mapping[tuple[str, str], Sequence[Finding]], rows: Mapping[str, Mapping[str, int]]
) -> list[tuple[str, str]]:
    known = [(split, file) for split, file in grouped if file in rows.get(split, {})]
    return sorted(known, key=lambda key: _badness(grouped[key]), reverse=True)[:SHOWN_OFFENDERS]


def _rows(split: SplitBoxes) -> dict[str, int]:
    """The row of each image by its file name, where its size is known."""
    usable = np.isfinite(split.sizes[:, 0]) & np.isfinite(split.sizes[:, 1])
    return {file: row for row, file in enumerate(split.files) if file is not None and usable[row]}


def _badness(findings: Sequence[Finding]) -> tuple[int, int]:
    errors = sum(found.severity == "error" for found in findings)
    return errors, len(findings) - errors


def _draw(
    split: str, file: str, findings: Sequence[Finding], part: SplitBoxes, row: int, folders: Mapping[str, Path]
) -> Offender:
    width, height = part.sizes[row].astype(int).tolist()
    readable = split in folders and not any(_spoils_image(found) for found in findings)
    picture = _picture(folders[split], ImageRecord(0, file, width, height)) if readable else None
    mine = np.flatnonzero(part.owners == row)
    boxes: dict[int, Any] = dict(zip(part.indices[mine].tolist(), part.corners[mine].tolist(), strict=True))
    bad = {index: boxes.pop(index, value) for index, value in _bad_boxes(findings).items()}
    canvas = _draw_boxes(picture, (width, height), _drawable(boxes.values()), _drawable(bad.values()))
    buffer = io.BytesIO()
    canvas.quantize(_COLOURS).save(buffer, "PNG", optimize=True)
    return Offender(split, file, tuple(findings), buffer.getvalue(), picture is not None)


def _spoils_image(found: Finding) -> bool:
    """Whether the image is not even opened: its bytes are broken, or would fill the memory."""
    return found.rule in RULES and RULES[found.rule].spoils_image


def _bad_boxes(findings: Sequence[Finding]) -> dict[int, Any]:
    """The findings about boxes, by index."""
    return {found.index: found.value for found in findings if found.list == "annotations" and found.index is not None}


def _picture(folder: Path, record: ImageRecord) -> Image.Image | None:
    """The image as its boxes were drawn on it, or None where it cannot be had."""
    from PIL import Image

    try:
        data = encoded_image((folder / record.file_name).read_bytes(), (record.width, record.height)).data
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            return image.convert("RGB")
    except Exception:  # untrusted bytes: one picture less must not cost the whole report
        return None


def _drawable(boxes: Iterable[Any]) -> list[_Corners]:
    """The boxes of four numbers that fit into a picture."""
    fours = (box for box in boxes if isinstance(box, list | tuple) and len(box) == 4)
    sane = (box for box in fours if all(_is_drawable(number) for number in box))
    return [(float(left), float(top), float(right), float(bottom)) for left, top, right, bottom in sane]


def _is_drawable(number: Any) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < 1e9


def _draw_boxes(
    picture: Image.Image | None, declared: tuple[int, int], good: Sequence[_Corners], bad: Sequence[_Corners]
) -> Image.Image:
    from PIL import Image, ImageDraw

    width, height = picture.size if picture else declared
    margin = _MARGIN * max(width, height)
    scale = min(_PANEL[0] / (width + 2 * margin), _PANEL[1] / (height + 2 * margin))
    offset = math.ceil(margin * scale)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = Image.new("RGB", (size[0] + 2 * offset, size[1] + 2 * offset), _PAPER)
    canvas.paste(picture.resize(size) if picture else _FRAME, (offset, offset, offset + size[0], offset + size[1]))
    draw = ImageDraw.Draw(canvas)
    for boxes, colour, line in ((good, _GOOD, 1), (bad, _BAD, 2)):
        for box in boxes:
            _draw_box(draw, [value * scale + offset for value in box], colour, line, canvas.size)
    return canvas


def _draw_box(draw: Any, box: list[float], colour: tuple[int, int, int], line: int, size: tuple[int, int]) -> None:
    """A box of any shape: cut at the canvas's edge, and ringed where it would be too small to be seen."""
    (left, right), (top, bottom) = (
        sorted(min(max(value, 0), limit - 1) for value in pair)
        for pair, limit in ((box[::2], size[0]), (box[1::2], size[1]))
    )
    draw.rectangle((left, top, right, bottom), outline=colour, width=line)
    if line > 1 and min(right - left, bottom - top) < 6:
        x, y, reach = (left + right) / 2, (top + bottom) / 2, 9
        draw.ellipse((x - reach - 1, y - reach - 1, x + reach + 1, y + reach + 1), outline=_EDGE, width=4)
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=colour, width=line)
