"""Training on several machines: real processes that find each other by `TF_CONFIG`, each on the tiny model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prepared import prepare
from seaweed import free_ports

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 400


@pytest.fixture
def start(tmp_path):
    """Starts one process of a training and returns it; its files are in the folder of that name."""
    # Batch statistics are of each device's part of a batch.
    chosen = {"epochs": 2, "batch_size": 4, "image_size": 96, "augmentation": "flip", "freeze_batch_norm": "True"}
    config = prepare(tmp_path, 24, model_id="tiny", **chosen)
    processes = []

    def run(name, **environment):
        folders = [str(tmp_path / part) for part in ("examples", "seed", name)]
        command = [sys.executable, str(Path(__file__).with_name("machine.py")), config.to_json(), *folders]
        variables = os.environ | {"PYTHONPATH": str(ROOT / "components"), "TF_CPP_MIN_LOG_LEVEL": "3"} | environment
        process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()


def losses_of(process):
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err[-2000:]
    return json.loads(out.splitlines()[-1])


def test_two_machines_train_as_one_does_and_the_first_one_writes(start, tmp_path):
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    machines = []
    for index in range(2):
        cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        machines.append(start(f"machine-{index}", TF_CONFIG=json.dumps(cluster)))
    first, second = map(losses_of, machines)
    alone = losses_of(start("alone"))
    assert first == second
    assert first[:-1] == pytest.approx(alone[:-1], rel=1e-4)
    assert first[-1] == pytest.approx(alone[-1], rel=0.02), "the last batch of validation is filled up"
    assert (tmp_path / "machine-0" / "model.weights.h5").exists()
    assert list((tmp_path / "machine-1").iterdir()) == []
