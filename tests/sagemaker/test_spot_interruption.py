"""A spot instance is lost in mid-training: on a new one, with its checkpoints alone, the job ends in the same model."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from boxwright.dataset.sample import generate_sample

SECONDS = 600
EPOCHS = 6
EPOCH = r"\[Epoch (\d+)\], Val_localization="
SETTINGS = {
    "model_id": "tiny",
    "epochs": str(EPOCHS),
    "batch_size": "4",
    "image_size": "96",
    "gate_min_ap50": "0",
    "gate_classes_told_apart": "False",
    "export_formats": "saved_model",
}


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """What SageMaker puts into a new instance; a job's paths are the same on each."""
    generate_sample(tmp_path / "sample", images=24, seed=1)
    config = tmp_path / "ml" / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(SETTINGS))
    (config / "inputdataconfig.json").write_text(json.dumps({"training": {"TrainingInputMode": "File"}}))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))
    shutil.copytree(tmp_path / "sample" / "training", tmp_path / "ml" / "input" / "data" / "training")
    shutil.copytree(tmp_path / "ml", tmp_path / "new instance")
    return tmp_path / "ml"


def start(prefix: Path, log: Path) -> subprocess.Popen[bytes]:
    """The job in a process that finds nothing of the instance before: neither a home nor a cache."""
    temporary = log.with_suffix("")
    temporary.mkdir()
    left_out = ("BOXWRIGHT_HOME", "BOXWRIGHT_CACHE", "MLFLOW_TRACKING_URI")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"TMPDIR": str(temporary), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "boxwright", "sagemaker", "train", "--prefix", str(prefix)]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)


def epochs(log: Path) -> list[int]:
    return [int(number) for number in re.findall(EPOCH, log.read_text())]


def trained(prefix: Path, log: Path) -> dict[str, NDArray[np.float32]]:
    """The weights of the model of a job that runs to its end."""
    process = start(prefix, log)
    try:
        assert process.wait(SECONDS) == 0, log.read_text()[-3000:]
    finally:
        process.kill()
        process.wait()
    found = {}
    with h5py.File(prefix / "model" / "model.weights.h5") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def lose(prefix: Path, log: Path) -> None:
    """The instance goes without a word in the third epoch."""
    process = start(prefix, log)
    limit = time.monotonic() + SECONDS
    try:
        while len(epochs(log)) < 2:
            assert time.monotonic() < limit and process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()


def as_from_s3(kept: Path, restored: Path) -> None:
    """The checkpoints as SageMaker brings them back from S3: files alone, without empty folders, times and rights."""
    for file in kept.rglob("*"):
        if file.is_file():
            (restored / file.relative_to(kept)).parent.mkdir(parents=True, exist_ok=True)
            (restored / file.relative_to(kept)).write_bytes(file.read_bytes())


@pytest.mark.long
def test_a_job_whose_instance_is_lost_ends_with_the_model_that_it_would_have_had(
    instance: Path, tmp_path: Path
) -> None:
    lose(instance, tmp_path / "lost.log")
    done = epochs(tmp_path / "lost.log")
    instance.rename(tmp_path / "lost instance")
    shutil.copytree(tmp_path / "new instance", instance)
    as_from_s3(tmp_path / "lost instance" / "checkpoints", instance / "checkpoints")
    model = trained(instance, tmp_path / "second.log")
    assert "going on with run" in (tmp_path / "second.log").read_text()
    (first, *_, last) = epochs(tmp_path / "second.log")
    # The state of an epoch is kept after its line.
    assert last == EPOCHS - 1 and done[-1] <= first <= done[-1] + 1 and first > 0
    results = {path.name for path in (instance / "output" / "data").rglob("*")}
    assert {"model.tar.gz", "metrics.json", "report.html", "validation_report.html"} <= results

    instance.rename(tmp_path / "second instance")
    shutil.copytree(tmp_path / "new instance", instance)
    whole = trained(instance, tmp_path / "whole.log")
    assert whole.keys() == model.keys() and len(model) > 10
    for name, weights in model.items():
        # Threads add in another order each time.
        np.testing.assert_allclose(weights, whole[name], atol=1e-3, err_msg=name)
    assert epochs(tmp_path / "whole.log") == list(range(EPOCHS))
