"""The export as a TensorFlow SavedModel whose signature takes encoded images."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from boxwright.config import SAVED_MODEL
from boxwright.model import load_detector
from boxwright.packaging.serving_graph import serving_function


def export_saved_model(model_dir: Path, out_dir: Path) -> None:
    """Exports the serving graph; it loads with plain `tf.saved_model.load` and in TensorFlow Serving.

    Its signature `serving_default` is `serving_function`.
    """
    import tensorflow as tf

    detector, _ = load_detector(model_dir)
    module = tf.Module()
    # The weights alone: TensorFlow would write every layer of the detector as an object too, which takes longer.
    module.weights, module.serve = [weight.value for weight in detector.weights], serving_function(detector)
    temporary = out_dir / f"partial-{SAVED_MODEL}"
    shutil.rmtree(temporary, ignore_errors=True)
    tf.saved_model.save(module, str(temporary), signatures={"serving_default": module.serve})
    shutil.rmtree(out_dir / SAVED_MODEL, ignore_errors=True)
    os.replace(temporary, out_dir / SAVED_MODEL)
