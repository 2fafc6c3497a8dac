"""`boxwright tune`: what it refuses before anything is fetched, how a study is stopped, and files of settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boxwright.config import Settings, TuningConfig, new_run, parse_config
from boxwright.tuning.records import StudyRecord
from boxwright.tuning.study import Study
from boxwright.tuning.trial import study_folder

RUN = ("tune", "--dataset", "/nowhere", "--output", "/nowhere", "--model-id", "tiny")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (RUN, "test is required for tuning: the gain is proven on test images"),
        ((*RUN, "--test", "/t", "--ranges", '{"eps": [1, 2]}'), "'eps' is called epsilon here"),
        ((*RUN, "--test", "/t", "--ranges", '{"rho": [0.5, 0.6]}'), "rho has no effect with optimizer adam"),
        ((*RUN, "--test", "/t", "--set", "tuning_trial=3"), "tuning_trial is unknown (did you mean tuning_trials?)"),
        ((*RUN, "--test", "/t", "--set", "validation_ap_epochs=0"), "leaves tuning_objective=AP unmeasured"),
        ((*RUN, "--test", "/t", "--set", "tuning_warm_start=gone"), "there is no study 'gone' with a trial that ended"),
        ((*RUN, "--test", "/t", "--set", "seeds=3"), "seeds=3: a trial trains once"),
        (
            (*RUN, "--test", "/t", "--set", "training_machines=2"),
            "training_machines=2: the Airflow DAG of trainings alone",
        ),
        ((*RUN, "--study", "../up"), "--study '../up': expected a letter or digit"),
        (("tune", "--stop"), "--stop needs --study NAME"),
        (("tune", "--stop", "--study", "never"), "there is no study 'never'"),
        (("tune", "--output", "/o"), "training is required"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_fetched(
    home: Settings, boxwright: Any, arguments: tuple[str, ...], said: str
) -> None:
    code, out, error = boxwright(*arguments)
    assert (code, out) == (2, "")
    (line,) = [line for line in error.splitlines() if "error:" in line]
    assert said in line
    assert not (home.home / "pipeline").exists()


def test_a_study_is_stopped_by_its_name(home: Settings, boxwright: Any) -> None:
    config = parse_config({"training": "/t", "test": "/e", "output": "/o", "model_id": "tiny"})
    folder = study_folder("mine")
    folder.mkdir(parents=True)
    StudyRecord(name="mine", run=new_run(), config=config, tuning=TuningConfig()).write(folder)
    study = Study("mine", config, TuningConfig())
    code, out, _ = boxwright("tune", "--stop", "--study", "mine")
    assert (code, out.startswith("study mine: no more trials begin")) == (0, True)
    assert study.ended(1) == "stopped as asked"


def test_a_run_takes_settings_from_a_file_and_set_goes_before_it(
    home: Settings, boxwright: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "tuned.json"
    given.write_text(json.dumps({"batch_size": 5, "optimizer": "sgd"}))
    started = []

    def run_pipeline(config: Any, run: Any, on_step: Any) -> None:
        started.append(config)
        raise SystemExit(9)

    monkeypatch.setattr("boxwright.pipeline.run_pipeline", run_pipeline)
    options = ("--dataset", "/t", "--output", "/o", "--model-id", "tiny", "--settings", str(given))
    code, _, _ = boxwright("run", *options, "--set", "batch_size=6")
    chosen = started[0].hyperparameters
    assert (code, chosen.batch_size, chosen.optimizer) == (9, 6, "sgd")
    code, _, error = boxwright("run", *options[:-1], str(tmp_path / "gone.json"))
    assert (code, "gone.json: No such file or directory" in error) == (2, True)
    code, _, error = boxwright("run", "--resume", "--settings", str(given))
    assert (code, "leave out --settings" in error) == (2, True)
