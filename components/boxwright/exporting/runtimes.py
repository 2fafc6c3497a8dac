"""The runtimes of exported networks: pixels in, candidates out, without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from boxwright.config import FLOAT32
from boxwright.errors import DataError
from boxwright.exporting.facts import CANDIDATES, INPUT, ExportFacts
from boxwright.exporting.formats import format_named

Arrays = dict[str, NDArray[Any]]


class Runtime(Protocol):
    """A network in memory. It answers one call at a time."""

    def __call__(self, pixels: NDArray[np.uint8]) -> Arrays:
        """The network's outputs by name, for an input `(1, size, size, 3)`."""


def open_runtime(folder: Path, facts: ExportFacts, threads: int = 0, exact: bool = False) -> Runtime:
    """Loads an exported network.

    Args:
        folder: of the export.
        facts: what its `metadata.json` says.
        threads: that compute; 0 for one a core.
        exact: whether it computes in float32 also where the processor is faster otherwise and the precision allows it.

    Raises:
        UsageError: the runtime is not installed.
        DataError: it cannot load the file.
    """
    kind = format_named(facts.format)
    kind.check_installed(precision=None)
    path = folder / facts.file
    try:
        opened: Runtime = _RUNTIMES[kind.name](path, threads, exact or facts.precision == FLOAT32)
    except (OSError, ValueError, RuntimeError) as error:
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: {kind.name} cannot load it: {told[:300]}; export the model again") from None
    return opened


class _LiteRT:
    def __init__(self, path: Path, threads: int, _exact: bool) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(path), num_threads=threads or _cores())
        self._run = self._interpreter.get_signature_runner()

    def __call__(self, pixels: NDArray[np.uint8]) -> Arrays:
        # Its arrays are views of what the next call overwrites.
        return {name: np.array(value) for name, value in self._run(**{INPUT: pixels}).items()}


class _OpenVINO:
    def __init__(self, path: Path, threads: int, exact: bool) -> None:
        import openvino

        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads or _cores()}
        if exact:
            # By itself it computes in bfloat16 on processors with instructions for that (AMX).
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        self._request = compiled.create_infer_request()
        # An output may have other names beside its own.
        named = [sorted(output.get_names()) for output in compiled.outputs]
        self._names = [next((name for name in names if name in CANDIDATES), names[0]) for names in named]

    def __call__(self, pixels: NDArray[np.uint8]) -> Arrays:
        self._request.infer([pixels])
        return {name: np.array(self._request.get_output_tensor(i).data) for i, name in enumerate(self._names)}


class _ONNX:
    def __init__(self, path: Path, threads: int, _exact: bool) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]

    def __call__(self, pixels: NDArray[np.uint8]) -> Arrays:
        return dict(zip(self._names, self._session.run(None, {INPUT: pixels}), strict=True))


_RUNTIMES: dict[str, Any] = {"litert": _LiteRT, "openvino": _OpenVINO, "onnx": _ONNX}


def _cores() -> int:
    """The number of cores that this process may use."""
    import os

    return len(os.sched_getaffinity(0))
