"""Looks over a foreign SavedModel: a copy is made of what answers images, if only known operations are in it.

A SavedModel is a program, in some 1,900 operations of which more than a few dozen read and write files. So those that
Boxwright's own export writes are allowed, and all others are not.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boxwright.errors import DataError, shorten

# What the exports of all families in the catalogue consist of, without what saves and restores checkpoints, which takes
# its paths from the graph. tests/serving/engine/test_foreign_model.py holds both against each other.
ALLOWED = frozenset(
    """
    Abs AddV2 All Any ArgMax AvgPool BatchMatMulV2 BiasAdd Cast Ceil CombinedNonMaxSuppression ConcatV2 Const Conv2D
    Cos Cumsum DecodeImage DecodeJpeg DecodeRaw DepthwiseConv2dNative DisableCopyOnRead Einsum Elu EnsureShape Equal
    Erfc Exp ExpandDims Fill Floor FloorDiv FloorMod FusedBatchNormV3 GatherNd GatherV2 Greater GreaterEqual
    Identity IdentityN If LeakyRelu Less LessEqual Log Log1p LogicalAnd LogicalNot LogicalOr MatMul Max MaxPool
    Maximum Mean Min Minimum Mul Neg NoOp NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps NotEqual OneHot OnesLike
    Pack Pad PadV2 PartitionedCall Placeholder Pow Prod Range ReadVariableOp RealDiv Relu Relu6 Reshape
    ResizeBilinear ResizeNearestNeighbor ReverseV2 Round Rsqrt ScaleAndTranslate Select SelectV2 Shape Sigmoid Sign
    Sin Size Slice Softmax Softplus Split SplitV Sqrt Square SquaredDifference Squeeze StatefulPartitionedCall
    StatelessCase StatelessIf StatelessWhile StopGradient StridedSlice Sub Substr Sum Tanh TensorListConcatV2
    TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem TensorListStack Tile TopKV2 Transpose
    Unpack VarHandleOp VarIsInitializedOp Where While ZerosLike
    """.split()
)
# What an export of the Object Detection API may have beside them, which was told without one at hand: arithmetic on
# shapes and numbers, checks of them, and suppression of an earlier version. None touches a file.
FROM_OBJECT_DETECTION = frozenset(
    """
    AddN Assert BroadcastArgs BroadcastTo ClipByValue DivNoNan InvertPermutation NonMaxSuppressionV3 NonMaxSuppressionV4
    Rank SpaceToBatchND BatchToSpaceND TensorListConcatV2 TensorListLength
    """.split()
)
_SIGNATURE = "serving_default"
# Layers and models of Keras, whose classes are not needed: the copy has plain objects for them.
_KERAS, _GENERIC = "_tf_keras_", "_generic_user_object"
# Of the objects that hold functions and variables together. Files, tables and classes that register themselves are not.
_HOLDERS = frozenset(
    (_GENERIC, "signature_map", "trackable_list_wrapper", "trackable_dict_wrapper",
     "trackable_tuple_wrapper")
)  # fmt: skip
_PLAIN = frozenset(("function", "bare_concrete_function", "variable", "captured_tensor", "constant"))
_LARGEST_GRAPH = 512 << 20
_MOST_ELEMENTS = 100_000_000


def copy_checked(saved_model: Path, target: Path, name: str) -> None:
    """Copies a SavedModel without what Boxwright has no use for, if the rest is allowed.

    The copy has the function of the signature `serving_default`, and those that it calls, with the variables. All other
    functions, a graph of TensorFlow 1, gradients, files beside it and what saves and restores stay behind.

    Args:
        saved_model: its folder.
        target: new folder.
        name: what to call it in an error.

    Raises:
        DataError: naming the operations that are not allowed; or it is not a SavedModel.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = saved_model / "saved_model.pb"
    try:
        if path.stat().st_size > _LARGEST_GRAPH:
            raise DataError(f"{name}: saved_model.pb has more than {_LARGEST_GRAPH:,} bytes")
        model = SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise DataError(f"{name}: saved_model.pb cannot be loaded ({type(error).__name__})") from None
    if len(model.meta_graphs) != 1 or not model.meta_graphs[0].object_graph_def.nodes:
        raise DataError(f"{name}: expected one graph with the objects of TensorFlow 2 in saved_model.pb")
    graph = model.meta_graphs[0]
    _keep_signature(graph.object_graph_def, name)
    _check_objects(graph.object_graph_def, name)
    _keep_called(graph, name)
    target.mkdir(parents=True)
    (target / "saved_model.pb").write_bytes(model.SerializeToString())
    (target / "variables").mkdir()
    for file in sorted((saved_model / "variables").glob("variables.*")):
        shutil.copyfile(file, target / "variables" / file.name)


def _keep_signature(objects: Any, name: str) -> None:
    """Makes plain objects of all functions but the signature's, of what only those hold, and of Keras's layers."""
    place = objects.nodes[0] if objects.nodes else None
    for step in ("signatures", _SIGNATURE):
        number = next((child.node_id for child in place.children if child.local_name == step), None) if place else None
        place = objects.nodes[number] if number is not None and number < len(objects.nodes) else None
    called = place.bare_concrete_function.concrete_function_name if place is not None else ""
    if called not in objects.concrete_functions:
        raise DataError(f"{name}: its SavedModel has no signature {_SIGNATURE}")
    needed = {*objects.concrete_functions[called].bound_inputs}
    for other in [one for one in objects.concrete_functions if one != called]:
        del objects.concrete_functions[other]
    for number, node in enumerate(objects.nodes):
        kind = node.WhichOneof("kind")
        is_holder = kind == "user_object" and node.user_object.identifier.startswith(_KERAS)
        if is_holder or (kind not in ("user_object", "variable") and node is not place and number not in needed):
            children = [child.__class__.FromString(child.SerializeToString()) for child in node.children]
            node.Clear()
            node.children.extend(children)
            node.user_object.identifier = _GENERIC
            node.user_object.version.producer = node.user_object.version.min_consumer = 1


def _check_objects(objects: Any, name: str) -> None:
    for node in objects.nodes:
        kind = node.WhichOneof("kind")
        known = node.user_object.identifier in _HOLDERS if kind == "user_object" else kind in _PLAIN
        if not known or node.registered_name or node.registered_saver or node.saveable_objects:
            told = node.registered_name or (node.user_object.identifier if kind == "user_object" else str(kind))
            raise DataError(f"{name}: its SavedModel has an object that is not allowed: {shorten(told)}")


def _keep_called(graph: Any, name: str) -> None:
    """Drops every function that no object leads to, and refuses what is not allowed in the rest."""
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    if len(library) != len(graph.graph_def.library.function):
        raise DataError(f"{name}: its SavedModel has two functions of one name")
    kept, waiting, refused = set(), list(_entry_points(graph.object_graph_def)), set()
    while waiting:
        called = waiting.pop()
        if called in kept:
            continue
        if called not in library:
            raise DataError(f"{name}: its SavedModel calls {shorten(called)}, which is not among its functions")
        kept.add(called)
        for node in library[called].node_def:
            if node.op not in ALLOWED and node.op not in FROM_OBJECT_DETECTION:
                refused.add(node.op)
            waiting += _called(node.attr.values(), name)
        waiting += _called(library[called].attr.values(), name)
    if refused:
        shown = ", ".join(shorten(one) for one in sorted(refused)[:20])
        raise DataError(
            f"{name}: its SavedModel has operations that are not allowed: {shown}; Boxwright runs those that its own "
            "export and the Object Detection API's write"
        )
    used = [library[called].__class__.FromString(library[called].SerializeToString()) for called in sorted(kept)]
    version = graph.graph_def.versions.__class__.FromString(graph.graph_def.versions.SerializeToString())
    graph.graph_def.Clear()
    graph.graph_def.versions.CopyFrom(version)
    graph.graph_def.library.function.extend(used)
    for field in ("saver_def", "collection_def", "asset_file_def"):
        graph.ClearField(field)


def _entry_points(objects: Any) -> Iterator[str]:
    yield from objects.concrete_functions
    for node in objects.nodes:
        yield from node.function.concrete_functions
        if called := node.bare_concrete_function.concrete_function_name:
            yield called
        if called := node.captured_tensor.concrete_function:
            yield called


def _called(attributes: Any, name: str) -> Iterator[str]:
    """The functions that attributes name, at any depth."""
    for value in attributes:
        for function in (value.func, *value.list.func):
            if function.name:
                yield function.name
            yield from _called(function.attr.values(), name)
        for tensor in (value.tensor, *value.list.tensor):
            _check_tensor(tensor, name)


def _check_tensor(tensor: Any, name: str) -> None:
    elements = 1
    for side in tensor.tensor_shape.dim:
        elements *= max(side.size, 0)
    # A variant can hold a whole graph of another program.
    if tensor.variant_val or tensor.resource_handle_val or elements > _MOST_ELEMENTS:
        raise DataError(f"{name}: its SavedModel has a constant of {elements:,} elements, or not of numbers or text")
