"""Reads a zoo archive's `pipeline.config`, and holds it against the model that it is imported for."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.errors import DataError
from boxwright.model import ModelSpec
from boxwright.model.zoo.architecture import COCO_CLASSES, FOCAL_ALPHA, ZooArchitecture

_LIMIT = 1 << 20
_DEEPEST = 50
_TOKEN = re.compile(
    r"\s+|#[^\n]*|(?P<name>[A-Za-z_][\w.]*)|(?P<value>-?[\d.][\w.+-]*|\"[^\"\n]*\"|'[^'\n]*')|(?P<mark>[:{}])"
)
_SCALES = ("y_scale", "x_scale", "height_scale", "width_scale")

Message = dict[str, list[Any]]


@dataclass(frozen=True)
class PublishedSettings:
    """The settings of an archive's own configuration.

    Attributes:
        box_scales: scales of the box code.
    """

    box_scales: tuple[float, ...]


def read_settings(path: Path, spec: ModelSpec) -> PublishedSettings:
    """Reads the configuration of an archive that is to hold a model's weights.

    Raises:
        DataError: when it is another model's, or asks for what the model does not do.
    """
    config = parse_text_format(path)
    expected = _expected(spec)
    different = [
        f"{name} is {found if (found := value_at(config, name)) is not None else 'missing'}, expected {value}"
        for name, value in expected.items()
        if not _same(value_at(config, name), value)
    ]
    if different:
        weights = spec.weights.name if spec.weights else "its archive"
        raise DataError(f"pipeline.config is not of {spec.model_id} ({weights}): {'; '.join(different[:3])}")
    code = "model.ssd.box_coder.faster_rcnn_box_coder"
    defaults = ZooArchitecture(**spec.architecture).box_scales
    scales = [value_at(config, f"{code}.{name}") for name in _SCALES]
    return PublishedSettings(
        tuple(float(default if scale is None else scale) for scale, default in zip(scales, defaults, strict=True))
    )


def _expected(spec: ModelSpec) -> dict[str, Any]:
    architecture = ZooArchitecture(**spec.architecture)
    size, resizer = spec.image_size, "model.ssd.image_resizer"
    resizing = (
        {f"{resizer}.keep_aspect_ratio_resizer.{side}_dimension": size for side in ("min", "max")}
        if architecture.keep_aspect
        else {f"{resizer}.fixed_shape_resizer.{side}": size for side in ("height", "width")}
    )
    anchors, predictor = "model.ssd.anchor_generator.multiscale_anchor_generator", "model.ssd.box_predictor"
    focal = "model.ssd.loss.classification_loss.weighted_sigmoid_focal"
    return {
        "model.ssd.feature_extractor.type": architecture.extractor,
        **resizing,
        "model.ssd.num_classes": COCO_CLASSES,
        f"{anchors}.anchor_scale": spec.anchors.scale if spec.anchors else None,
        f"{anchors}.scales_per_octave": spec.anchors.scales_per_octave if spec.anchors else None,
        f"{predictor}.weight_shared_convolutional_box_predictor.depth": architecture.filters,
        "model.ssd.post_processing.batch_non_max_suppression.iou_threshold": architecture.nms_iou,
        f"{focal}.gamma": architecture.focal_gamma,
        f"{focal}.alpha": FOCAL_ALPHA,
    }


def _same(found: Any, expected: Any) -> bool:
    if isinstance(found, str) or isinstance(expected, str) or found is None:
        return bool(found == expected)
    # The text has the shortest digits of a 32-bit number, or all digits of its 64-bit neighbour.
    return math.isclose(found, expected, rel_tol=1e-6)


def value_at(message: Message, name: str) -> Any:
    """The first value under a dotted name, or None."""
    value: Any = message
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part][0]
    return value


def parse_text_format(path: Path) -> Message:
    """Parses a protocol buffer in text format without its schema.

    Returns:
        Lists of values by field: numbers, strings (enumerations too), booleans and messages.

    Raises:
        DataError: when the file is missing, too large or not in that format.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LIMIT + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} of the archive cannot be read: {error}") from None
    if len(text) > _LIMIT:
        raise DataError(f"{path.name} of the archive is larger than {_LIMIT} bytes")
    tokens, end = [], 0
    while match := _TOKEN.match(text, end):
        end = match.end()
        if match.lastgroup:
            tokens.append((match.lastgroup, match[match.lastgroup]))
    if end != len(text):
        raise _broken(path, f"{text[end : end + 20]!a} in line {text.count(chr(10), 0, end) + 1}")
    message, rest = _message(tokens, path, 0, 0)
    if rest != len(tokens):
        raise _broken(path, "a brace too many")
    return message


def _message(tokens: list[tuple[str, str]], path: Path, at: int, depth: int) -> tuple[Message, int]:
    """The fields from a position to the closing brace or the end, and the position there."""
    message: Message = {}
    if depth > _DEEPEST:
        raise _broken(path, f"more than {_DEEPEST} levels")
    while at < len(tokens) and tokens[at] != ("mark", "}"):
        kind, name = tokens[at]
        if kind != "name":
            raise _broken(path, f"{name!a} where a field should be")
        at += 2 if tokens[at + 1 : at + 2] == [("mark", ":")] else 1
        value: Any
        if tokens[at : at + 1] == [("mark", "{")]:
            value, at = _message(tokens, path, at + 1, depth + 1)
            if tokens[at : at + 1] != [("mark", "}")]:
                raise _broken(path, f"the brace of {name} is not closed")
        elif at < len(tokens) and tokens[at][0] != "mark":
            value = _value(tokens[at][1], path)
        else:
            raise _broken(path, f"{name} has no value")
        message.setdefault(name, []).append(value)
        at += 1
    return message, at


def _value(text: str, path: Path) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    if text[0].isalpha() or text[0] == "_":
        return text
    try:
        return float(text) if re.search(r"[.eEn]", text) else int(text)
    except ValueError:
        raise _broken(path, f"{text!a} is not a number") from None


def _broken(path: Path, problem: str) -> DataError:
    return DataError(f"{path.name} of the archive is not a protocol buffer in text format: {problem}")
