"""From a model's source to a predictor that was tried out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from boxwright.config import SAVED_MODEL, Runtime, ServingConfig
from boxwright.errors import BoxwrightError, DataError, UsageError
from boxwright.exporting import FORMATS, kept_export, published_exports
from boxwright.model import WEIGHTS_FILE
from boxwright.registry import ModelSource, open_model
from boxwright.serving.engine.foreign_model import ForeignModel
from boxwright.serving.engine.model import ModelInfo, read_info
from boxwright.serving.engine.network import ExportedNetwork, Network, RebuiltNetwork
from boxwright.serving.engine.predictor import Predictor
from boxwright.serving.engine.self_check import check_predictor

_FASTEST_FIRST = ("openvino", "litert")
_log = logging.getLogger("boxwright")


def load_predictor(
    source: ModelSource, trust_saved_model: bool = False, runtime: Runtime = "tensorflow", threads: int = 0
) -> Predictor:
    """Fetches, loads, warms and checks a model.

    Args:
        source: of its archive.
        trust_saved_model: whether its SavedModel is run, which is somebody's program, in place of a network of the
            catalogue with its weights; the archive may then be one of the managed algorithm.
        runtime: what runs the network; another one than TensorFlow runs an export, which is made first where this
            machine has none of the same weights yet.
        threads: of that other runtime; 0 for one a core.

    Raises:
        DataError: its archive or model is not what a run makes, or it does not see what it saw when it was measured.
        UsageError, StorageError: its archive cannot be fetched, or the runtime is not installed.
    """
    if trust_saved_model and runtime != "tensorflow":
        raise UsageError(f"runtime={runtime}: a SavedModel runs in TensorFlow; leave out one of the two")
    with open_model(source, trusted=trust_saved_model) as folder:
        info = read_info(source, folder)
        if trust_saved_model:
            predictor = Predictor(ForeignModel(folder, source.reference), info)
            check_predictor(predictor, folder, sample_needed=False)
        else:
            predictor = _rebuilt(folder, info, runtime, threads)
    if info.threshold_origin == "fallback":
        _log.info("%s names no threshold of its own; boxes are drawn from %g", source.reference, info.threshold)
    return predictor


def load_as_set(source: ModelSource, config: ServingConfig) -> Predictor:
    """`load_predictor` with a server's settings."""
    return load_predictor(source, config.trust_saved_model, config.runtime, config.threads)


def _rebuilt(folder: Path, info: ModelInfo, runtime: Runtime, threads: int) -> Predictor:
    reference = info.source.reference
    if not (folder / WEIGHTS_FILE).is_file():
        advice = "train it again with this version"
        if (folder / SAVED_MODEL).is_dir():
            advice += ", or add --trust-saved-model to run the program in its saved_model/, if you know who made it"
        raise DataError(f"{reference} has no {WEIGHTS_FILE}, from which Boxwright builds what it serves; {advice}")
    if runtime == "auto":
        return _fastest(folder, info, threads)
    if runtime == "tensorflow":
        return _checked(RebuiltNetwork(folder), info, folder)
    return _checked(ExportedNetwork(kept_export(folder, runtime, reference), threads), info, folder)


def _checked(network: Network, info: ModelInfo, folder: Path) -> Predictor:
    predictor = Predictor(network, info)
    check_predictor(predictor, folder)
    return predictor


def _fastest(folder: Path, info: ModelInfo, threads: int) -> Predictor:
    """In the fastest runtime that this machine has and that takes the model; TensorFlow takes every one.

    What the model's run has measured and kept comes before what is converted here.
    """
    for name, get in _ways(folder, info.source):
        try:
            predictor = _checked(ExportedNetwork(get(), threads), info, folder)
        except BoxwrightError as error:
            _log.warning("%s does not run in %s: %s", info.source.reference, name, error)
        else:
            _log.info("%s runs in %s", info.source.reference, name)
            return predictor
    _log.info("%s runs in tensorflow", info.source.reference)
    return _checked(RebuiltNetwork(folder), info, folder)


def _ways(folder: Path, source: ModelSource) -> Iterator[tuple[str, Callable[[], Path]]]:
    """The name of each export that may run, and what gives its folder."""
    for name, published in published_exports(folder, source.archive):
        yield f"{name}, as its run kept it", partial(Path, published)
    for name in _FASTEST_FIRST:
        if FORMATS[name].is_installed:
            yield name, partial(kept_export, folder, name, source.reference, again=False)
