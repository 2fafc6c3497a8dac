"""A training job in a scratch folder: it fails with its reason, goes on, ends with a model, and that is served."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from finder import encoded, scene

from boxwright.dataset.sample import generate_sample
from boxwright.errors import DataError
from boxwright.pipeline.local_runs import find_run
from boxwright.registry.open_model import open_model
from boxwright.sagemaker import Layout, train, training
from boxwright.storage import list_files

LOSSES = r"\[Epoch 0\], Val_localization=([0-9\.]+), Val_classification=([0-9\.]+)"
SETTINGS = {
    "model_id": '"speck"',
    "epochs": "1",
    "batch_size": "4",
    "image_size": "64",
    "gate_min_ap50": "0",
    "gate_classes_told_apart": "False",
    "export_formats": "saved_model",
    "sagemaker_region": "eu-west-1",
}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layout]:
    prefix = tmp_path / "ml"
    config, channel = prefix / "input" / "config", prefix / "input" / "data" / "training"
    config.mkdir(parents=True)
    generate_sample(tmp_path / "sample", images=12, seed=1)
    shutil.copytree(tmp_path / "sample" / "training", channel)
    (config / "hyperparameters.json").write_text(json.dumps(SETTINGS))
    (config / "inputdataconfig.json").write_text(json.dumps({"training": {"TrainingInputMode": "File"}}))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # What the job sets ends with the test.
    monkeypatch.setenv("BOXWRIGHT_HOME", os.environ.get("BOXWRIGHT_HOME", str(tmp_path / "home")))
    yield Layout(prefix)


def test_a_job_that_was_interrupted_goes_on_to_its_model(job: Layout, caplog: pytest.LogCaptureFixture) -> None:
    annotations = job.prefix / "input" / "data" / "training" / "annotations.json"
    whole = annotations.read_text()
    annotations.write_text(whole.replace('"images"', '"pictures"', 1))
    with pytest.raises(DataError, match="images"):
        train(job)
    reason = job.failure.read_text()
    told = re.search(r"see (\S+html)", reason)
    assert told and Path(told[1]).is_file() and Path(told[1]).is_relative_to(job.results)
    assert "images" in reason and "\n" not in reason and len(reason) <= 1024
    first = find_run().run.run_id

    annotations.write_text(whole)
    with caplog.at_level("INFO", "boxwright"):
        train(job)
    assert f"going on with run {first}" in caplog.text and find_run(first).ended
    assert re.search(LOSSES, caplog.text) and re.search(r"loss=([0-9\.]+)\.", caplog.text)
    assert not job.failure.exists()
    assert {"model.json", "model.weights.h5", "label_map.json"} <= {path.name for path in job.model.iterdir()}
    with open_model(str(job.model)) as folder:
        assert json.loads((folder / "model.json").read_text())["model_id"] == "speck"
    results = {file.key.rpartition("/")[2] for file in list_files(str(job.results))}
    assert {"model.tar.gz", "metrics.json", "report.html"} <= results

    hyperparameters = job.prefix / "input" / "config" / "hyperparameters.json"
    hyperparameters.write_text(json.dumps(SETTINGS | {"learning_rate": "2"}))
    ended = subprocess.run(
        [sys.executable, "-m", "boxwright", "sagemaker", "train", "--prefix", str(job.prefix)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2 and "learning_rate" in ended.stderr and "Traceback" not in ended.stderr
    assert "learning_rate" in job.failure.read_text()


def test_a_job_that_is_lost_in_its_last_step_still_hands_everything_on(
    job: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(step: str) -> None:
        if step == "quality_gate":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(training, "_say", lost)
        train(job)
    # The new instance has the checkpoints and what the job was given.
    shutil.rmtree(job.prefix / "output")
    assert not job.model.exists()
    train(job)
    results = {path.name for path in job.results.rglob("*")}
    assert {"model.tar.gz", "metrics.json", "report.html", "validation_report.html", "gate.json"} <= results
    assert {"model.json", "model.weights.h5"} <= {path.name for path in job.model.iterdir()}


def test_a_bug_leaves_its_reason_too(job: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise KeyError("nothing here")

    monkeypatch.setattr(training, "run_pipeline", broken)
    with pytest.raises(KeyError):
        train(job)
    assert job.failure.read_text() == "KeyError: 'nothing here'"


def test_other_settings_begin_anew(job: Layout) -> None:
    (job.prefix / "input" / "data" / "training" / "annotations.json").write_text("{}")
    for epochs in ("1", "2"):
        path = job.prefix / "input" / "config" / "hyperparameters.json"
        path.write_text(json.dumps(SETTINGS | {"epochs": epochs}))
        with pytest.raises(DataError):
            train(job)
    assert len(list((job.home / "runs").iterdir())) == 2
    assert find_run().config.hyperparameters.epochs == 2


def test_the_model_folder_is_served_where_hosting_asks(finder: Path, tmp_path: Path) -> None:
    shutil.copytree(finder, tmp_path / "model")
    server = subprocess.Popen(
        [sys.executable, "-m", "boxwright", "sagemaker", "serve", "--prefix", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SAGEMAKER_BIND_TO_PORT": "0"},
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().rpartition(":")[2].strip()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            assert client.get("/ping").status_code == 200
            headers = {"Content-Type": "application/x-image", "Accept": "application/json;verbose"}
            answer = client.post("/invocations", content=encoded(scene()), headers=headers).json()
    finally:
        server.terminate()
    # As the sample notebook reads it.
    assert answer["scores"][0] == pytest.approx(0.9)
    assert answer["labels"][int(answer["classes"][0])] == "red thing"
    assert len(answer["normalized_boxes"][0]) == 4
    assert server.wait(60) == 0
