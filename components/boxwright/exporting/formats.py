"""The formats that run without TensorFlow, a row each: files, precisions, and what writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from boxwright.config import FLOAT32, INT8, PRECISIONS, full_name
from boxwright.errors import UsageError, did_you_mean

INSTALL = "pip install 'boxwright[serve,export]'"

# Writes the format's file into a folder: `(network, folder, precision, calibration)`; the network is a
# `network.ExportNetwork`, the calibration a `calibrating.Calibration`, or None.
Writer = Callable[[Any, Path, str, Any], None]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: as users write it.
        file: that the runtime opens.
        precisions: of the weights, the default first.
        runtime: the module that runs it.
        converters: the modules that write it, beside TensorFlow.
        module: has the `Writer`, which is called `write`.
        calibrator: the module that writes it in whole numbers, beside them.
        is_suppressed: whether suppression is part of the network, where the model's kind of it can be.
    """

    name: str
    file: str
    precisions: tuple[str, ...]
    runtime: str
    converters: tuple[str, ...]
    module: str
    is_suppressed: bool = False
    calibrator: str = ""

    def writer(self) -> Writer:
        """The function that writes it."""
        write: Writer = import_module(self.module).write
        return write

    def check_precision(self, precision: str) -> None:
        """Refuses a precision that the format has not.

        Raises:
            UsageError: listing those that it has.
        """
        if precision not in self.precisions:
            raise UsageError(
                f"precision={precision}: expected {' or '.join(self.precisions)} for {self.name}"
                f"{did_you_mean(precision, self.precisions)}"
            )

    @property
    def is_installed(self) -> bool:
        """Whether it can be written and run here."""
        return not self._missing(FLOAT32)

    def check_installed(self, precision: str | None = FLOAT32) -> None:
        """Refuses to go on without the libraries of the format.

        Args:
            precision: that is to be written; None where it is only run.

        Raises:
            UsageError: naming what is missing, and the command that installs it.
        """
        if missing := self._missing(precision):
            raise UsageError(f"{self.name} needs {', '.join(missing)}, which is not installed: {INSTALL}")

    def _missing(self, precision: str | None) -> list[str]:
        needed = () if precision is None else (*self.converters, "tensorflow")
        needed += (self.calibrator,) if precision == INT8 else ()
        return [name for name in (self.runtime, *needed) if not _is_installed(name)]


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


FORMATS = {
    row.name: row
    for row in (
        Format(
            "litert",
            "model.tflite",
            PRECISIONS["litert"],
            "ai_edge_litert",
            (),
            "boxwright.exporting.to_litert",
            calibrator="ai_edge_quantizer",
        ),
        Format(
            "onnx",
            "model.onnx",
            PRECISIONS["onnx"],
            "onnxruntime",
            ("tf2onnx", "onnx"),
            "boxwright.exporting.to_onnx",
            is_suppressed=True,
        ),
        Format(
            "openvino",
            "model.xml",
            PRECISIONS["openvino"],
            "openvino",
            ("tf2onnx", "onnx"),
            "boxwright.exporting.to_openvino",
            calibrator="nncf",
        ),
    )
}


def format_named(name: str) -> Format:
    """The row of a name.

    Raises:
        UsageError: there is none; listing those that there are.
    """
    if name not in FORMATS:
        raise UsageError(f"format={name}: expected {', '.join(FORMATS)}{did_you_mean(name, FORMATS)}")
    return FORMATS[name]


def parse_name(text: str) -> tuple[Format, str]:
    """The row and the precision of a name such as `litert` or `litert:float16`.

    Raises:
        UsageError: there is none of that name; listing those that there are.
    """
    try:
        name, _, precision = full_name(text).partition(":")
    except ValueError as error:
        raise UsageError(f"format: {error}") from None
    return format_named(name), precision
