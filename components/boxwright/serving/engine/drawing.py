"""An image with its boxes drawn."""

from __future__ import annotations

import io

from boxwright.images import draw_detections, open_image
from boxwright.serving.engine.picture import Picture
from boxwright.serving.engine.predictor import Detections


def draw_answer(picture: Picture, detections: Detections, labels: tuple[str, ...]) -> bytes:
    """A PNG of the picture as a person sees it, with each detection's box, label and score.

    Args:
        picture: one that the model could decode.
        detections: those to be drawn, best first.
        labels: class names by 0-based index.
    """
    with open_image(io.BytesIO(picture.encoded)) as opened:
        drawn = opened.convert("RGB")
    scale = [picture.width, picture.height] * 2
    draw_detections(drawn, [_labelled(*one, scale, labels) for one in _rows(detections)])
    buffer = io.BytesIO()
    # A photograph hardly gets smaller by more, and the wait grows.
    drawn.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _rows(detections: Detections) -> zip[tuple[list[float], int, float]]:
    boxes = detections.boxes[:, [1, 0, 3, 2]].tolist()
    return zip(boxes, detections.classes.tolist(), detections.scores.tolist(), strict=True)


def _labelled(
    box: list[float], row: int, score: float, scale: list[int], labels: tuple[str, ...]
) -> tuple[tuple[float, float, float, float], int, str]:
    xmin, ymin, xmax, ymax = (side * length for side, length in zip(box, scale, strict=True))
    name = "".join(character if character.isprintable() else "?" for character in labels[row][:24])
    return (xmin, ymin, xmax, ymax), row, f"{name} {score:.2f}"
