"""A SavedModel that somebody made elsewhere and the user trusts: it runs in a process of its own, without rights."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from boxwright.config import SAVED_MODEL
from boxwright.errors import DataError
from boxwright.packaging import OUTPUTS, saved_model_below
from boxwright.serving.engine.foreign_graph import copy_checked
from boxwright.serving.engine.network import NetworkError, Outputs, why_tensorflow_cannot_decode

# What the process needs of the environment: where programs and libraries are. No credential, token or address.
_PASSED_ON = ("PATH", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "CUDA_VISIBLE_DEVICES", "TF_CPP_MIN_LOG_LEVEL")
_SECONDS_TO_LOAD, _SECONDS_TO_ANSWER, _SECONDS_TO_END = 600.0, 120.0, 5.0
_LARGEST_ANSWER = 256 << 20
_NUMBERS = ("float32", "float64", "int32", "int64")
_log = logging.getLogger("boxwright")


class ForeignModel:
    """See `boxwright.serving.engine.network.Network`.

    A model that does not answer in time, or whose process ends, fails that batch; the next one starts it again.

    Args:
        folder: an unpacked archive; it may go away afterwards.
        reference: the model's, for messages.

    Raises:
        DataError: its SavedModel is missing, broken, not allowed, or has not the signature of a detector.
    """

    def __init__(self, folder: Path, reference: str) -> None:
        self._reference = reference
        self._place = tempfile.TemporaryDirectory(prefix="boxwright-foreign-")
        self._model = Path(self._place.name, SAVED_MODEL)
        own = folder / SAVED_MODEL
        copy_checked(own if own.is_dir() else saved_model_below(folder), self._model, reference)
        self._scratch = Path(self._place.name, "scratch")
        self._scratch.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def __call__(self, encoded: Sequence[bytes]) -> Outputs:
        """See `Network`."""
        if self._process is None:
            self._start()
        try:
            self._connection.send_bytes(json.dumps([len(data) for data in encoded]).encode())
            for data in encoded:
                self._connection.send_bytes(data)
            told = self._receive(_SECONDS_TO_ANSWER)
            if "error" in told:
                raise NetworkError(str(told["error"]))
            return {name: self._array(told["arrays"][name], len(encoded)) for name in OUTPUTS}
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            self.close()
            raise NetworkError(f"{self._reference}: the SavedModel's process failed: {error or 'it ended'}") from None

    def why_undecodable(self, encoded: bytes) -> str | None:
        """See `Network`."""
        return why_tensorflow_cannot_decode(encoded)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._connection.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_SECONDS_TO_END)
            self._process.kill()
            self._process.wait()
            self._process = None

    def _start(self) -> None:
        ours, theirs = _pair()
        with theirs:
            command = [sys.executable, "-P", "-m", "boxwright.serving.engine.foreign_process"]
            kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            self._process = subprocess.Popen(
                [*command, str(self._model), str(self._scratch), str(theirs.fileno())],
                env=kept | {"HOME": str(self._scratch)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._connection = ours
        try:
            told = self._receive(_SECONDS_TO_LOAD)
        except (OSError, EOFError, ValueError) as error:
            told = {"error": str(error) or "its process ended by itself"}
        if "error" in told:
            self.close()
            raise DataError(f"{self._reference}: {SAVED_MODEL}/ cannot be loaded: {str(told['error'])[:300]}")
        if told.get("warning"):
            _log.warning("%s: %s", self._reference, str(told["warning"])[:300])

    def _receive(self, seconds: float) -> dict[str, Any]:
        if not self._connection.poll(seconds):
            raise ValueError(f"no answer after {seconds:g} s")
        told = json.loads(self._connection.recv_bytes(_LARGEST_ANSWER))
        if not isinstance(told, dict):
            raise ValueError("an answer that is not a JSON object")
        return told

    def _array(self, told: Any, images: int) -> Any:
        """One output; what the process says of it is not believed."""
        dtype, shape = told
        if dtype not in _NUMBERS or not shape or shape[0] != images:
            raise ValueError(f"an output of {str(dtype)[:20]} with the shape {str(shape)[:50]}")
        if not self._connection.poll(_SECONDS_TO_ANSWER):
            raise ValueError("an output that does not come")
        return np.frombuffer(self._connection.recv_bytes(_LARGEST_ANSWER), dtype).reshape(shape)


def _pair() -> tuple[Connection, Connection]:
    import socket

    ours, theirs = socket.socketpair()
    return Connection(ours.detach()), Connection(theirs.detach())
