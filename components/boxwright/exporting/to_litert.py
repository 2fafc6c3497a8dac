"""Writes LiteRT's `.tflite` file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import tensorflow as tf

from boxwright.config import DYNAMIC_INT8, FLOAT16, INT8
from boxwright.exporting.calibrating import Calibration, calibration_inputs
from boxwright.exporting.formats import FORMATS
from boxwright.exporting.litert_metadata import with_metadata
from boxwright.exporting.network import ExportNetwork
from boxwright.exporting.quantising import quantised_litert


def write(network: ExportNetwork, folder: Path, precision: str, calibration: Calibration | None) -> None:
    """Converts a network without suppression, for which LiteRT has no plain operator.

    With `float16` weights are stored in half; with `dynamic_int8` those of convolutions are whole numbers, and what
    they are multiplied with is rounded while it runs; with `int8` both are whole numbers, by a calibration. Decoding
    and the sigmoid stay in floats.
    """
    with tempfile.TemporaryDirectory(prefix="boxwright-litert-") as temporary:
        module = tf.Module()
        module.run = network.with_constants()
        # A gradient of its own, as D-FINE has one, would be saved with what it captures.
        tf.saved_model.save(module, temporary, options=tf.saved_model.SaveOptions(experimental_custom_gradients=False))
        converter = tf.lite.TFLiteConverter.from_saved_model(temporary)
        if precision in (FLOAT16, DYNAMIC_INT8):
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == FLOAT16:
            converter.target_spec.supported_types = [tf.float16]
        model = converter.convert()
    if precision == INT8 and calibration is not None:
        images = calibration_inputs(calibration.folder, network.fitting, network.card.tiling)
        model = quantised_litert(model, images, calibration.level)
    described = with_metadata(model, network.card.model_id, network.card.classes)
    (folder / FORMATS["litert"].file).write_bytes(described)
