"""Untrusted images are decoded in processes that have no rights and can be killed: no image holds up the server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from queue import SimpleQueue

from boxwright.serving.engine.picture import Picture, RefusedImageError

# What Python needs to find its modules; no credential, token or address.
_PASSED_ON = ("PATH", "LANG", "PYTHONPATH")
_SECONDS_TO_START = 60.0
_LARGEST = 1 << 30  # bytes of a picture that was converted


class Decoders:
    """Processes that read pictures, one at a time each.

    Args:
        count: processes; as many threads may call `read` at a time.
        max_pixels: largest image.
        seconds: for one image, after which its process is killed and another one started.
    """

    def __init__(self, count: int, max_pixels: int, seconds: float) -> None:
        self._seconds = seconds
        self._all = [_Decoder(max_pixels) for _ in range(count)]
        self._free: SimpleQueue[_Decoder] = SimpleQueue()
        for decoder in self._all:
            self._free.put(decoder)

    def read(self, data: bytes) -> Picture:
        """See `boxwright.serving.engine.picture.read_picture`.

        Raises:
            RefusedImageError: also where the image took too long, or ended the process.
        """
        decoder = self._free.get()
        try:
            return decoder.read(data, self._seconds)
        finally:
            self._free.put(decoder)

    def stop(self) -> None:
        """Ends the processes, whatever they do."""
        for decoder in self._all:
            decoder.kill(for_good=True)


class _Decoder:
    """One process, started again where it is needed."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._ended = self._is_ready = False
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def read(self, data: bytes, seconds: float) -> Picture:
        if self._process is None:
            self._start()
        try:
            self._wait_until_ready()
            self._connection.send_bytes(data)
            if not self._connection.poll(seconds):
                raise TimeoutError(f"was not decoded after {seconds:g} s")
            told = json.loads(self._connection.recv_bytes())
            if "code" in told:
                raise RefusedImageError(told["code"], told["reason"])
            encoded = data if told["same"] else self._connection.recv_bytes(_LARGEST)
            return Picture(encoded, told["width"], told["height"])
        except TimeoutError as error:
            reason, code = str(error), "image_too_complex"
        except (OSError, EOFError, ValueError, KeyError, TypeError):  # the last three: an answer that is not ours
            reason, code = "ended the process that decodes it", "image_unreadable"
        self.kill()
        raise RefusedImageError(code, f"the image {reason}; save it again, as a baseline JPEG or a plain PNG")

    def _wait_until_ready(self) -> None:
        """Its start is not the image's time."""
        if not self._is_ready:
            if not self._connection.poll(_SECONDS_TO_START):
                raise EOFError
            self._is_ready = bool(self._connection.recv_bytes())

    def kill(self, for_good: bool = False) -> None:
        self._ended = self._ended or for_good
        if process := self._process:
            self._process = None
            process.kill()
            process.wait()
            if not for_good:  # else somebody may be waiting for an answer, and sees the end
                self._connection.close()

    def _start(self) -> None:
        if self._ended:
            raise RefusedImageError("image_unreadable", "the server is stopping")
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "boxwright.serving.engine.decoding_process"]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(self._max_pixels), str(theirs.fileno())],
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._connection, self._is_ready = Connection(ours.detach()), False
