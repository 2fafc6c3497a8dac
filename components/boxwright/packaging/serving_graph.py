"""What serving asks of a detector, as one TensorFlow function: encoded images in, detections out."""

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

    from boxwright.packaging.exif_rotation import upright
    from boxwright.training import decode_image

    sizes = (detector.image_size, detector.image_size, 3)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="encoded_images")])
    @tf.autograph.experimental.do_not_convert
    def serve(encoded_images: Any) -> dict[str, Any]:
        images, extents = tf.map_fn(
            lambda encoded: detector.resizing(upright(decode_image(encoded), encoded)),
            encoded_images,
            fn_output_signature=(tf.TensorSpec(sizes, tf.float32), tf.TensorSpec((2,), tf.float32)),
        )
        found: dict[str, Any] = detector.detect(images, extents)
        return found

    return serve
