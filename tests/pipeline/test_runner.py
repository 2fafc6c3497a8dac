"""The whole pipeline without Airflow, on a very small model: TFX launcher, ML Metadata, MLflow store and TensorFlow."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from boxwright.config.run_info import RunInfo, new_run
from boxwright.config.settings import Settings
from boxwright.errors import DataError, GateError, StorageError, UsageError

RUN = RunInfo(run_id="r", as_of=datetime(2026, 3, 2, tzinfo=UTC))


@pytest.fixture(scope="module")
def first(settings_of):
    from boxwright.pipeline.runner import run_pipeline

    steps: list[str] = []
    config = settings_of(export={"formats": ["saved_model", "litert"]})
    result = run_pipeline(config, new_run("run:first+0"), on_step=steps.append)
    return result | {"steps": steps}


@pytest.fixture(scope="module")
def second(settings_of, first):
    from boxwright.pipeline.runner import run_pipeline

    return run_pipeline(settings_of(seed_mode="incremental"), new_run("second"))


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

    assert re.search(r"/run-first-0-[0-9a-f]{16}/output/model\.tar\.gz$", first["model_archive"])
    with tarfile.open(first["model_archive"]) as archive:
        archive.extractall(tmp_path, filter="data")
    names = {path.name for path in tmp_path.iterdir()}
    rest = {
        "model.json",
        "model.weights.h5",
        "label_map.json",
        "label_map.pbtxt",
        "metrics.json",
        "run.json",
        "sample.json",
    }
    assert names == {"saved_model"} | rest
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["dataset_fingerprint"] == first["dataset_fingerprint"]
    assert facts["metrics"] == first["metrics"]
    assert facts["config"]["model_id"] == "speck"
    assert "item {" in (tmp_path / "label_map.pbtxt").read_text()
    served = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    image = tf.io.encode_jpeg(np.zeros((40, 50, 3), np.uint8))
    answer = served(encoded_images=tf.stack([image, image, image]))
    assert answer["detection_boxes"].shape == (3, 100, 4)


def test_pictures_and_reports_lie_beside_the_archive(first):
    folder = Path(first["model_archive"]).parent
    names = {path.name for path in folder.iterdir()}
    assert {"predictions.png", "learning_curves.png", "validation_report.json", "gate.json", "run.json"} <= names
    assert {"report.html", "metrics.json", "analysis.json", "detections.json", "pr_curves.png"} <= names


def test_the_formats_lie_beside_the_archive_measured_as_the_model(first):
    from boxwright.evaluation import FormatsSummary
    from boxwright.registry.opening import open_registry

    folder = Path(first["model_archive"]).parent
    found = FormatsSummary.read(folder)
    (litert,) = found.formats
    assert (litert.name, litert.status, litert.folder) == ("litert:float32", "kept", "formats/litert-float32")
    assert found.model.AP == first["metrics"]["AP"]
    assert litert.measured.AP == pytest.approx(found.model.AP, abs=1e-3)
    assert {"README.md", "metadata.json", "label_map.json", "label_map.pbtxt", "model.tflite"} == {
        path.name for path in (folder / litert.folder).iterdir()
    }
    assert "litert:float32" in (folder / "formats.html").read_text()
    assert first["formats"] == ["litert:float32"]
    checks = {check["name"]: check["verdict"] for check in json.loads((folder / "gate.json").read_text())["checks"]}
    assert checks["AP lost as litert:float32"] == "passed"
    (released,) = open_registry().resolve("models:/detector/1").formats
    assert released.name == "litert:float32" and released.ms == pytest.approx(litert.measured.latency_ms, abs=0.01)


def test_the_second_run_starts_from_the_first(first, second):
    assert (second["parent"], second["version"]) == ("models:/detector/1", 2)


def test_the_second_run_begins_better_than_the_first(first, second):
    assert second["metrics"]["first_epoch_val_loss"] < first["metrics"]["first_epoch_val_loss"]


def test_the_second_run_is_measured_beside_the_first(first, second):
    folder = Path(second["model_archive"]).parent
    measured = json.loads((folder / "metrics.json").read_text())
    assert measured["champion"]["reference"] == "models:/detector/1"
    for name in ("AP", "AP50", "AR100"):
        assert measured["champion"]["metrics"][name] == pytest.approx(first["metrics"][name], abs=1e-6)
        assert measured["comparison"]["metrics"][name]["candidate"] == second["metrics"][name]
    assert "threshold" in measured and measured["speed"]["latency_ms"] > 0
    assert "models:/detector/1" in (folder / "report.html").read_text()


def test_lineage_reads_back_the_chain(second):
    from boxwright.pipeline.lineage import trace

    newest, oldest = trace("detector", Settings.from_environment())
    assert (newest.reference, oldest.reference) == ("models:/detector/2", "models:/detector/1")
    assert list(newest.facts) == ["dataset", "examples", "seed", "model", "metrics", "formats", "version"]
    assert newest.facts["dataset"]["fingerprint"] == second["dataset_fingerprint"]
    assert newest.facts["seed"]["kind"] == "incremental"
    assert oldest.facts["seed"]["kind"] == "pretrained"
    assert newest.facts["metrics"]["AP50"] == pytest.approx(second["metrics"]["AP50"], rel=1e-3)


def test_repeating_any_finished_step_changes_nothing(first, settings_of):
    from boxwright.pipeline.lineage import run_outputs
    from boxwright.pipeline.runner import run_node
    from boxwright.registry.opening import open_registry

    before = run_outputs("run:first+0", Settings.from_environment())
    for node_id in ("build_examples", "register_model"):
        assert run_node(settings_of(), new_run("run:first+0"), node_id) == before[node_id]
    versions = open_registry().versions("detector")
    assert [version.version for version in versions if version.run_id == "run:first+0"] == [1]


def test_another_set_of_classes_is_refused_and_both_are_named(second, settings_of, dataset, tmp_path):
    from boxwright.pipeline.runner import run_node

    other = tmp_path / "other"
    (other / "images").parent.mkdir()
    (other / "images").symlink_to(dataset / "training" / "images")
    annotations = json.loads((dataset / "training" / "annotations.json").read_text())
    annotations["categories"][0]["name"] = "gasket"
    (other / "annotations.json").write_text(json.dumps(annotations))
    config = settings_of(training=str(other), validation=None, test=None, seed_mode="incremental")
    for node_id in ("validate_annotations", "download_dataset", "build_examples"):
        run_node(config, new_run("other-classes"), node_id)
    with pytest.raises(DataError, match=r"gasket") as caught:
        run_node(config, new_run("other-classes"), "resolve_parent")
    assert all(item["name"] in str(caught.value) for item in annotations["categories"][1:])
    assert "missing" in str(caught.value)


def test_incremental_without_a_parent_is_refused(settings_of):
    from boxwright.pipeline.runner import choose_seed
    from boxwright.registry.parents import resolve_parent

    config = settings_of(seed_mode="incremental", model_name="never-trained")
    with pytest.raises(UsageError, match="never-trained has no accepted version"):
        resolve_parent(config, RUN, ("a",), Path())
    with pytest.raises(UsageError, match="never-trained has no accepted version as of 2026-03-02"):
        choose_seed(config, RUN)
    assert choose_seed(settings_of(seed_mode="auto", model_name="never-trained"), RUN) == "fetch_pretrained"


def test_a_parent_of_the_future_is_not_taken(second, settings_of):
    from boxwright.pipeline.runner import choose_seed

    assert choose_seed(settings_of(seed_mode="auto"), RUN) == "fetch_pretrained"
    later = RUN.model_copy(update={"as_of": datetime(2999, 1, 1, tzinfo=UTC)})
    assert choose_seed(settings_of(seed_mode="auto"), later) == "resolve_parent"


def test_steps_that_share_nothing_but_a_bucket_make_the_same_model(
    first, s3, dataset, settings_of, monkeypatch, tmp_path
):
    """Also those that see no image of the dataset, since others have checked them, and Beam's workers fetch them."""
    from boxwright.pipeline.parts import check_images
    from boxwright.pipeline.runner import run_pipeline

    bucket = s3.make_bucket("shared-root")
    s3.put_tree(dataset, f"{bucket}/data")
    monkeypatch.setenv("BOXWRIGHT_PIPELINE_ROOT", f"{bucket}/root")
    monkeypatch.setenv("BOXWRIGHT_BEAM_PIPELINE_ARGS", "--runner=DirectRunner")
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path))
    settings = Settings.from_environment()

    run = new_run("shared-root")
    checked: list[int] = []

    def on_a_new_machine(node_id):
        pictures = [path for path in settings.pipeline_root.rglob("*/images/*") if "download_dataset" in path.parts]
        assert not pictures, "the step before had no need of them"
        shutil.rmtree(settings.pipeline_root, ignore_errors=True)
        monkeypatch.setenv("BOXWRIGHT_CACHE", str(tmp_path / f"cache of {node_id}"))
        if node_id == "download_dataset":
            checked.extend(check_images(config, run, part, 2) for part in range(2))

    splits = {split: f"{bucket}/data/{split}" for split in ("training", "validation", "test")}
    config = settings_of(**splits, output=f"{bucket}/output")
    result = run_pipeline(config, run, on_step=on_a_new_machine)
    assert result["status"] == "registered"
    assert len(checked) == 2 and abs(checked[0] - checked[1]) <= 1
    assert {name: result[name] for name in ("metrics", "dataset_fingerprint")} == {
        name: first[name] for name in ("metrics", "dataset_fingerprint")
    }


def test_a_run_says_where_it_started_and_why(first, second):
    reasons = {}
    for result in (first, second):
        seed = json.loads(Path(result["model_archive"]).with_name("run.json").read_text())["seed"]
        reasons[seed["kind"]] = (seed["origin"], seed["reason"])
    assert reasons["pretrained"] == (
        "random",
        "seed_mode=auto, and detector had no accepted version as of the run's date",
    )
    origin, reason = reasons["incremental"]
    assert origin == "models:/detector/1" and reason.startswith("newest accepted version as of 20")


def test_what_a_run_chose_it_keeps(second, settings_of):
    from boxwright.pipeline.runner import choose_seed

    # By now there is a version to start from, and the first run has started without one.
    later = RunInfo(run_id="run:first+0", as_of=datetime(2999, 1, 1, tzinfo=UTC))
    assert choose_seed(settings_of(), later) == "fetch_pretrained"


def test_a_step_without_its_inputs_says_so(settings_of):
    from boxwright.pipeline.runner import run_node

    with pytest.raises(StorageError, match="evaluate of run nothing-ran"):
        run_node(settings_of(), new_run("nothing-ran"), "evaluate")


def test_a_model_below_the_gate_is_not_registered_or_only_as_rejected(first, settings_of):
    from mlflow import MlflowClient

    from boxwright.pipeline.runner import run_node, run_pipeline
    from boxwright.registry.opening import open_registry

    config = settings_of(gate={"min_ap50": 1.0}, model_name="gated")
    with pytest.raises(GateError, match=r"AP50|ap50"):
        run_pipeline(config, new_run("gated"))
    registry = open_registry()
    assert not registry.versions("gated")
    client = MlflowClient(tracking_uri=Settings.from_environment().tracking_uri)
    (tracked,) = client.search_runs([client.get_experiment_by_name("gated").experiment_id])
    assert tracked.info.status == "FAILED" and "AP50" in tracked.data.metrics
    for name in ("gate.json", "report.html", "model.tar.gz"):
        assert list(Path(config.output).glob(f"gated/output/{name}")), f"{name} is kept"

    # The same run again, only that what fails is to be registered as rejected: the gate alone has work to do.
    rejecting = config.model_copy(update={"gate": config.gate.model_copy(update={"on_failure": "reject"})})
    run = RunInfo(run_id="gated", as_of=datetime(2026, 3, 2, tzinfo=UTC))
    for _ in range(2):
        with pytest.raises(GateError, match=r"^models:/gated/1 is rejected: AP50 .*\ncheck +value +bound +verdict"):
            run_node(rejecting, run, "quality_gate")
    (version,) = registry.versions("gated")
    assert not version.accepted and not registry.aliases("gated")
    assert registry.newest_accepted("gated", as_of=datetime(2100, 1, 1, tzinfo=UTC)) is None


@pytest.fixture(scope="module")
def again(first, second, settings_of):
    """The first run once more, in all that determines its model."""
    from boxwright.pipeline.runner import run_pipeline

    return run_pipeline(settings_of(seed_mode="pretrained"), new_run("again"))


def test_a_run_that_would_make_the_same_model_points_at_it(first, again):
    from boxwright.registry.opening import open_registry

    assert (again["status"], again["version"], again["model_archive"]) == ("reused", 1, first["model_archive"])
    assert again["metrics"] == first["metrics"]
    assert "fine_tune" not in again["seconds"] and "reuse_version" in again["seconds"]
    versions = open_registry().versions("detector")
    assert "again" not in [version.run_id for version in versions]
    (reused,) = Path(first["model_archive"]).parents[2].glob("again/output/reused.json")
    assert json.loads(reused.read_text())["version"] == "models:/detector/1"


def gate_of(again, run_id):
    return json.loads((Path(again["model_archive"]).parents[2] / run_id / "output" / "gate.json").read_text())


def test_a_reused_model_is_judged_by_the_gate_of_the_run(again, settings_of):
    from boxwright.pipeline.runner import run_pipeline
    from boxwright.registry.opening import open_registry

    checks = {check["name"]: check["bound"] for check in gate_of(again, "again")["checks"]}
    assert checks["AP50"] == settings_of().gate.min_ap50
    before = open_registry().versions("detector")
    steps: list[str] = []
    stricter = settings_of(seed_mode="pretrained", gate={"min_ap50": 0.999, "max_latency_ms": 60_000})
    with pytest.raises(GateError, match=r"^models:/detector/1, which has this run's recipe.*: AP50 is .*0.999 is req"):
        run_pipeline(stricter, new_run("stricter"), on_step=steps.append)
    assert steps[-1] == "reuse_version" and "fine_tune" not in steps
    told = gate_of(again, "stricter")
    assert not told["passed"]
    assert {check["name"]: check["passed"] for check in told["checks"]}["AP50"] is False
    assert next(check["note"] for check in told["checks"] if check["name"] == "latency in ms") == (
        "as run run:first+0 measured it"
    )
    assert open_registry().versions("detector") == before


@pytest.mark.parametrize("margin", [-1.0, 1.0])
def test_a_reused_model_is_held_against_the_champion_of_today(margin, again, second, settings_of):
    """The first run had none to beat; by now there is the second's."""
    from boxwright.pipeline.runner import run_pipeline

    gate = {"min_ap50": 0, "classes_told_apart": False, "must_beat_champion": margin}
    config = settings_of(seed_mode="pretrained", gate=gate)
    run_id = f"margin{margin}"
    if margin < 0:
        assert run_pipeline(config, new_run(run_id))["status"] == "reused"
    else:
        with pytest.raises(GateError, match=r"AP above champion"):
            run_pipeline(config, new_run(run_id))
    check = next(one for one in gate_of(again, run_id)["checks"] if one["name"] == "AP above champion")
    assert check["value"] == pytest.approx(again["metrics"]["AP"] - second["metrics"]["AP"], abs=1e-6)


@pytest.mark.parametrize(
    ("change", "chosen"),
    [
        ({}, "reuse_version"),
        ({"output": "/elsewhere"}, "reuse_version"),
        ({"force": True}, "fetch_pretrained"),
        ({"hyperparameters": {"epochs": 3, "image_size": 64}}, "fetch_pretrained"),
        ({"gate": {"min_ap50": 0.001}}, "reuse_version"),
        ({"gate": {"must_beat_champion": 0.5}, "evaluation": {"gallery_images": 3}}, "reuse_version"),
        ({"model_name": "another"}, "fetch_pretrained"),
        ({"parent": "models:/detector/1", "seed_mode": "incremental"}, "reuse_version"),
        ({"parent": "models:/detector/2", "seed_mode": "incremental"}, "resolve_parent"),
    ],
    ids=str,
)
def test_only_the_same_recipe_is_reused(change, chosen, again, settings_of, monkeypatch):
    from boxwright.pipeline import runner

    built = {"build_examples": {"fingerprint": again["dataset_fingerprint"]}}
    monkeypatch.setattr(runner, "run_outputs", lambda run_id, settings: built)
    now = RunInfo(run_id="new", as_of=datetime(2999, 1, 1, tzinfo=UTC))
    assert runner.choose_seed(settings_of(**({"seed_mode": "pretrained"} | change)), now) == chosen
    other = {"build_examples": {"fingerprint": "0" * 64}}
    monkeypatch.setattr(runner, "run_outputs", lambda run_id, settings: other)
    assert runner.choose_seed(settings_of(**({"seed_mode": "pretrained"} | change)), now) != "reuse_version"


def test_other_training_code_trains_again(again, settings_of, monkeypatch):
    from boxwright.packaging import recipe
    from boxwright.pipeline import runner

    built = {"build_examples": {"fingerprint": again["dataset_fingerprint"]}}
    monkeypatch.setattr(runner, "run_outputs", lambda run_id, settings: built)
    now = RunInfo(run_id="new", as_of=datetime(2999, 1, 1, tzinfo=UTC))
    assert runner.choose_seed(settings_of(seed_mode="pretrained"), now) == "reuse_version"
    monkeypatch.setattr(recipe, "code_digest", lambda: "of another commit")
    assert runner.choose_seed(settings_of(seed_mode="pretrained"), now) == "fetch_pretrained"


def test_a_backfill_does_not_reuse_a_version_of_later(again, settings_of, monkeypatch):
    from boxwright.pipeline import runner

    built = {"build_examples": {"fingerprint": again["dataset_fingerprint"]}}
    monkeypatch.setattr(runner, "run_outputs", lambda run_id, settings: built)
    assert runner.choose_seed(settings_of(seed_mode="pretrained"), RUN) == "fetch_pretrained"
