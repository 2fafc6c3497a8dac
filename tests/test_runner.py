"""The whole pipeline without Airflow, on the tiny model: TFX launcher, ML Metadata, MLflow store and TensorFlow."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from components.config import Settings, parse_config
from components.dataset.sample import generate_sample
from components.errors import DataError, GateError, StorageError, UsageError
from components.run_info import RunInfo, new_run

RUN = RunInfo(run_id="r", as_of=datetime(2026, 3, 2, tzinfo=UTC))


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("home")
    patch.setenv("BOXWRIGHT_HOME", str(folder))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "sample"
    generate_sample(folder, images=24, seed=1)
    return folder


@pytest.fixture(scope="module")
def settings_of(dataset, tmp_path_factory):
    output = tmp_path_factory.mktemp("output")

    def make(**changes):
        values = {
            "training": str(dataset / "training"),
            "test": str(dataset / "test"),
            "output": str(output),
            "model_id": "tiny",
            "hyperparameters": {"epochs": 2, "image_size": 64, "learning_rate": 0.01, "augmentation": "flip"},
            "gate": {"min_ap50": 0},
        }
        return parse_config(values | changes)

    return make


@pytest.fixture(scope="module")
def first(settings_of):
    from components.runner import run_pipeline

    steps: list[str] = []
    result = run_pipeline(settings_of(), "run:first+0", on_step=steps.append)
    return result | {"steps": steps}


@pytest.fixture(scope="module")
def second(settings_of, first):
    from components.runner import run_pipeline

    return run_pipeline(settings_of(seed_mode="incremental"), "second")


def test_a_run_ends_in_a_registered_version(first):
    assert (first["status"], first["model_name"], first["version"], first["parent"]) == (
        "registered",
        "detector",
        1,
        None,
    )
    assert first["steps"][3:5] == ["fetch_pretrained", "fine_tune"]
    assert "resolve_parent" not in first["steps"]
    assert set(first["seconds"]) == set(first["steps"])
    assert len(first["dataset_fingerprint"]) == 64
    assert {"AP", "AP50", "AP75", "val_localization_loss", "val_classification_loss"} <= set(first["metrics"])
    json.dumps(first)


def test_the_archive_holds_what_its_users_need(first, tmp_path):
    import tensorflow as tf

    assert first["model_archive"].endswith("/run-first-0/output/model.tar.gz")
    with tarfile.open(first["model_archive"]) as archive:
        archive.extractall(tmp_path, filter="data")
    names = {path.name for path in tmp_path.iterdir()}
    rest = {"model.json", "model.weights.h5", "label_map.json", "label_map.pbtxt", "metrics.json", "run.json"}
    assert names == {"saved_model"} | rest
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["dataset_fingerprint"] == first["dataset_fingerprint"]
    assert facts["metrics"] == first["metrics"]
    assert facts["config"]["model_id"] == "tiny"
    assert "item {" in (tmp_path / "label_map.pbtxt").read_text()
    served = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    image = tf.io.encode_jpeg(np.zeros((40, 50, 3), np.uint8))
    answer = served(encoded_images=tf.stack([image, image, image]))
    assert answer["detection_boxes"].shape == (3, 100, 4)


def test_pictures_and_reports_lie_beside_the_archive(first):
    folder = Path(first["model_archive"]).parent
    names = {path.name for path in folder.iterdir()}
    assert {"predictions.png", "learning_curves.png", "validation_report.json", "gate.json", "run.json"} <= names


def test_the_second_run_starts_from_the_first(first, second):
    assert (second["parent"], second["version"]) == ("models:/detector/1", 2)
    assert second["metrics"]["first_epoch_val_loss"] < first["metrics"]["first_epoch_val_loss"]


def test_lineage_reads_back_the_chain(second):
    from components.lineage import trace

    newest, oldest = trace("detector", Settings.from_environment())
    assert (newest.reference, oldest.reference) == ("models:/detector/2", "models:/detector/1")
    assert list(newest.facts) == ["dataset", "examples", "seed", "model", "metrics", "version"]
    assert newest.facts["dataset"]["fingerprint"] == second["dataset_fingerprint"]
    assert newest.facts["seed"]["kind"] == "incremental"
    assert oldest.facts["seed"]["kind"] == "pretrained"
    assert newest.facts["metrics"]["AP50"] == pytest.approx(second["metrics"]["AP50"], rel=1e-3)


def test_repeating_any_finished_step_changes_nothing(first, settings_of):
    from components.lineage import run_outputs
    from components.release.registry import Registry
    from components.runner import run_node

    before = run_outputs("run:first+0", Settings.from_environment())
    for node_id in ("build_examples", "register_model"):
        assert run_node(settings_of(), new_run("run:first+0"), node_id) == before[node_id]
    versions = Registry(Settings.from_environment().tracking_uri).versions("detector")
    assert [version.version for version in versions if version.run_id == "run:first+0"] == [1]


def test_another_set_of_classes_is_refused_and_both_are_named(second, settings_of, dataset, tmp_path):
    from components.runner import run_node

    other = tmp_path / "other"
    (other / "images").parent.mkdir()
    (other / "images").symlink_to(dataset / "training" / "images")
    annotations = json.loads((dataset / "training" / "annotations.json").read_text())
    annotations["categories"][0]["name"] = "gasket"
    (other / "annotations.json").write_text(json.dumps(annotations))
    config = settings_of(training=str(other), test=None, seed_mode="incremental")
    for node_id in ("validate_annotations", "download_dataset", "build_examples"):
        run_node(config, new_run("other-classes"), node_id)
    with pytest.raises(DataError, match=r"gasket") as caught:
        run_node(config, new_run("other-classes"), "resolve_parent")
    assert all(item["name"] in str(caught.value) for item in annotations["categories"][1:])
    assert "missing" in str(caught.value)


def test_incremental_without_a_parent_is_refused(settings_of):
    from components.release.parents import choose_seed, resolve_parent

    config = settings_of(seed_mode="incremental", model_name="never-trained")
    with pytest.raises(UsageError, match="never-trained has no accepted version"):
        resolve_parent(config, RUN, ("a",), Path())
    assert choose_seed(settings_of(seed_mode="auto", model_name="never-trained"), RUN) == "fetch_pretrained"


def test_a_parent_of_the_future_is_not_taken(second, settings_of):
    from components.release.parents import choose_seed

    assert choose_seed(settings_of(seed_mode="auto"), RUN) == "fetch_pretrained"
    later = RUN.model_copy(update={"as_of": datetime(2999, 1, 1, tzinfo=UTC)})
    assert choose_seed(settings_of(seed_mode="auto"), later) == "resolve_parent"


def test_a_step_without_its_inputs_says_so(settings_of):
    from components.runner import run_node

    with pytest.raises(StorageError, match="evaluate of run nothing-ran"):
        run_node(settings_of(), new_run("nothing-ran"), "evaluate")


def test_a_model_below_the_gate_is_not_registered(first, settings_of):
    from components.release.registry import Registry
    from components.runner import run_pipeline

    config = settings_of(gate={"min_ap50": 1.0}, model_name="gated")
    with pytest.raises(GateError, match=r"AP50|ap50"):
        run_pipeline(config, "gated")
    assert not Registry(Settings.from_environment().tracking_uri).versions("gated")
    assert list(Path(config.output).glob("gated/output/gate.json"))


_FINE_TUNE = """
import sys
from components.config import RunConfig
from components.run_info import new_run
from components.runner import run_node
run_node(RunConfig.model_validate_json(sys.argv[1]), new_run("killed"), "fine_tune")
"""


def test_a_killed_training_resumes_and_ends_in_one_version(first, settings_of, home):
    from components.runner import run_node

    epochs = 6
    config = settings_of(hyperparameters={"epochs": epochs, "image_size": 64}, model_name="killed")
    for node_id in ("validate_annotations", "download_dataset", "build_examples", "fetch_pretrained"):
        run_node(config, new_run("killed"), node_id)
    process = subprocess.Popen([sys.executable, "-c", _FINE_TUNE, config.to_json()])
    state = home / "pipeline" / "checkpoints" / "killed" / "state.json"
    deadline = time.monotonic() + 240
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = json.loads(state.read_text())["epochs"]
    assert 1 <= done < epochs

    for node_id in ("fine_tune", "evaluate", "export_label_map", "package_model", "quality_gate", "register_model"):
        outputs = run_node(config, new_run("killed"), node_id)
    assert outputs["version"] == 1
    history = json.loads(Path(run_node(config, new_run("killed"), "fine_tune")["uri"], "history.json").read_text())
    assert [record["epoch"] for record in history] == list(range(epochs))
    assert not state.exists()
