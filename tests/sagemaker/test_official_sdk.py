"""SageMaker's own SDK: what it writes into a container is a job, and its metric definitions find their numbers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bare_env import environment

from boxwright.dataset.sample import generate_sample
from boxwright.sagemaker import Layout

# The last one of the SDK that has `Estimator`; its `sagemaker.modules` has what the next one writes.
SDK = "sagemaker==2.257.7"
PROGRAM = Path(__file__).with_name("official_sdk.py")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the SDK sends; with `folder`, which has the files that it writes for the containers of two instances."""
    folder = tmp_path_factory.mktemp("sdk")
    python = environment(folder, [SDK], at_lock=False)
    (folder / "containers").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    command = [python, PROGRAM, folder / "containers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env=kept, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    yield json.loads(done.stdout.splitlines()[-1]) | {"folder": folder / "containers"}


@pytest.fixture
def job(told: dict[str, Any], tmp_path: Path) -> Path:
    """The folders of the first instance, with data."""
    prefix = tmp_path / "ml"
    shutil.copytree(told["folder"] / "algo-1", prefix)
    generate_sample(tmp_path / "sample", images=12, seed=1)
    shutil.copytree(tmp_path / "sample" / "training", prefix / "input" / "data" / "training")
    return prefix


def test_what_local_mode_writes_is_read(told: dict[str, Any], job: Path) -> None:
    layout = Layout(job)
    config = layout.run_config()
    chosen = config.hyperparameters
    assert (chosen.epochs, chosen.batch_size, chosen.learning_rate, chosen.optimizer) == (1, 4, 1e-5, "sgd")
    assert (chosen.early_stopping, chosen.train_only_on_top_layer) == (True, False)
    assert (config.model_id, config.gate.classes_told_apart) == ("speck", False)
    assert config.gate.min_ap50_per_class == {"bolt": 0.0, "nut": 0.0}
    hosts = layout.hosts()
    assert hosts.names == ("algo-1", "algo-2") and hosts.is_first
    assert Layout(told["folder"] / "algo-2").hosts().current == "algo-2"


@pytest.mark.parametrize("kind", ["static", "trainer"])
def test_what_the_tuner_and_the_newer_trainer_send_is_read(told: dict[str, Any], job: Path, kind: str) -> None:
    sent = dict(told[kind])
    for parameter in told["ranges"]["CategoricalParameterRanges"]:
        sent[parameter["Name"]] = parameter["Values"][-1]
    for parameter in told["ranges"]["ContinuousParameterRanges"]:
        sent[parameter["Name"]] = parameter["MaxValue"]
    sent["_tuning_objective_metric"] = told["metrics"][0]["Name"]
    (job / "input" / "config" / "hyperparameters.json").write_text(json.dumps(sent))
    chosen = Layout(job).run_config().hyperparameters
    assert (chosen.optimizer, chosen.learning_rate, chosen.early_stopping) == ("sgd", 0.5, True)


def test_the_metric_definitions_find_their_numbers_in_the_log(told: dict[str, Any], job: Path) -> None:
    resources = job / "input" / "config" / "resourceconfig.json"
    resources.write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}))
    hyperparameters = job / "input" / "config" / "hyperparameters.json"
    sent = json.loads(hyperparameters.read_text())
    del sent["gate_min_ap50_per_class"]  # few images have few classes
    hyperparameters.write_text(json.dumps(sent))
    command = [sys.executable, "-m", "boxwright", "sagemaker", "train", "--prefix", str(job)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:]
    for metric in told["metrics"]:
        found = re.findall(metric["Regex"], done.stdout)
        assert found and all(float(number) >= 0 for number in found), metric
        if metric["Name"].startswith("validation:"):
            assert len(found) == 1, f"{metric['Name']}: one an epoch, got {found}"
