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

from boxwright.serving.engine.confinement import confine
from boxwright.serving.engine.network import first_line

_LARGEST = 1 << 30


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
    import tensorflow as tf

    from boxwright.packaging import OUTPUTS

    module = tf.saved_model.load(str(folder))
    signature = module.signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    if missing := set(OUTPUTS) - set(signature.structured_outputs):
        raise ValueError(f"the model has no output {', '.join(sorted(missing))}")

    def run(images: list[bytes]) -> dict[str, Any]:
        # The module, whose variables live as long as it does.
        found = module.signatures["serving_default"](**{name: tf.constant(images)})
        return {output: found[output].numpy() for output in OUTPUTS}

    return run


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
