"""A network in whole numbers, 8 bits each: its convolutions and what lies between them, calibrated on images.

What turns their answers into boxes and scores stays in floats: one scale for coordinates and logits is what ruins
detectors that are whole numbers from end to end. So do the last convolutions, and more of them where a network loses
too much; how many convolutions lie behind an operation on the way to the outputs says which are last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.exporting.facts import INPUT

# Convolutions on the longest way to the outputs that stay in floats, by level: each head's last one, which costs no
# time and brings back most of what is lost without it; the heads of the default model; all of it but the encoder.
IN_FLOATS = (1, 5, 18)
# As LiteRT and as OpenVINO call them.
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "Convolution", "GroupConvolution")
_BETWEEN = ("ADD", "CONCATENATION", "MAX_POOL_2D", "PAD", "RESIZE_NEAREST_NEIGHBOR")
_BITS = 8


@dataclass(frozen=True)
class _Operation:
    """One operation: kind, name, and the numbers of the tensors that go in and come out."""

    kind: str
    scope: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def quantised_litert(model: bytes, images: Iterable[NDArray[np.uint8]], level: int) -> bytes:
    """A LiteRT network in whole numbers.

    Args:
        model: a `.tflite` file in floats.
        images: inputs `(1, size, size, 3)`, like those that it will see.
        level: place in `IN_FLOATS`.
    """
    import re

    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer

    quantizer = Quantizer(bytearray(model))
    for operation in _to_quantise(_operations(model), IN_FLOATS[level]):
        scope, kind = f"^{re.escape(operation.scope)}$", TFLOperationName(operation.kind)
        quantizer.add_static_config(scope, kind, activation_num_bits=_BITS, weight_num_bits=_BITS)
    # A list: they are counted first.
    data = {_signature(model): [{INPUT: image} for image in images]}
    found = quantizer.quantize(quantizer.calibrate(data), enable_progress_report=False)
    return bytes(found.quantized_model)


def quantised_openvino(model: Any, images: Iterable[NDArray[np.uint8]], level: int) -> Any:
    """An OpenVINO network in whole numbers, by NNCF.

    Args:
        model: an `openvino.Model` in floats.
        images: inputs `(1, size, size, 3)`, like those that it will see.
        level: place in `IN_FLOATS`.
    """
    import nncf

    operations = _openvino_operations(model)
    kept = zip(operations, _convolutions_behind(operations), strict=True)
    floats = [found.scope for found, behind in kept if behind < IN_FLOATS[level] + (found.kind not in _CONVOLUTIONS)]
    data = list(images)
    return nncf.quantize(
        model,
        nncf.Dataset(data),
        subset_size=len(data),
        # A name that its graph lacks, such as that of a constant, is not a mistake.
        ignored_scope=nncf.IgnoredScope(names=floats, validate=False),
    )


def _openvino_operations(model: Any) -> list[_Operation]:
    """In an order in which each comes after what it needs."""
    numbers: dict[tuple[str, int], int] = {}

    def number(port: Any) -> int:
        key = (port.get_node().get_friendly_name(), port.get_index())
        return numbers.setdefault(key, len(numbers))

    return [
        _Operation(
            found.get_type_name(),
            found.get_friendly_name(),
            tuple(number(port.get_source_output()) for port in found.inputs()),
            tuple(number(port) for port in found.outputs()),
        )
        for found in model.get_ordered_ops()
    ]


def _signature(model: bytes) -> str:
    from ai_edge_litert.interpreter import Interpreter

    return str(next(iter(Interpreter(model_content=model).get_signature_list())))


def _operations(model: bytes) -> list[_Operation]:
    """In an order in which each comes after what it needs."""
    from ai_edge_litert.tools import flatbuffer_utils

    read: Any = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    graph = read.subgraphs[0]
    names = [tensor.name.decode() for tensor in graph.tensors]
    return [
        _Operation(
            str(flatbuffer_utils.opcode_to_name(read, found.opcodeIndex)),
            "".join(f"{names[number]};" for number in found.outputs),
            tuple(found.inputs),
            tuple(found.outputs),
        )
        for found in graph.operators
    ]


def _to_quantise(operations: list[_Operation], in_floats: int) -> list[_Operation]:
    """The convolutions, and what lies between them, that are not among the last.

    Args:
        operations: of the network.
        in_floats: convolutions from the outputs that are left out.
    """
    return [
        operation
        for operation, behind in zip(operations, _convolutions_behind(operations), strict=True)
        if (operation.kind in _CONVOLUTIONS and behind >= in_floats)
        or (operation.kind in _BETWEEN and behind > in_floats)
    ]


def _convolutions_behind(operations: list[_Operation]) -> list[int]:
    """The number of convolutions on the longest way from each operation to the outputs, itself left out."""
    needed: dict[int, int] = {}
    found = []
    for operation in reversed(operations):
        behind = max((needed.get(number, 0) for number in operation.outputs), default=0)
        found.append(behind)
        counted = behind + (operation.kind in _CONVOLUTIONS)
        for number in operation.inputs:
            needed[number] = max(needed.get(number, 0), counted)
    return found[::-1]
