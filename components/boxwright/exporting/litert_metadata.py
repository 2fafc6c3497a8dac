"""What a `.tflite` file says of itself, with the class names inside, as Android's tools read it.

https://ai.google.dev/edge/litert/conversion/tensorflow/metadata: a table in a buffer of the file, whose schema is
`metadata_schema.fbs`, and the files that it names in a zip archive behind the file.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence

import flatbuffers
import numpy as np
from tensorflow.lite.python.schema_py_generated import BufferT, MetadataT
from tensorflow.lite.tools import flatbuffer_utils

LABELS_FILE = "labelmap.txt"
_BUFFER, _IDENTIFIER, _OLDEST_READER = "TFLITE_METADATA", b"M001", "1.0.0"
# Values of the schema's enumerations.
_AXIS_LABELS, _FEATURE, _IMAGE, _RGB = 2, 1, 2, 1
_MEANINGS = {
    "image": "RGB image, its bytes as they are",
    "boxes": "ymin, xmin, ymax, xmax of each place's box, in shares of the input; overlapping ones are not taken out",
    "scores": "score of each class at each place, 0 to 1; the classes are in the label file",
}


def with_metadata(model: bytes, model_id: str, classes: Sequence[str]) -> bytes:
    """A network that says what goes in and comes out.

    Args:
        model: of a `.tflite` file with one signature.
        model_id: its name.
        classes: class names by index.
    """
    content = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    (signature,) = content.signatureDefs
    graph = content.subgraphs[signature.subgraphIndex]
    names = {one.tensorIndex: one.name.decode() for one in (*signature.inputs, *signature.outputs)}
    inputs, outputs = ([names[tensor] for tensor in tensors] for tensors in (graph.inputs, graph.outputs))
    for buffer in content.buffers:
        if isinstance(buffer.data, bytearray):  # written number by number, unless NumPy holds them
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    content.buffers.append(BufferT(data=_Tables().metadata(model_id, inputs, outputs)))
    content.metadata.append(MetadataT(name=_BUFFER, buffer=len(content.buffers) - 1))
    file = io.BytesIO(bytes(flatbuffer_utils.convert_object_to_bytearray(content)))
    with zipfile.ZipFile(file, "a") as archive:
        # Without the time of day, so that the same model gives the same bytes.
        archive.writestr(zipfile.ZipInfo(LABELS_FILE), "".join(f"{name}\n" for name in classes))
    return file.getvalue()


class _Tables:
    """The schema's tables, by number of each field, parts before what holds them."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder()

    def metadata(self, model_id: str, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
        graph = self._table({2: self._vector(map(self._tensor, inputs)), 3: self._vector(map(self._tensor, outputs))})
        told = {0: self._text(model_id), 1: self._text("object detector"), 7: self._text(_OLDEST_READER)}
        self._builder.Finish(self._table({**told, 3: self._vector([graph])}), _IDENTIFIER)
        return bytes(self._builder.Output())

    def _tensor(self, name: str) -> int:
        is_image = name == "image"
        properties = self._table({}, {0: _RGB} if is_image else {})
        content = self._table({1: properties}, {0: _IMAGE if is_image else _FEATURE})
        parts = {0: self._text(name), 1: self._text(_MEANINGS[name]), 3: content}
        if name == "scores":
            parts[6] = self._vector([self._table({0: self._text(LABELS_FILE)}, {2: _AXIS_LABELS})])
        return self._table(parts)

    def _text(self, text: str) -> int:
        return int(self._builder.CreateString(text))

    def _vector(self, parts: Iterable[int]) -> int:
        found = list(parts)
        self._builder.StartVector(4, len(found), 4)
        for part in reversed(found):
            self._builder.PrependUOffsetTRelative(part)
        return int(self._builder.EndVector())

    def _table(self, parts: Mapping[int, int], numbers: Mapping[int, int] | None = None) -> int:
        numbers = numbers or {}
        self._builder.StartObject(max((*parts, *numbers), default=0) + 1)
        for field, part in parts.items():
            self._builder.PrependUOffsetTRelativeSlot(field, part, 0)
        for field, number in numbers.items():
            self._builder.PrependUint8Slot(field, number, 0)
        return int(self._builder.EndObject())
