"""Looks over a SavedModel's graph before it is loaded: a model is a program, and an archive is somebody's upload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boxwright.errors import DataError

# Operations of TensorFlow that read or write files at paths of the graph's choosing, or call back into Python. Those of
# checkpoints (SaveV2, RestoreV2) are part of every SavedModel and read nothing but checkpoints.
_REFUSED = frozenset(
    {
        "DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "EagerPyFunc", "FixedLengthRecordDataset",
        "FixedLengthRecordDatasetV2", "FixedLengthRecordReaderV2", "InitializeTableFromTextFile",
        "InitializeTableFromTextFileV2", "MatchingFiles", "MatchingFilesDataset", "PrintV2", "PyFunc",
        "PyFuncStateless", "ReadFile", "SaveDataset", "SaveDatasetV2", "SqlDataset", "TextLineDataset",
        "TextLineReaderV2", "TFRecordDataset", "TFRecordDatasetV2", "TFRecordReaderV2", "WholeFileReaderV2",
        "WriteFile",
    }
)  # fmt: skip


def check_graph(saved_model: Path) -> None:
    """Refuses a SavedModel whose graph could touch files, or call Python.

    Args:
        saved_model: its folder.

    Raises:
        DataError: naming the operations; or the graph cannot be read.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = saved_model / "saved_model.pb"
    try:
        operations = set(_operations(SavedModel.FromString(path.read_bytes())))
    except (OSError, DecodeError) as error:
        raise DataError(f"{path} cannot be loaded ({type(error).__name__}); package the model again") from None
    if found := sorted(operations & _REFUSED):
        raise DataError(
            f"{path} has {', '.join(found)}, by which it could touch this machine's files; it is not loaded"
        )


def _operations(model: Any) -> Iterator[str]:
    for graph in model.meta_graphs:
        yield from (node.op for node in graph.graph_def.node)
        for function in graph.graph_def.library.function:
            yield from (node.op for node in function.node_def)
