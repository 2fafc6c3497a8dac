"""Writes OpenVINO's `.xml` and `.bin`."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from boxwright.config import FLOAT16, INT8
from boxwright.exporting.calibrating import Calibration, calibration_inputs
from boxwright.exporting.formats import FORMATS
from boxwright.exporting.network import ExportNetwork
from boxwright.exporting.quantising import quantised_openvino
from boxwright.exporting.to_onnx import write_onnx

# Where Model API, Intel's DL Streamer and what else runs OpenVINO's detectors read the class names.
LABELS_PLACE = ("model_info", "labels")


def write(network: ExportNetwork, folder: Path, precision: str, calibration: Calibration | None) -> None:
    """Converts a network without suppression, by way of ONNX: OpenVINO cannot read the variables of Keras 3.

    With `float16` weights are stored in half; with `int8` convolutions are whole numbers, by a calibration.
    """
    import openvino

    with tempfile.TemporaryDirectory(prefix="boxwright-openvino-") as temporary:
        path = Path(temporary, "model.onnx")
        write_onnx(network, path, "candidates")
        model = openvino.Core().read_model(str(path))
        if precision == INT8 and calibration is not None:
            images = calibration_inputs(calibration.folder, network.fitting, network.card.tiling)
            model = quantised_openvino(model, images, calibration.level)
        model.set_rt_info(labels_text(network.card.classes), list(LABELS_PLACE))
        openvino.save_model(model, str(folder / FORMATS["openvino"].file), compress_to_fp16=precision == FLOAT16)


def labels_text(classes: Sequence[str]) -> str:
    """Class names by index as `model_info` has them: with a space between, and `_` for each space in a name."""
    return " ".join(re.sub(r"\s", "_", name) for name in classes)
