"""The process of a foreign SavedModel: `python -m boxwright.serving.engine.foreign_process FOLDER SCRATCH DESCRIPTOR`.

It gives up its rights before it loads anything. Its parent talks to it by a socket: a list of lengths and as many
images, answered by one object of JSON and the outputs that it names, in their order.
"""

from __future__ import annotations

import json
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from boxwright.serving.engine.confinement import confine
from boxwright.serving.engine.network import first_line

_LARGEST = 1 << 30
_SIGNATURE = "serving_default"


def main() -> int:
    """Answers until the parent lets go; returns the exit code."""
    folder, scratch, descriptor = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    with Connection(descriptor) as parent:
        lacking = confine([folder], scratch)
        # Python would try by writing a file.
        tempfile.tempdir = str(scratch)
        try:
            run = _load(folder)
        except Exception as error:  # TensorFlow raises whatever it runs into on files that are not whole
            parent.send_bytes(json.dumps({"error": f"{type(error).__name__}: {first_line(error)}"}).encode())
            return 1
        parent.send_bytes(json.dumps({"warning": lacking}).encode())
        while True:
            try:
                _answer(parent, run)
            except EOFError:
                return 0


def _load(folder: Path) -> Any:
    """A function from encoded images to the outputs of a SavedModel by name.

    Two kinds of signatures are known: images as bytes, as Boxwright's own has them, and one image as pixels, as the
    Object Detection API's has it.
    """
    import tensorflow as tf

    from boxwright.packaging import OUTPUTS

    module = tf.saved_model.load(str(folder))
    signature = module.signatures[_SIGNATURE]
    ((name, expected),) = signature.structured_input_signature[1].items()
    if missing := set(OUTPUTS) - set(signature.structured_outputs):
        raise ValueError(f"the model has no output {', '.join(sorted(missing))}")
    is_pixels = expected.dtype == tf.uint8 and expected.shape.rank == 4
    if not is_pixels and expected.dtype != tf.string:
        raise ValueError(f"the model takes {expected.dtype.name} {expected.shape}, and neither bytes nor pixels")

    def answer(batch: Any) -> dict[str, Any]:
        # By the module, whose variables live as long as it does.
        found = module.signatures[_SIGNATURE](**{name: batch})
        return {output: found[output].numpy() for output in OUTPUTS}

    def one_by_one(images: list[bytes]) -> dict[str, Any]:
        rows = [answer(_pixels(image)[None] if is_pixels else tf.constant([image])) for image in images]
        return {output: np.concatenate([row[output] for row in rows]) for output in OUTPUTS}

    return one_by_one if expected.shape[0] == 1 or is_pixels else lambda images: answer(tf.constant(images))


def _pixels(encoded: bytes) -> Any:
    """An image as a person sees it, uint8 `(height, width, 3)`."""
    import tensorflow as tf

    from boxwright.packaging import upright
    from boxwright.training import decode_image

    return tf.cast(upright(decode_image(encoded), encoded), tf.uint8)


def _answer(parent: Connection, run: Any) -> None:
    lengths = json.loads(parent.recv_bytes(_LARGEST))
    images = [parent.recv_bytes(_LARGEST) for _ in lengths]
    try:
        found = run(images)
    except Exception as error:  # as above
        parent.send_bytes(json.dumps({"error": first_line(error)}).encode())
        return
    told = {name: [str(values.dtype), list(values.shape)] for name, values in found.items()}
    parent.send_bytes(json.dumps({"arrays": told}).encode())
    for values in found.values():
        parent.send_bytes(values.tobytes())


if __name__ == "__main__":
    sys.exit(main())
