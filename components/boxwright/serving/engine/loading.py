"""From a model's source to a predictor that was tried out."""

from __future__ import annotations

import logging
from pathlib import Path

from boxwright.errors import DataError
from boxwright.model import WEIGHTS_FILE
from boxwright.packaging import SAVED_MODEL
from boxwright.registry import ModelSource, open_model
from boxwright.serving.engine.foreign_model import ForeignModel
from boxwright.serving.engine.model import read_info
from boxwright.serving.engine.network import Network, RebuiltNetwork
from boxwright.serving.engine.predictor import Predictor
from boxwright.serving.engine.self_check import check_predictor

_log = logging.getLogger("boxwright")


def load_predictor(source: ModelSource, trust_saved_model: bool = False) -> Predictor:
    """Fetches, loads, warms and checks a model.

    Args:
        source: of its archive.
        trust_saved_model: whether its SavedModel is run, which is somebody's program, in place of a network of the
            catalogue with its weights.

    Raises:
        DataError: its archive or model is not what a run makes, or it does not see what it saw when it was measured.
        UsageError, StorageError: its archive cannot be fetched.
    """
    with open_model(source) as folder:
        info = read_info(source, folder)
        network = ForeignModel(folder, source.reference) if trust_saved_model else _rebuilt(folder, source.reference)
        predictor = Predictor(network, info)
        check_predictor(predictor, folder, sample_needed=not trust_saved_model)
    if info.threshold_origin == "fallback":
        _log.info("%s names no threshold of its own; boxes are drawn from %g", source.reference, info.threshold)
    return predictor


def _rebuilt(folder: Path, reference: str) -> Network:
    if not (folder / WEIGHTS_FILE).is_file():
        advice = "train it again with this version"
        if (folder / SAVED_MODEL).is_dir():
            advice += ", or add --trust-saved-model to run the program in its saved_model/, if you know who made it"
        raise DataError(f"{reference} has no {WEIGHTS_FILE}, from which Boxwright builds what it serves; {advice}")
    return RebuiltNetwork(folder)
