"""The export as a TensorFlow SavedModel whose signature takes encoded images."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from boxwright.model import load_detector
from boxwright.packaging.exports import SAVED_MODEL


def export_saved_model(model_dir: Path, out_dir: Path) -> None:
    """Exports the serving graph; it loads with plain `tf.saved_model.load` and in TensorFlow Serving.

    Its signature `serving_default` takes `encoded_images`, JPEG or PNG bytes of shape `(batch,)`, and returns
    what `boxwright.model.detector.Detector.detect` does, of the image as a person sees it.
    """
    import tensorflow as tf

    from boxwright.packaging.exif_rotation import upright
    from boxwright.training import decode_image

    detector, card = load_detector(model_dir)
    sizes = (card.image_size, card.image_size, 3)

    class Serving(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.detector = detector

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="encoded_images")])
        def serve(self, encoded_images: Any) -> dict[str, Any]:
            images, extents = tf.map_fn(
                lambda encoded: detector.resizing(upright(decode_image(encoded), encoded)),
                encoded_images,
                fn_output_signature=(tf.TensorSpec(sizes, tf.float32), tf.TensorSpec((2,), tf.float32)),
            )
            found: dict[str, Any] = detector.detect(images, extents)
            return found

    module = Serving()
    temporary = out_dir / f"partial-{SAVED_MODEL}"
    shutil.rmtree(temporary, ignore_errors=True)
    tf.saved_model.save(module, str(temporary), signatures={"serving_default": module.serve})
    shutil.rmtree(out_dir / SAVED_MODEL, ignore_errors=True)
    os.replace(temporary, out_dir / SAVED_MODEL)
