"""The process that decodes images: `python -m boxwright.serving.engine.decoding_process MAX_PIXELS DESCRIPTOR`."""

from __future__ import annotations

import json
import resource
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from boxwright.serving.engine.confinement import confine
from boxwright.serving.engine.picture import RefusedImageError, read_picture

_LARGEST = 1 << 30
# For the pixels while they are converted, and for the program itself.
_BYTES_PER_PIXEL, _BYTES = 64, 2 << 30


def main() -> int:
    """Answers until the parent lets go; returns the exit code."""
    max_pixels, descriptor = (int(one) for one in sys.argv[1:])
    # Ctrl-C at a terminal is for the server, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    memory = _BYTES + _BYTES_PER_PIXEL * max_pixels
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    confine([])
    with Connection(descriptor) as parent:
        parent.send_bytes(b"ready")
        while True:
            try:
                data = parent.recv_bytes(_LARGEST)
            except EOFError:
                return 0
            _answer(parent, data, max_pixels)


def _answer(parent: Any, data: bytes, max_pixels: int) -> None:
    try:
        picture = read_picture(data, max_pixels)
    except RefusedImageError as error:
        parent.send_bytes(json.dumps({"code": error.code, "reason": str(error)}).encode())
        return
    same = picture.encoded is data
    told = {"width": picture.width, "height": picture.height, "same": same}
    parent.send_bytes(json.dumps(told).encode())
    if not same:
        parent.send_bytes(picture.encoded)


if __name__ == "__main__":
    sys.exit(main())
