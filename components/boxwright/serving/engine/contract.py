"""The managed algorithm's answer: what `Accept` asks for, and the JSON that says it. Knows nothing of HTTP servers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from boxwright.errors import UsageError

if TYPE_CHECKING:
    from boxwright.serving.engine.predictor import Detections

IMAGE_TYPES = ("application/x-image", "image/jpeg", "image/png")
JSON_TYPE, PICTURE_TYPE = "application/json", "image/png"
ANSWER_TYPES = (f"{JSON_TYPE}[;verbose][;n_predictions=N][;box_order=xyxy]", PICTURE_TYPE)

BoxOrder = Literal["xxyy", "xyxy"]
# The documented order, then that of the sample notebook; as places in the model's [ymin, xmin, ymax, xmax].
_COLUMNS: dict[BoxOrder, list[int]] = {"xxyy": [1, 3, 0, 2], "xyxy": [1, 0, 3, 2]}
BOX_ORDER_HEADER: dict[BoxOrder, str] = {"xxyy": "xmin,xmax,ymin,ymax", "xyxy": "xmin,ymin,xmax,ymax"}
_DECIMALS = 6
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+*-]+/[\w!#$&^.+*-]+")


class NotAcceptableError(UsageError):
    """`Accept` names nothing that can be given."""


@dataclass(frozen=True)
class Wanted:
    """The answer that a client asks for.

    Attributes:
        kind: JSON, or the image with its boxes drawn.
        verbose: with `labels` and `tensorflow_model_output`.
        n_predictions: number of boxes at most; None for all.
        box_order: order of a box's four numbers.
    """

    kind: Literal["json", "picture"] = "json"
    verbose: bool = False
    n_predictions: int | None = None
    box_order: BoxOrder = "xxyy"


def parse_accept(header: str) -> Wanted:
    """Reads an `Accept` header; of several types the most wanted that can be given, JSON where it is empty.

    Raises:
        NotAcceptableError: none of its types can be given.
        UsageError: a parameter is unknown, or its value is not valid.
    """
    choices = [_parts(choice) for choice in header.split(",") if choice.strip()] or [(JSON_TYPE, {})]
    # Stable: among equally wanted ones the first counts.
    for media_type, parameters in sorted(choices, key=lambda choice: -_quality(choice[1])):
        if _quality(parameters) == 0:
            continue
        if media_type in (JSON_TYPE, "application/*", "*/*"):
            return _wanted("json", parameters)
        if media_type in (PICTURE_TYPE, "image/*"):
            return _wanted("picture", parameters)
    raise NotAcceptableError(f"Accept {header[:200]!a} is not available; valid are {', '.join(ANSWER_TYPES)}")


def _parts(choice: str) -> tuple[str, dict[str, str]]:
    media_type, *parameters = (part.strip() for part in choice.split(";"))
    pairs = (parameter.partition("=") for parameter in parameters if parameter)
    return media_type.lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _quality(parameters: dict[str, str]) -> float:
    try:
        return min(1.0, max(0.0, float(parameters.get("q", "1"))))
    except ValueError:
        return 1.0


def _wanted(kind: Literal["json", "picture"], parameters: dict[str, str]) -> Wanted:
    known = {"verbose", "n_predictions", "box_order"}
    if unknown := sorted(set(parameters) - known - {"q", "charset"}):
        raise UsageError(f"Accept has the parameter {unknown[0][:50]!a}; valid are {', '.join(sorted(known))}")
    order = parameters.get("box_order", "xxyy")
    if order not in _COLUMNS:
        raise UsageError(f"box_order={order[:50]!a} in Accept; valid are {', '.join(_COLUMNS)}")
    verbose = parameters.get("verbose", "false").lower()
    if verbose not in ("", "true", "false"):
        raise UsageError(f"verbose={verbose[:50]!a} in Accept; write ;verbose")
    return Wanted(kind, verbose != "false", _count(parameters.get("n_predictions")), order)


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) or int(text) == 0:
        raise UsageError(f"n_predictions={text[:50]!a} in Accept; expected a whole number of boxes, from 1")
    return int(text)


def check_content_type(header: str) -> str | None:
    """The problem with the content type of an image, or None."""
    media_type = header.partition(";")[0].strip().lower()
    if media_type in IMAGE_TYPES:
        return None
    shown = repr(media_type[:100]) if _MEDIA_TYPE.fullmatch(media_type) else "missing or not a media type"
    return f"Content-Type is {shown}; send the image's bytes as {', '.join(IMAGE_TYPES)}"


def answer(detections: Detections, labels: tuple[str, ...], wanted: Wanted) -> dict[str, Any]:
    """The managed algorithm's answer for one image.

    Args:
        detections: best first.
        labels: class names by 0-based index.
        wanted: how.

    Returns:
        `normalized_boxes` in the wanted order, `classes` as indices into `labels`, and `scores`; if verbose, also
        `labels`, and `tensorflow_model_output`: the model's own output for a batch of this one image, boxes
        `[ymin, xmin, ymax, xmax]`, classes from 1, neither cut nor filtered.
    """
    shown = detections if wanted.n_predictions is None else detections.first(wanted.n_predictions)
    told: dict[str, Any] = {
        "normalized_boxes": _plain(shown.boxes[:, _COLUMNS[wanted.box_order]]),
        "classes": shown.classes.tolist(),
        "scores": _plain(shown.scores),
    }
    if wanted.verbose:
        told["labels"] = list(labels)
        told["tensorflow_model_output"] = {name: [_plain(value)] for name, value in sorted(detections.raw.items())}
    return told


def _plain(values: Any) -> Any:
    """Numbers as JSON has them; what is finer than a thousandth of a pixel is noise and doubles the answer's length."""
    return values.astype("float64").round(_DECIMALS).tolist()


def one_line(value: Any) -> bytes:
    """JSON on one line, UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": ")).encode("utf-8", "replace")
