"""A SavedModel of a stranger: not run unless it is asked for, from known operations only, and without rights."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finder import LABELS, encoded, scene, write_facts

from boxwright.errors import DataError
from boxwright.images import Tiling
from boxwright.model.store import ModelCard, build_detector, save_detector
from boxwright.packaging.saved_model import export_saved_model
from boxwright.registry.open_model import resolve_model
from boxwright.serving.engine import foreign_model
from boxwright.serving.engine.foreign_graph import copy_checked
from boxwright.serving.engine.foreign_model import ForeignModel
from boxwright.serving.engine.loading import load_predictor
from boxwright.serving.engine.network import NetworkError, RebuiltNetwork
from boxwright.serving.engine.picture import read_picture
from boxwright.serving.engine.predictor import Detections

SECRET = "/etc/passwd"


def saved(folder: Path, look: Callable[[Any], Any], module: Any = None) -> Path:
    """An archive's folder with a SavedModel whose boxes are fixed; `look` gets an image's bytes and gives a string."""
    import tensorflow as tf

    module = tf.Module() if module is None else module

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="encoded_images")])
    def serve(encoded_images: Any) -> dict[str, Any]:
        told = tf.map_fn(lambda data: tf.strings.length(look(data)), encoded_images, fn_output_signature=tf.int32)
        count = tf.shape(encoded_images)[0]
        return {
            "detection_boxes": tf.tile([[[0.1, 0.1, 0.4, 0.4]]], [count, 1, 1]),
            "detection_scores": tf.fill([count, 1], 0.9) + 0.0 * tf.cast(told, tf.float32)[:, None],
            "detection_classes": tf.ones([count, 1]),
            "num_detections": tf.fill([count], 1),
        }

    module.serve = serve
    folder.mkdir(exist_ok=True)
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": module.serve})
    write_facts(folder)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """What this project writes: a detector's files and its SavedModel."""
    folder = tmp_path_factory.mktemp("exported")
    fields = getattr(request, "param", {})
    card = ModelCard(model_id="tiny", image_size=128, classes=LABELS, category_ids=(7, 3), **fields)
    save_detector(build_detector(card), card, folder)
    export_saved_model(folder, folder)
    return folder


@pytest.mark.parametrize(
    "exported", [{}, {"resize": "letterbox", "tiling": Tiling(size=90, overlap=0.3)}], indirect=True, ids=["", "tiles"]
)
def test_the_network_of_the_catalogue_sees_what_the_saved_model_sees(exported: Path) -> None:
    rebuilt, foreign = RebuiltNetwork(exported), ForeignModel(exported, "a model")
    images = [encoded(scene(), "PNG"), encoded(scene(300, 100))]
    ours, theirs = rebuilt(images), foreign(images)
    assert set(ours) == set(theirs) and ours["num_detections"].min() > 10
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)
    with pytest.raises(NetworkError, match="[Uu]nknown|[Dd]ecode|JPEG"):
        foreign([b"not an image"])
    assert foreign(images[:1])["num_detections"].shape == (1,)
    foreign.close()


def test_a_saved_model_is_run_only_where_it_is_trusted(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "foreign"))
    (folder / "model.weights.h5").unlink()
    with pytest.raises(DataError, match=r"no model\.weights\.h5.*--trust-saved-model"):
        load_predictor(resolve_model(str(folder)))
    predictor = load_predictor(resolve_model(str(folder)), trust_saved_model=True)
    (seen,) = predictor.predict([read_picture(encoded(scene()), 10**6)])
    assert isinstance(seen, Detections)


def _written(path: Path) -> Callable[[Any], Any]:
    def look(data: Any) -> Any:
        import tensorflow as tf

        with tf.control_dependencies([tf.raw_ops.WriteFile(filename=str(path), contents="print('mine')")]):
            return tf.identity(data)

    return look


def _read(_: Any) -> Any:
    import tensorflow as tf

    return tf.io.read_file(SECRET)


def _csv(_: Any) -> Any:
    import tensorflow as tf

    rows = tf.data.experimental.CsvDataset([SECRET], [tf.string], field_delim="\n")
    return rows.reduce(tf.constant(""), lambda seen, row: seen + row)


def _dataset_to_file(data: Any) -> Any:
    import tensorflow as tf

    rows = tf.data.Dataset.from_tensors(tf.constant("import os"))
    written = tf.raw_ops.DatasetToTFRecord(
        input_dataset=rows._variant_tensor, filename="/tmp/evil.pth", compression_type=""
    )
    with tf.control_dependencies([written]):
        return tf.identity(data)


def _python(data: Any) -> Any:
    import tensorflow as tf

    return tf.ensure_shape(tf.py_function(lambda one: one, [data], tf.string), ())


def _nested(data: Any) -> Any:
    import tensorflow as tf

    @tf.function
    def deepest(name: Any) -> Any:
        return tf.io.read_file(name)

    @tf.function
    def deeper(name: Any) -> Any:
        return tf.cond(tf.strings.length(name) > 0, lambda: deepest(name), lambda: name)

    return tf.while_loop(lambda i, _: i < 2, lambda i, _: (i + 1, deeper(tf.constant(SECRET))), (0, data))[1]


def _checkpoint(data: Any) -> Any:
    import tensorflow as tf

    saving = tf.raw_ops.SaveV2(prefix="/tmp/evil", tensor_names=["x"], shape_and_slices=[""], tensors=[data])
    with tf.control_dependencies([saving]):
        return tf.identity(data)


def _loaded_library(data: Any) -> Any:
    import tensorflow as tf

    return tf.strings.as_string(tf.size(tf.io.matching_files(data)))


@pytest.mark.parametrize(
    ("look", "operation"),
    [
        (_read, "ReadFile"),
        (_written(Path("/tmp/evil.pth")), "WriteFile"),
        (_csv, "CSVDataset"),
        (_dataset_to_file, "DatasetToTFRecord"),
        (_python, "EagerPyFunc"),
        (_nested, "ReadFile"),
        (_checkpoint, "SaveV2"),
        (_loaded_library, "MatchingFiles"),
    ],
)
def test_operations_that_our_export_does_not_write_are_refused(tmp_path: Path, look: Any, operation: str) -> None:
    folder = saved(tmp_path / "foreign", look)
    with pytest.raises(DataError, match=f"not allowed: .*{operation}"):
        load_predictor(resolve_model(str(folder)), trust_saved_model=True)


def test_a_table_that_reads_a_file_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    class Reading(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            source = tf.lookup.TextFileInitializer(
                SECRET, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            )
            self.table = tf.lookup.StaticHashTable(source, -1)

    module = Reading()
    folder = saved(tmp_path / "foreign", lambda data: tf.strings.as_string(module.table.lookup(data)), module)
    with pytest.raises(DataError, match="not allowed"):
        copy_checked(folder / "saved_model", tmp_path / "copy", "it")


def _changed(folder: Path, change: Callable[[Any], None], tmp_path: Path) -> Path:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    target = Path(shutil.copytree(folder / "saved_model", tmp_path / "changed"))
    model = SavedModel.FromString((target / "saved_model.pb").read_bytes())
    change(model)
    (target / "saved_model.pb").write_bytes(model.SerializeToString())
    return target


def _serving(model: Any) -> Any:
    library = model.meta_graphs[0].graph_def.library.function
    return next(function for function in library if any(node.op == "StatelessWhile" for node in function.node_def))


def _variant(model: Any) -> None:
    node = next(node for node in _serving(model).node_def if node.op == "Const")
    node.attr["value"].tensor.variant_val.add().type_name = "tensorflow::WrappedDatasetVariant"


def _stranger(model: Any) -> None:
    node = next(node for node in _serving(model).node_def if node.op == "StatelessWhile")
    node.attr["body"].func.attr["inner"].func.name = "ReadFile"


def _legacy_call(model: Any) -> None:
    library = model.meta_graphs[0].graph_def.library.function
    library.add().CopyFrom(library[0])
    library[-1].signature.name = "its_own"
    _serving(model).node_def.add().op = "its_own"


def _huge(model: Any) -> None:
    node = next(node for node in _serving(model).node_def if node.op == "Const")
    for _ in range(3):
        node.attr["value"].tensor.tensor_shape.dim.add().size = 1 << 30


def _revived(model: Any) -> None:
    model.meta_graphs[0].object_graph_def.nodes[0].user_object.identifier = "optimizer"


def _unsigned(model: Any) -> None:
    model.meta_graphs[0].object_graph_def.nodes[0].ClearField("children")


def _registered(model: Any) -> None:
    model.meta_graphs[0].object_graph_def.nodes[0].registered_name = "Custom.Thing"


def _twice(model: Any) -> None:
    library = model.meta_graphs[0].graph_def.library.function
    library.add().CopyFrom(library[0])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_variant, "not of numbers or text"),
        (_stranger, "calls 'ReadFile', which is not among its functions"),
        (_legacy_call, "not allowed: 'its_own'"),
        (_huge, "elements"),
        (_revived, "object that is not allowed: 'optimizer'"),
        (_unsigned, "no signature serving_default"),
        (_registered, "object that is not allowed: 'Custom.Thing'"),
        (_twice, "two functions of one name"),
        (lambda model: model.meta_graphs[0].ClearField("object_graph_def"), "objects of TensorFlow 2"),
        (lambda model: model.meta_graphs.add(), "expected one graph"),
    ],
)
def test_a_graph_that_was_tampered_with_is_refused(exported: Path, tmp_path: Path, change: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        copy_checked(_changed(exported, change, tmp_path), tmp_path / "copy", "it")


def test_what_saves_and_restores_stays_behind(exported: Path, tmp_path: Path) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    copy_checked(exported / "saved_model", tmp_path / "copy", "it")
    graph = SavedModel.FromString((tmp_path / "copy" / "saved_model.pb").read_bytes()).meta_graphs[0]
    operations = {node.op for function in graph.graph_def.library.function for node in function.node_def}
    assert "Conv2D" in operations and not operations & {"SaveV2", "RestoreV2", "MergeV2Checkpoints"}
    assert not graph.graph_def.node


@pytest.mark.parametrize("broken", [b"", b"x" * 100, b"\x0a\xff\xff\xff"])
def test_a_broken_saved_model_is_refused_in_one_line(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(broken)
    with pytest.raises(DataError, match=r"saved_model\.pb") as caught:
        copy_checked(tmp_path / "saved_model", tmp_path / "copy", "it")
    assert "\n" not in str(caught.value)


def test_even_an_operation_that_got_through_writes_and_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the list had a hole: the process has no right to do what the graph asks for."""
    monkeypatch.setattr(foreign_model, "copy_checked", lambda source, target, _: shutil.copytree(source, target))
    target = tmp_path / "evil.pth"
    writing = ForeignModel(saved(tmp_path / "writing", _written(target)), "a writer")
    with pytest.raises(NetworkError):
        writing([encoded(scene())])
    assert not target.exists() or target.read_bytes() == b""
    writing.close()
    # Whether files can be read is up to the kernel; where it has Landlock they cannot.
    if not _lacking():
        reading = ForeignModel(saved(tmp_path / "reading", _read), "a reader")
        with pytest.raises(NetworkError, match=r"[Pp]ermission|denied|passwd"):
            reading([encoded(scene())])
        reading.close()


def _confined(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    head = "import os, socket, subprocess, sys\nfrom boxwright.serving.engine.confinement import confine\n"
    program = f"{head}lacking = confine([])\n{code}"
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)


def _lacking() -> str:
    return _confined("print(lacking)").stdout.strip()


ATTEMPTS = {
    "write": "open(sys.argv[1], 'a').write('x')",
    "cut": "os.truncate(sys.argv[1], 0)",
    "make": "open(sys.argv[1] + '.new', 'x')",
    "remove": "os.remove(sys.argv[1])",
    "rename": "os.rename(sys.argv[1], sys.argv[1] + '.new')",
    "link": "os.symlink('/etc', sys.argv[1] + '.new')",
    "read": "open('/etc/passwd').read()",
    "read the parent's environment": "open(f'/proc/{os.getppid()}/environ').read()",
    "a program": "subprocess.run(['/bin/sh', '-c', f'echo x > {sys.argv[1]}'], check=True)",
    "connect": "socket.create_connection(('127.0.0.1', int(sys.argv[2])))",
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_a_confined_process_has_no_rights(tmp_path: Path, attempt: str) -> None:
    if (lacking := _lacking()) and "write" not in attempt:
        pytest.skip(lacking)
    kept = tmp_path / "kept"
    kept.write_text("kept")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = _confined(attempt, str(kept), str(listener.getsockname()[1]))
    assert done.returncode != 0 and "Error" in done.stderr, done.stderr
    assert "rights could not be given up" not in done.stderr
    assert kept.read_text() == "kept" and [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_its_process_has_none_of_our_secrets(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setenv("BOXWRIGHT_TOKEN", "a-token-of-the-test-1234")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-test")
    foreign = ForeignModel(exported, "a model")
    assert foreign._process is not None
    told = json.dumps(psutil.Process(foreign._process.pid).environ())
    assert "of-the-test" not in told
    foreign.close()


def test_a_model_whose_process_ended_is_started_again(exported: Path) -> None:
    foreign = ForeignModel(exported, "a model")
    assert foreign._process is not None
    foreign._process.kill()
    foreign._process.wait()
    with pytest.raises(NetworkError, match="process failed"):
        foreign([encoded(scene())])
    assert foreign([encoded(scene())])["num_detections"].shape == (1,)
    foreign.close()
