"""A trained detector on disk: `model.json` says how to build it, `model.weights.h5` holds its weights.

Nothing in either file is code: loading builds the network from the catalogue and copies numbers into it.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import Field, StrictInt, ValidationError, model_validator

from boxwright.config import Frozen, Resize, Suppression
from boxwright.errors import DataError, UsageError, shorten
from boxwright.images import Tiling
from boxwright.model.catalogue import model_spec
from boxwright.model.families import create_detector
from boxwright.model.weights_file import load_weights
from boxwright.storage import write_json

MODEL_FILE = "model.json"
WEIGHTS_FILE = "model.weights.h5"
_CARD_LIMIT = 10_000_000
# Beyond every dataset that detectors are trained on (some have 21,000), and within a server's memory.
MOST_CLASSES = 32_000
SMALLEST_INPUT, LARGEST_INPUT = 32, 2048


class ModelCard(Frozen):
    """The facts that a detector is built from.

    Attributes:
        model_id: row of the catalogue.
        image_size: input height and width in pixels.
        classes: names by 0-based class index.
        category_ids: the dataset's own id of each class.
        nms: suppression of overlapping boxes; models of earlier versions suppress within each class.
        resize: way of an image to the input; None in models of earlier versions, which have their family's own.
        tiling: the tiles that are looked at beside the whole image; None for the whole alone.
    """

    model_id: str = Field(max_length=200)
    image_size: StrictInt = Field(ge=SMALLEST_INPUT, le=LARGEST_INPUT)
    classes: tuple[str, ...] = Field(min_length=1, max_length=MOST_CLASSES)
    category_ids: tuple[StrictInt, ...]
    nms: Suppression = "per_class"
    resize: Resize | None = None
    tiling: Tiling | None = None

    @model_validator(mode="after")
    def _one_id_for_each_class(self) -> Self:
        if len(self.classes) != len(self.category_ids):
            raise ValueError(f"it has {len(self.classes)} classes and {len(self.category_ids)} category ids")
        return self


def build_detector(card: ModelCard) -> Any:
    """A `Detector` with fresh weights."""
    detector = create_detector(model_spec(card.model_id), len(card.classes), card.image_size)
    detector.nms, detector.tiling = card.nms, card.tiling
    if card.resize is not None:
        detector.resizing = replace(detector.resizing, keep_aspect=card.resize == "letterbox")
    return detector


def save_detector(detector: Any, card: ModelCard, out_dir: Path) -> None:
    """Writes both files; `model.json` last, so that its presence means that the weights are whole."""
    # A model that was compiled would write its optimizer too, three times the size.
    plain = build_detector(card)
    plain.set_weights(detector.get_weights())
    temporary = out_dir / f"partial-{WEIGHTS_FILE}"
    plain.save_weights(temporary)
    os.replace(temporary, out_dir / WEIGHTS_FILE)
    write_json(out_dir / MODEL_FILE, card.model_dump())


def load_card(model_dir: Path) -> ModelCard:
    """Reads `model.json`.

    Raises:
        DataError: when it is missing or not a model card.
    """
    path = model_dir / MODEL_FILE
    try:
        if path.stat().st_size > _CARD_LIMIT:
            raise DataError(f"{path} has more than {_CARD_LIMIT:,} bytes; expected a Boxwright model")
        return ModelCard.model_validate(json.loads(path.read_bytes()))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise DataError(
            f"{path}: expected a Boxwright model: {shorten(place)} is {shorten(first['input'])}: {first['msg']}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected a Boxwright model: {_first_line(error)}") from None


def load_detector(model_dir: Path, image_size: int | None = None) -> tuple[Any, ModelCard]:
    """Builds the detector of a folder and loads its weights.

    Args:
        model_dir: folder with both files.
        image_size: input size to build it for, where that is not the model's own.

    Raises:
        DataError: either file is missing, the model is not of this version's catalogue, or the weights do not fit it.
    """
    card = load_card(model_dir)
    path = model_dir / WEIGHTS_FILE
    if not path.is_file():
        raise DataError(f"{path}: expected the weights of the model beside its {MODEL_FILE}")
    detector = _build_foreign(card if image_size is None else card.model_copy(update={"image_size": image_size}))
    load_weights(detector, path, card.model_id)
    return detector, card


def _build_foreign(card: ModelCard) -> Any:
    """A detector of a card that anybody may have written: what it asks for wrongly is a fault of the data."""
    try:
        return build_detector(card)
    except UsageError as error:
        raise DataError(f"{MODEL_FILE}: {error}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
