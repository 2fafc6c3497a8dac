"""One training on two machines, which are processes here: as one machine trains, and on after the loss of either."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from boxwright.config import RunConfig, parse_config
from boxwright.config.run_info import new_run
from boxwright.errors import StorageError, UsageError
from boxwright.pipeline.machines import check_machines, refuse_several_machines
from boxwright.pipeline.runner import run_node, run_pipeline

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 400
EPOCHS = 6
DATA = ("validate_annotations", "download_dataset", "build_examples", "fetch_pretrained")
EPOCH = re.compile(r"^\[Epoch (\d+)\], Speed", re.MULTILINE)


@pytest.fixture(scope="module")
def config_of(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunConfig]:
    values = {
        "training": str(dataset / "training"),
        "output": str(tmp_path_factory.mktemp("output")),
        "model_id": "tiny",
        # Batch statistics are of each machine's part of a batch.
        "hyperparameters": {
            "epochs": EPOCHS, "batch_size": 4, "image_size": 96, "augmentation": "flip", "freeze_batch_norm": "True",
        },
    }  # fmt: skip
    return lambda **changes: parse_config(values | changes)


class Machine:
    """A process that is one of the machines."""

    def __init__(self, rank: int, config: RunConfig, run_id: str, log: Path, **environment: str) -> None:
        self.log = log
        script = str(Path(__file__).with_name("machine_of_a_run.py"))
        variables = os.environ | {"PYTHONPATH": str(ROOT / "components"), "TF_CPP_MIN_LOG_LEVEL": "3"} | environment
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, script, str(rank), config.to_json(), run_id],
                env=variables, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def said(self) -> str:
        return self.log.read_text()

    def end(self) -> int:
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it hangs: {self.said()[-3000:]}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    machines: list[Machine] = []

    def begin(rank: int, config: RunConfig, run_id: str, **environment: str) -> Machine:
        log = tmp_path / f"{len(machines)}-machine-{rank}.log"
        machines.append(Machine(rank, config, run_id, log, **environment))
        return machines[-1]

    yield begin
    for machine in machines:
        machine.kill()


def prepared(config: RunConfig, run_id: str) -> None:
    for node in DATA:
        run_node(config, new_run(run_id), node)


def history_of(config: RunConfig, run_id: str) -> list[dict[str, Any]]:
    """Of a training that is done: the step only says where it is."""
    folder = run_node(config, new_run(run_id), "fine_tune")["uri"]
    return list(json.loads(Path(folder, "history.json").read_text()))


def wait_for_epoch(machine: Machine, epochs: int) -> None:
    limit = time.monotonic() + SECONDS
    while len(EPOCH.findall(machine.said())) < epochs:
        assert time.monotonic() < limit and machine.process.poll() is None, machine.said()[-3000:]
        time.sleep(0.05)


def test_two_machines_train_as_one_and_go_on_after_the_loss_of_either(
    config_of: Callable[..., RunConfig], start: Callable[..., Machine], home: Path
) -> None:
    config, run_id = config_of(training_machines=2), "of-two"
    prepared(config, run_id)
    first, second = (start(rank, config, run_id) for rank in (0, 1))
    wait_for_epoch(first, 1)
    second.kill()
    assert first.end() == StorageError.exit_code, first.said()[-3000:]
    assert "error: generation 1 of 2 machines ends, since one of them was lost" in first.said()

    first, second = (start(rank, config, run_id) for rank in (0, 1))
    wait_for_epoch(first, 2)
    assert "resuming after epoch" in first.said()
    first.kill()
    assert second.end() == StorageError.exit_code, second.said()[-3000:]
    assert "error: generation 2 of 2 machines ends" in second.said()

    first, second = (start(rank, config, run_id) for rank in (0, 1))
    assert [first.end(), second.end()] == [0, 0], first.said()[-2000:] + second.said()[-2000:]
    assert "generation 3 begins" in first.said() and not EPOCH.search(second.said()), "one of them tells the epochs"
    assert not (home / "pipeline" / "machines" / run_id).exists()

    alone = config_of()
    prepared(alone, "of-one")
    run_node(alone, new_run("of-one"), "fine_tune")
    together, one = history_of(config, run_id), history_of(alone, "of-one")
    assert [record["epoch"] for record in together] == list(range(EPOCHS))
    assert [record["loss"] for record in together] == pytest.approx([record["loss"] for record in one], rel=1e-4)
    last = [record[-1]["val_loss"] for record in (together, one)]
    assert last[0] == pytest.approx(last[1], rel=0.02), "the last batch of validation is filled up"


def test_a_machine_that_does_not_come_is_named_and_the_step_may_be_tried_again(
    config_of: Callable[..., RunConfig], start: Callable[..., Machine]
) -> None:
    config, run_id = config_of(training_machines=2), "of-none"
    prepared(config, run_id)
    first = start(0, config, run_id, BOXWRIGHT_MEETING_SECONDS="1")
    assert first.end() == StorageError.exit_code, first.said()[-3000:]
    assert "error: training_machines=2: not all were there within 1 s: machine 1 did not come" in first.said()


@pytest.mark.long
def test_what_ended_a_machine_is_told_by_the_others(
    config_of: Callable[..., RunConfig], start: Callable[..., Machine]
) -> None:
    config, run_id = config_of(training_machines=2), "unlike"
    prepared(config, run_id)
    other = config_of(training_machines=2, hyperparameters={**config.hyperparameters.model_dump(), "batch_size": 8})
    first, second = start(0, config, run_id), start(1, other, run_id)
    for machine in (first, second):
        assert machine.end() == 5, machine.said()[-3000:]
        assert "differ in the hyperparameters" in machine.said()


def test_where_nobody_starts_the_others_they_are_refused(config_of: Callable[..., RunConfig]) -> None:
    with pytest.raises(UsageError, match="training_machines=2: the Airflow DAG of trainings alone starts"):
        run_pipeline(config_of(training_machines=2))
    refuse_several_machines(config_of())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": 2}, "training_machines=4 and seeds=2: several seeds are trained on one machine"),
        ({"batch_size": 3}, "training_machines=4 and batch_size=3: .* set batch_size to 4 at least"),
    ],
)
def test_what_several_machines_cannot_train_is_told_at_the_first_step(
    config_of: Callable[..., RunConfig], changes: dict[str, Any], said: str
) -> None:
    config = config_of(training_machines=4, hyperparameters=changes)
    with pytest.raises(UsageError, match=said):
        run_node(config, new_run("refused"), "validate_annotations")
    check_machines(config_of(hyperparameters=changes))
