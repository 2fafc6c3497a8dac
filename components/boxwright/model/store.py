"""A trained detector on disk: `model.json` says how to build it, `model.weights.h5` holds its weights.

Nothing in either file is code: loading builds the network from the catalogue and copies numbers into it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from boxwright.config import Frozen
from boxwright.errors import DataError
from boxwright.model.catalogue import model_spec
from boxwright.model.families import create_detector
from boxwright.storage import write_json

MODEL_FILE = "model.json"
WEIGHTS_FILE = "model.weights.h5"
_CARD_LIMIT = 10_000_000


class ModelCard(Frozen):
    """The facts that a detector is built from.

    Attributes:
        model_id: row of the catalogue.
        image_size: input height and width in pixels.
        classes: names by 0-based class index.
        category_ids: the dataset's own id of each class.
    """

    model_id: str
    image_size: int
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]


def build_detector(card: ModelCard) -> Any:
    """A `Detector` with fresh weights."""
    return create_detector(model_spec(card.model_id), len(card.classes), card.image_size)


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
        return ModelCard(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, ValidationError) as error:
        raise DataError(f"{path}: expected a Boxwright model: {_first_line(error)}") from None


def load_detector(model_dir: Path, image_size: int | None = None) -> tuple[Any, ModelCard]:
    """Builds the detector of a folder and loads its weights.

    Keras refuses weights files that lead to other files or unpack to more than they hold.

    Args:
        model_dir: folder with both files.
        image_size: input size to build it for, where that is not the model's own.

    Raises:
        DataError: when either file is missing or does not fit the architecture.
    """
    card = load_card(model_dir)
    detector = build_detector(card if image_size is None else card.model_copy(update={"image_size": image_size}))
    try:
        detector.load_weights(model_dir / WEIGHTS_FILE)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{model_dir / WEIGHTS_FILE}: does not fit {card.model_id}: {_first_line(error)}") from None
    return detector, card


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
