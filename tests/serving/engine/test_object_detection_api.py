"""A SavedModel with the signature of the Object Detection API and a file of labels: served where it is trusted.

The managed algorithm's own archives were not at hand. This one is made as the API's exporter makes its own: one image
as pixels, outputs as floats that count classes from 1, other functions and Keras's layers beside the signature.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finder import BLUE_BOX, LABELS, RED_BOX, encoded, scene, write_dataset
from served import serving

import boxwright
from boxwright.config import new_run, parse_config
from boxwright.errors import DataError
from boxwright.registry.open_model import resolve_model
from boxwright.serving.engine.foreign_graph import copy_checked
from boxwright.serving.engine.loading import load_predictor
from boxwright.serving.engine.picture import read_picture


def _detect(image: Any) -> dict[str, Any]:
    """Where the red and the blue thing are, in shares of the image; surer of what is red."""
    import tensorflow as tf

    def box(channel: int) -> Any:
        others = [number for number in range(3) if number != channel]
        seen = (image[..., channel] > 150) & (image[..., others[0]] < 100) & (image[..., others[1]] < 100)
        rows, columns = tf.where(tf.reduce_any(seen, 1))[:, 0], tf.where(tf.reduce_any(seen, 0))[:, 0]
        edges = [tf.reduce_min(rows), tf.reduce_min(columns), tf.reduce_max(rows) + 1, tf.reduce_max(columns) + 1]
        sides = tf.cast(tf.tile(tf.shape(image)[:2], [2]), tf.float32)
        return tf.clip_by_value(tf.cast(tf.stack(edges), tf.float32) / sides, 0.0, 1.0)

    boxes = tf.concat([tf.stack([box(0), box(2)]), tf.zeros((98, 4))], 0)
    scores, classes = np.zeros(100, "float32"), np.ones(100, "float32")
    scores[:2], classes[1] = (0.9, 0.4), 2
    return {"detection_boxes": boxes[None], "detection_scores": tf.constant(scores[None]),
            "detection_classes": tf.constant(classes[None]), "num_detections": tf.constant([100.0]),
            "raw_detection_boxes": boxes[None]}  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in such an archive."""
    import tensorflow as tf

    module = tf.Module()
    module.layer = tf.Module()
    module.layer.scale = tf.Variable(1.0)
    # A function beside the signature, with an operation that is not allowed.
    module.layer.call = tf.function(lambda: tf.io.read_file("/etc/passwd"), input_signature=[])

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8, name="input_tensor")])
    def serve(input_tensor: Any) -> dict[str, Any]:
        tf.debugging.assert_greater(tf.shape(input_tensor)[1], 0)
        return _detect(tf.cast(input_tensor[0], tf.float32) * module.layer.scale)

    module.serve = serve
    folder = tmp_path_factory.mktemp("exported")
    tf.saved_model.save(module, str(folder / "1"), signatures={"serving_default": module.serve})
    _make_keras(folder / "1" / "saved_model.pb")
    (folder / "labels_info.json").write_text(json.dumps({name: number for number, name in enumerate(LABELS)}))
    return folder


def _make_keras(path: Path) -> None:
    """Names the layer as Keras 2 does."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel.FromString(path.read_bytes())
    nodes = model.meta_graphs[0].object_graph_def.nodes
    number = next(child.node_id for child in nodes[0].children if child.local_name == "layer")
    nodes[number].user_object.identifier = "_tf_keras_layer"
    nodes[number].registered_name = "Custom>Layer"
    path.write_bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def archive(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "model.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        packed.add(exported, ".")
    return path


def test_a_trusted_one_finds_what_is_there(archive: Path, exported: Path) -> None:
    for place in (archive, exported):
        predictor = load_predictor(resolve_model(str(place)), trust_saved_model=True)
        assert predictor.info.classes == LABELS and predictor.info.threshold_origin == "fallback"
        first, second = predictor.predict([read_picture(encoded(scene()), 10**6)] * 2)
        assert first.scores[:2].tolist() == pytest.approx([0.9, 0.4]) and first.classes[:2].tolist() == [0, 1]
        expected = np.array([RED_BOX, BLUE_BOX])[:, [1, 0, 3, 2]] / [100, 200, 100, 200]
        np.testing.assert_allclose(first.boxes[:2], expected, atol=0.02)
        np.testing.assert_array_equal(first.boxes, second.boxes)


def test_one_that_is_not_trusted_is_not_run_and_none_is_trained_from(
    archive: Path, exported: Path, tmp_path: Path
) -> None:
    from boxwright.registry.parents import resolve_parent

    for place in (archive, exported):
        with pytest.raises(DataError, match=r"SavedModel of another program.*--trust-saved-model"):
            load_predictor(resolve_model(str(place)))
    config = parse_config({"training": "x", "output": "y", "seed_mode": "incremental", "parent": str(archive)})
    with pytest.raises(DataError, match="Nothing can be trained or exported from it, since it is a program"):
        resolve_parent(config, new_run(), LABELS, tmp_path)


def test_what_the_signature_does_not_call_stays_behind(exported: Path, tmp_path: Path) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    copy_checked(exported / "1", tmp_path / "copy", "it")
    graph = SavedModel.FromString((tmp_path / "copy" / "saved_model.pb").read_bytes()).meta_graphs[0]
    operations = {node.op for function in graph.graph_def.library.function for node in function.node_def}
    assert "Where" in operations and "ReadFile" not in operations
    assert "_tf_keras_layer" not in {node.user_object.identifier for node in graph.object_graph_def.nodes}


def test_it_is_measured_by_the_command_and_from_python(archive: Path, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "set")
    command = [sys.executable, "-m", "boxwright", "evaluate", "--model", str(archive), "--dataset", str(dataset)]
    refused = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert refused.returncode == 1 and "--trust-saved-model" in refused.stderr
    report = tmp_path / "report"
    done = subprocess.run(
        [*command, "--json", "--trust-saved-model", "--report", str(report)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["metrics"]["AP50"] == pytest.approx(1.0) and set(told["per_class"]) == set(LABELS)
    assert (report / "report.html").is_file() and told["speed"]["size_bytes"] > 1_000
    detector = boxwright.Detector(archive, trust_saved_model=True)
    assert detector.evaluate(dataset).metrics["AP50"] == pytest.approx(1.0)
    assert detector.detect(scene()).labels == list(LABELS)


def test_labels_of_another_model_are_noticed(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    (folder / "labels_info.json").write_text('["red thing"]')
    detector = boxwright.Detector
    with pytest.raises(DataError, match="class 2 of 1 in its label map"):
        detector(folder, trust_saved_model=True).detect(scene())


def test_it_is_served(archive: Path) -> None:
    with serving("--model", str(archive), "--trust-saved-model") as served, served.client() as client:
        headers = {"Content-Type": "application/x-image", "Accept": "application/json;verbose;n_predictions=2"}
        told = client.post("/invocations", content=encoded(scene()), headers=headers).json()
        assert told["labels"] == list(LABELS) and told["classes"] == [0, 1]
        assert told["normalized_boxes"][0] == pytest.approx([0.1, 0.4, 0.1, 0.4], abs=0.02)
        assert client.get("/model").json()["input_size"] is None
