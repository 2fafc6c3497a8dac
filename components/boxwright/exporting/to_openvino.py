"""Writes OpenVINO's `.xml` and `.bin`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from boxwright.config import FLOAT16
from boxwright.exporting.calibrating import Calibration
from boxwright.exporting.formats import FORMATS
from boxwright.exporting.network import ExportNetwork
from boxwright.exporting.to_onnx import write_onnx


def write(network: ExportNetwork, folder: Path, precision: str, calibration: Calibration | None) -> None:
    """Converts a network without suppression, by way of ONNX: OpenVINO cannot read the variables of Keras 3.

    With `float16` weights are stored in half.
    """
    import openvino

    del calibration  # in floats alone
    with tempfile.TemporaryDirectory(prefix="boxwright-openvino-") as temporary:
        path = Path(temporary, "model.onnx")
        write_onnx(network, path, "candidates")
        model = openvino.Core().read_model(str(path))
        openvino.save_model(model, str(folder / FORMATS["openvino"].file), compress_to_fp16=precision == FLOAT16)
