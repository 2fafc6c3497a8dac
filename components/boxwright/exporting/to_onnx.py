"""Writes ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from boxwright.exporting.calibrating import Calibration
from boxwright.exporting.facts import Outputs
from boxwright.exporting.formats import FORMATS
from boxwright.exporting.network import ExportNetwork

# The newest that tf2onnx writes.
_OPSET = 18


def write(network: ExportNetwork, folder: Path, precision: str, calibration: Calibration | None) -> None:
    """Converts a network; with suppression, where that consists of ONNX's own operators."""
    del precision, calibration  # there is one
    write_onnx(network, folder / FORMATS["onnx"].file, "detections" if network.is_plain else "candidates")


def write_onnx(network: ExportNetwork, path: Path, outputs: Outputs) -> None:
    """Converts a network, with the class names as a property of the file."""
    import onnx
    import tf2onnx

    run: Any = network.with_constants(outputs)
    model, _ = tf2onnx.convert.from_function(run, input_signature=run.input_signature, opset=_OPSET)
    onnx.helper.set_model_props(model, {"names": "\n".join(network.card.classes), "model_id": network.card.model_id})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
