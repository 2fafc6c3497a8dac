"""A server that a run depends on is away and comes back: the run says so, and the same run ends as it would have."""

from __future__ import annotations

import pytest

from boxwright.config.run_info import new_run
from boxwright.errors import StorageError
from boxwright.pipeline.runner import run_pipeline
from boxwright.registry.opening import open_registry

pytestmark = pytest.mark.long
QUICK = {"epochs": 2, "image_size": 64, "batch_size": 4}


def test_a_registry_that_is_away_when_the_model_is_to_be_registered(settings_of, home, monkeypatch):
    config, run = settings_of(model_name="away", seed_mode="pretrained", hyperparameters=QUICK), new_run("away")

    def take_away(step: str) -> None:
        if step == "register_model":
            monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")

    with pytest.raises(StorageError, match="the model registry http://127.0.0.1:9 did not answer") as caught:
        run_pipeline(config, run, on_step=take_away)
    assert caught.value.exit_code == 4
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    again = run_pipeline(config, run)
    assert (again["status"], again["version"]) == ("registered", 1)
    assert len(open_registry().versions("away")) == 1
    assert again["seconds"]["fine_tune"] < 60, "it is not trained again"
