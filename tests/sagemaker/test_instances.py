"""Two instances of a job, as two processes: they train together, go on together, and refuse to begin unlike."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from seaweed import free_ports

from boxwright.dataset.sample import generate_sample

SECONDS = 400
LINE = r"\[Epoch (\d+)\], Val_localization="
SETTINGS = {
    "model_id": "tiny",
    "epochs": "4",
    "batch_size": "4",
    "image_size": "96",
    "freeze_batch_norm": "True",
    "final_weights": "best",
    "gate_min_ap50": "0",
    "gate_classes_told_apart": "False",
    "export_formats": "saved_model",
}
Start = Callable[[int], subprocess.Popen[bytes]]


@pytest.fixture
def prefixes(tmp_path: Path) -> list[Path]:
    """The folders of both."""
    generate_sample(tmp_path / "sample", images=24, seed=1)
    # SageMaker's names have no port, and lead to machines of their own.
    hosts = [f"127.0.0.1:{port}" for port in sorted(free_ports(2))]
    for number, host in enumerate(hosts):
        config = tmp_path / str(number) / "input" / "config"
        config.mkdir(parents=True)
        (config / "hyperparameters.json").write_text(json.dumps(SETTINGS))
        (config / "inputdataconfig.json").write_text(json.dumps({"training": {"TrainingInputMode": "File"}}))
        (config / "resourceconfig.json").write_text(json.dumps({"current_host": host, "hosts": hosts}))
        shutil.copytree(tmp_path / "sample" / "training", config.parent / "data" / "training")
    return [tmp_path / "0", tmp_path / "1"]


@pytest.fixture
def start(prefixes: list[Path]) -> Iterator[Start]:
    """Starts one of them; its log is `log` in its folder."""
    processes: list[subprocess.Popen[bytes]] = []
    logs: list[IO[bytes]] = []

    def begin(number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "boxwright", "sagemaker", "train", "--prefix", str(prefixes[number])]
        logs.append((prefixes[number] / "log").open("wb"))
        quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        quiet.pop("MLFLOW_TRACKING_URI", None)
        processes.append(subprocess.Popen(command, stdout=logs[-1], stderr=subprocess.STDOUT, env=quiet))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()
    for log in logs:
        log.close()


def ended(prefix: Path, process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail((prefix / "log").read_text()[-3000:])


def test_two_instances_train_are_killed_and_go_on_to_one_model(prefixes: list[Path], start: Start) -> None:
    first, second = prefixes
    running = [start(0), start(1)]
    limit = time.monotonic() + SECONDS
    # The state of an epoch is kept after its line: at the second line there is one.
    while len(re.findall(LINE, (first / "log").read_text())) < 2:
        assert time.monotonic() < limit and running[0].poll() is None, (first / "log").read_text()[-3000:]
        time.sleep(0.1)
    for process in running:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (second / "checkpoints").exists(), "only the first one writes where both are kept"
    done = len(re.findall(LINE, (first / "log").read_text()))
    # As SageMaker restores them, on machines on which they have the same path.
    shutil.copytree(first / "checkpoints", second / "checkpoints")
    (record,) = (second / "checkpoints").rglob("runs/*/run.json")
    record.write_text(record.read_text().replace(str(first), str(second)))

    running = [start(0), start(1)]
    codes = [ended(prefix, process) for prefix, process in zip(prefixes, running, strict=True)]
    logs = [(prefix / "log").read_text() for prefix in prefixes]
    assert codes == [0, 0], logs[0][-2000:] + logs[1][-2000:]
    assert "going on with run" in logs[0] and "going on with run" in logs[1]
    told = [int(epoch) for epoch in re.findall(LINE, logs[0])]
    assert told == list(range(told[0], 4)) and 1 <= done - 1 <= told[0] <= done + 1
    assert not re.search(LINE, logs[1]), "one of them tells the metrics"
    assert {"model.json", "model.weights.h5", "label_map.json"} <= {path.name for path in (first / "model").iterdir()}
    assert not (second / "model").exists() and not (second / "output" / "data").exists()
    history = json.loads(next((first / "output" / "data").rglob("metrics.json")).read_text())
    assert history["metrics"]["val_loss"] > 0


def test_instances_that_have_not_the_same_say_what_differs(prefixes: list[Path], start: Start) -> None:
    annotations = prefixes[1] / "input" / "data" / "training" / "annotations.json"
    labels = json.loads(annotations.read_text())
    labels["annotations"].pop()
    annotations.write_text(json.dumps(labels))
    running = [start(0), start(1)]
    for prefix, process in zip(prefixes, running, strict=True):
        assert ended(prefix, process) == 5, (prefix / "log").read_text()[-3000:]
        assert "differ in the examples" in (prefix / "output" / "failure").read_text()
