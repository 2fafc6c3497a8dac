"""A run whose training is killed again and again: it resumes, and is registered once."""

from __future__ import annotations

import json
import logging
import random
import re
import time
from pathlib import Path

import forked
import pytest

from boxwright.config.run_info import new_run
from boxwright.pipeline.nodes import Phase, nodes_of


def train_killable(config_json, log_path):
    """Runs the step in a process of its own, which the test kills."""
    logging.basicConfig(filename=log_path, level=logging.INFO, format="%(message)s")
    from boxwright.config import RunConfig
    from boxwright.pipeline.runner import run_node

    logging.info("begins")
    run_node(RunConfig.model_validate_json(config_json), new_run("killed"), "fine_tune")


@pytest.mark.long
def test_a_training_killed_ten_times_resumes_and_ends_in_one_version(settings_of, home, tmp_path):
    from boxwright.pipeline.runner import run_node
    from boxwright.registry.opening import open_registry

    epochs, kills = 80, 10
    config = settings_of(hyperparameters={"epochs": epochs, "image_size": 64}, model_name="killed")
    for node_id in (*(node.id for node in nodes_of(Phase.DATA)), "fetch_pretrained"):
        run_node(config, new_run("killed"), node_id)
    moments = random.Random(4)
    log = tmp_path / "training.log"
    log.touch()
    for kill in range(kills):
        process = forked.process(train_killable, config.to_json(), str(log))
        process.start()
        # Half of them fall into the start, half into an epoch or its checkpoint.
        event, awaited = ("begins", kill + 1) if kill % 2 else (", Speed", log.read_text().count(", Speed") + 2)
        while log.read_text().count(event) < awaited:
            assert process.is_alive()
            time.sleep(0.02)
        process.join(moments.uniform(0, 8 if kill % 2 else 2))
        assert process.is_alive(), "it was to be killed before it ends: give it more epochs"
        process.kill()
        process.join()

    state = home / "pipeline" / "checkpoints" / "killed" / "state.json"
    done = json.loads(state.read_text())["epochs"]
    assert 1 <= done < epochs
    for node in nodes_of(Phase.MODEL, Phase.RELEASE):
        outputs = run_node(config, new_run("killed"), node.id)
    assert outputs["version"] == 1
    assert len(open_registry().versions("killed")) == 1
    history = json.loads(Path(run_node(config, new_run("killed"), "fine_tune")["uri"], "history.json").read_text())
    assert [record["epoch"] for record in history] == list(range(epochs))
    assert not state.exists()
    trained = re.findall(r"^\[Epoch (\d+)\], Speed", log.read_text(), re.MULTILINE)
    # What a kill costs: the epoch that it fell into, of which nothing or everything but its checkpoint was done.
    assert len(trained) - len(set(trained)) <= kills
    assert set(map(int, trained)) - {done} == set(range(done)), "each before the last checkpoint, at most one after it"
    print(f"{kills} kills repeated {len(trained) - len(set(trained))} whole epochs; {done} done before the last try")
