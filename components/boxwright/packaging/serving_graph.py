"""The serving signature of a detector as one TensorFlow function: encoded images in, detections out."""

from __future__ import annotations

from typing import Any

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


def serving_function(detector: Any) -> Any:
    """A `tf.function` over a detector: the network, with what comes before and after it.

    Args:
        detector: a `Detector` with its weights.

    Returns:
        Takes `encoded_images`, JPEG or PNG bytes of shape `(batch,)`, and returns what
        `boxwright.model.detector.Detector.detect` does, of the image as a person sees it.
    """
    import tensorflow as tf

    from boxwright.config import MAX_DETECTIONS
    from boxwright.model import look
    from boxwright.packaging.exif_rotation import upright
    from boxwright.training import decode_image

    def upright_image(encoded: Any) -> Any:
        return upright(decode_image(encoded), encoded)

    side, rows = detector.image_size, MAX_DETECTIONS
    entered = (tf.TensorSpec((side, side, 3), tf.float32), tf.TensorSpec((2,), tf.float32))
    shapes = (tf.TensorSpec((rows, 4)), tf.TensorSpec((rows,)), tf.TensorSpec((rows,)), tf.TensorSpec((), tf.int32))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="encoded_images")])
    @tf.autograph.experimental.do_not_convert
    def serve(encoded_images: Any) -> dict[str, Any]:
        if detector.tiling is not None:
            # One after the other: an image goes through the network many times.
            each = tf.map_fn(
                lambda encoded: look(detector, upright_image(encoded)),
                encoded_images,
                fn_output_signature=dict(zip(OUTPUTS, shapes, strict=True)),
                parallel_iterations=1,
            )
            return dict(each)
        images, extents = tf.map_fn(
            lambda encoded: detector.resizing(upright_image(encoded)), encoded_images, fn_output_signature=entered
        )
        found: dict[str, Any] = detector.detect(images, extents)
        return found

    return serve
