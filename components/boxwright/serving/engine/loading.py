"""From a model's source to a predictor that was tried out."""

from __future__ import annotations

import logging

from boxwright.registry import ModelSource, open_model
from boxwright.serving.engine.model import read_info
from boxwright.serving.engine.predictor import Predictor
from boxwright.serving.engine.self_check import check_predictor

_log = logging.getLogger("boxwright")


def load_predictor(source: ModelSource) -> Predictor:
    """Fetches, loads, warms and checks a model.

    Raises:
        DataError: its archive or model is not what a run makes, or it does not see what it saw when it was measured.
        UsageError, StorageError: its archive cannot be fetched.
    """
    with open_model(source) as folder:
        info = read_info(source, folder)
        predictor = Predictor(folder, info)
        check_predictor(predictor, folder)
    if info.threshold_origin == "fallback":
        _log.info("%s names no threshold of its own; boxes are drawn from %g", source.reference, info.threshold)
    return predictor
