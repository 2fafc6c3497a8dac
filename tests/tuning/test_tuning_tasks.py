"""The steps of a tuning as tasks: repeated, killed and retried by whoever runs them. Nothing is trained here."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from postgres_server import Postgres

from boxwright.config import (
    TUNED_FILE,
    TUNING_URI,
    MetadataAddress,
    RunConfig,
    Settings,
    TuningConfig,
    new_run,
    parse_config,
)
from boxwright.dataset.examples.summary import ExamplesSummary, SplitCounts
from boxwright.errors import StoppedError, StorageError, TrainingError, UsageError
from boxwright.metadata import make_database
from boxwright.model.seeds import Seed, write_seed
from boxwright.registry import open_registry
from boxwright.tuning.records import Finalist, Outcome, Proof, TrialState
from boxwright.tuning.study import Study
from boxwright.tuning.tasks import choose_best, of_study, open_study, run_slot
from boxwright.tuning.trial import study_folder
from boxwright.tuning.tune import pinned

RUN = new_run("manual__1")
TUNING = TuningConfig(trials=3, ranges='{"learning_rate": {"min": 0.0001, "max": 0.1}}')
# By name, so that what a test puts in its place is found.
TASKS = import_module("boxwright.tuning.tasks")


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The runs whose outcome was noted in ML Metadata."""
    found: list[Any] = []
    monkeypatch.setattr(TASKS, "trace_outcome", lambda config, run, study: found.append(run))
    return found


@pytest.fixture
def config(
    home: Settings, empty_store: Path, traced: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RunConfig:
    """A run whose data steps are done, and which has not chosen."""
    shutil.copyfile(empty_store, home.home / "mlflow.sqlite")
    made = {"training": SplitCounts(images=10, boxes=9, shards=1)}
    ExamplesSummary(fingerprint="f", classes=("a",), category_ids=(1,), splits=made).write(tmp_path)

    write_seed(Seed(kind="pretrained", model_id="tiny", origin="weights"), tmp_path)

    def output_folder(run: Any, node_id: str) -> Path:
        if node_id in ("fetch_pretrained", "choose_best") and not (tmp_path / node_id).exists():
            raise StorageError("it did not run")
        return tmp_path / node_id if node_id == "choose_best" else tmp_path

    monkeypatch.setattr(TASKS, "output_folder", output_folder)
    return parse_config({"training": "/t", "test": "/e", "output": str(tmp_path / "out"), "model_id": "tiny"})


def study_of(config: RunConfig) -> Study:
    return Study("s", TASKS.prepared(config, TUNING), TUNING)


def ends(how: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lets trials end as `how(study, number)` says; returns the numbers of those that were run."""
    numbers = []

    def run_trial(record: Any, number: int, should_stop: Any) -> None:
        numbers.append(number)
        assert Path(record.examples) == Path(record.seed)
        how(Study(record.name, record.config, record.tuning), number)

    monkeypatch.setattr(TASKS, "run_trial", run_trial)
    return numbers


def test_a_tuning_without_test_images_is_refused_before_anything_is_asked(config: RunConfig) -> None:
    without = config.model_copy(update={"test": None})
    with pytest.raises(UsageError, match="test is required for tuning: the gain is proven on test images"):
        open_study(without, TUNING, RUN, "s")


def test_a_study_of_other_data_or_another_start_is_not_gone_on_with(config: RunConfig, tmp_path: Path) -> None:
    open_study(config, TUNING, RUN, "s")
    write_seed(Seed(kind="incremental", model_id="tiny", origin="models:/detector/1"), tmp_path)
    with pytest.raises(
        UsageError, match="could not be compared with new ones: start models:/detector/1, before weights"
    ):
        open_study(config, TUNING, RUN, "s")


def test_a_later_run_of_a_study_starts_from_what_its_trials_started_from() -> None:
    first, later = (Seed(kind=kind, model_id="tiny", origin="models:/d/1") for kind in ("pretrained", "incremental"))
    assert pinned(first) == {"seed_mode": "pretrained"}
    assert pinned(later) == {"seed_mode": "incremental", "parent": "models:/d/1"}


def test_each_slot_has_one_trial_however_often_it_runs(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops_once(study: Study, number: int) -> None:
        if numbers.count(number) == 1:
            raise StoppedError("killed, say")
        study.complete(number, 0.5)

    numbers = ends(stops_once, monkeypatch)
    assert open_study(config, TUNING, RUN, "s") == [0, 1, 2]
    for slot in (0, 1):
        with pytest.raises(StoppedError):
            run_slot(config, TUNING, RUN, "s", slot)
    found = [run_slot(config, TUNING, RUN, "s", slot) for slot in (1, 0)]
    assert [(one["number"], one["state"]) for one in found] == [(1, "complete"), (0, "complete")]
    assert numbers == [0, 1, 1, 0]
    assert len(study_of(config).trials()) == 2


def test_a_database_that_goes_away_during_a_trial_costs_no_trial(
    config: RunConfig, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = postgres.new_database()
    make_database(MetadataAddress.parse(uri))
    monkeypatch.setenv(TUNING_URI, uri)
    begun: list[int] = []

    def train_trial(study: Study, number: int, *rest: Any) -> None:
        begun.append(number)
        if len(begun) == 1:
            postgres.stop()
            study.report(number, 1, 0.1)
        study.complete(number, 0.5)

    trial = import_module("boxwright.tuning.trial")
    monkeypatch.setattr(trial, "_train_trial", train_trial)
    monkeypatch.setattr(trial, "_watch", lambda *rest: None)
    open_study(config, TUNING, RUN, "s")
    with pytest.raises(StorageError, match="database of studies no longer answers: .*run again"):
        run_slot(config, TUNING, RUN, "s", 0)
    postgres.start()
    found = run_slot(config, TUNING, RUN, "s", 0)
    assert (found["number"], found["state"], begun) == (0, "complete", [0, 0])


def test_a_slot_of_a_study_that_has_ended_begins_nothing(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = ends(lambda study, number: study.complete(number, 0.5), monkeypatch)
    open_study(config, TUNING, RUN, "s")
    study_of(config).stop()
    assert run_slot(config, TUNING, RUN, "s", 0) == {"reason": "stopped as asked"}
    open_study(config, TUNING, RUN, "s")  # goes on with it
    assert [run_slot(config, TUNING, new_run("another"), "s", slot).get("number") for slot in range(4)] == [
        0,
        1,
        2,
        None,
    ]
    assert numbers == [0, 1, 2]


def test_the_log_of_a_slot_says_what_it_tried_and_what_came_of_it(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "boxwright.tuning")
    ends(lambda study, number: study.complete(number, 0.5), monkeypatch)
    open_study(config, TUNING, RUN, "s")
    run_slot(config, TUNING, RUN, "s", 0)
    (rate,) = study_of(config).trials()[0].settings.values()
    assert f"trial 0: learning_rate={rate:.4g}" in caplog.messages
    assert "trial 0 is complete, AP 0.5000; best so far trial 0 with 0.5000" in caplog.messages
    study_of(config).stop()
    run_slot(config, TUNING, RUN, "s", 1)
    assert "no trial begins here: stopped as asked" in caplog.messages


def test_a_crash_fails_its_task_with_its_reason(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(lambda study, number: study.fail(number, "a bug", "ValueError: of the reason"), monkeypatch)
    open_study(config, TUNING, RUN, "s")
    with pytest.raises(TrainingError, match="trial 0 failed: ValueError: of the reason"):
        run_slot(config, TUNING, RUN, "s", 0)


def test_the_choice_accounts_for_every_trial_and_publishes_what_won(
    config: RunConfig, traced: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_study(config, TUNING, RUN, "s")
    study = study_of(config)
    study.complete(study.ask(), 0.4)
    study.complete(study.ask(), 0.6)
    study.ask()  # its task was killed for good
    registry, killed = open_registry(), f"{RUN.run_id}.trial-2"
    registry.begin_training(config.model_name, killed, {}, RUN.run_id)
    settings = study.trials()[1].settings

    def run_proof(study: Study, record: Any, folder: Path) -> Proof:
        finalists = [
            Finalist(name="defaults", settings={}, seeds=[1]),
            Finalist(name="trial 1", settings=settings, seeds=[1]),
        ]
        return Proof(finalists=finalists, images=3, samples=9, confidence=0.95, winner="trial 1", verdict="a gain")

    monkeypatch.setattr(TASKS, "run_proof", run_proof)
    chosen = choose_best(config, TUNING, RUN, "s")
    assert chosen == {"study": "s", "chosen": settings, "verdict": "a gain"}
    left = study.trials()[2]
    assert (left.state, left.reason) == (TrialState.FAILED, "its task ended before the trial did")
    assert registry.training_progress(config.model_name, killed)["state"] == "killed"
    output = Path(config.output) / "manual__1" / "output"
    assert {path.name for path in output.iterdir()} == {"tuned.json", "tuning.json", "tuning.html"}
    outcome = Outcome.read(output)
    assert (outcome.status, outcome.ended, outcome.chosen) == ("chosen", "3 trials", settings)
    assert (study_folder("s") / TUNED_FILE).read_bytes() == (output / TUNED_FILE).read_bytes()
    assert traced == [of_study(RUN, chosen)] and traced[0].study == "s"
    # Its model may have been made of that: whoever clears the task changes nothing.
    (tmp_path / "choose_best").mkdir()
    shutil.copy(output / TUNED_FILE, tmp_path / "choose_best")
    study.complete(study.ask(), 0.9)
    assert choose_best(config, TUNING, RUN, "s")["chosen"] == settings


def test_a_study_without_a_trial_that_ended_has_no_choice(config: RunConfig) -> None:
    open_study(config, TUNING, RUN, "s")
    study = study_of(config)
    for _ in range(3):
        study.fail(study.ask(), "a", "always the same")
    with pytest.raises(
        TrainingError, match="the study s has no result: 3 trials failed in the same way: always the same"
    ):
        choose_best(config, TUNING, RUN, "s")
    published = Path(config.output) / "manual__1" / "output" / "tuning.html"
    assert "always the same" in published.read_text()


def test_a_study_that_is_asked_to_stop_begins_no_more_trials_and_the_request_is_answered(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(lambda study, number: study.complete(number, 0.5), monkeypatch)
    open_study(config, TUNING, RUN, "s")
    registry = open_registry()
    assert registry.training_progress(config.model_name, RUN.run_id)["study"] == "s"
    assert run_slot(config, TUNING, RUN, "s", 0)["number"] == 0
    registry.ask_to_stop(config.model_name, RUN.run_id)
    assert run_slot(config, TUNING, RUN, "s", 1) == {"reason": "stopped as asked"}
    chosen = choose_best(config, TUNING, RUN, "s")
    assert chosen["verdict"].startswith("no gain: no trial was better")
    # Not to the training that follows in the same run.
    assert not registry.is_stop_asked(config.model_name, RUN.run_id)
    with pytest.raises(UsageError, match="its last word is 'trained'"):
        registry.ask_to_stop(config.model_name, RUN.run_id)


def test_the_report_is_there_while_the_study_is_under_way(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(lambda study, number: study.complete(number, 0.5), monkeypatch)
    output = Path(config.output) / "manual__1" / "output"
    open_study(config, TUNING, RUN, "s")
    assert "No trial yet" in (output / "tuning.html").read_text()
    run_slot(config, TUNING, RUN, "s", 0)
    assert "1 complete" in (output / "tuning.html").read_text()
    assert [one.number for one in Outcome.read(output).trials] == [0]


def test_a_report_that_cannot_be_left_costs_no_trial(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def publish_outcome(*values: Any) -> None:
        raise StorageError("storage is away")

    ends(lambda study, number: study.complete(number, 0.5), monkeypatch)
    open_study(config, TUNING, RUN, "s")
    monkeypatch.setattr(TASKS, "publish_outcome", publish_outcome)
    assert run_slot(config, TUNING, RUN, "s", 0)["state"] == "complete"
    assert "the report of the study is not up to date: storage is away" in caplog.text


def test_a_trial_that_has_ended_is_not_trained_again(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = ends(lambda study, number: study.prune(number, "not among the best"), monkeypatch)
    open_study(config, TUNING, RUN, "s")
    assert {run_slot(config, TUNING, RUN, "s", 0)["state"] for _ in range(2)} == {"pruned"}
    assert numbers == [0]


def test_studies_in_a_file_of_one_worker_of_several_are_refused(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXWRIGHT_METADATA_URI", "postgresql://u:p@host:5432/d")
    with pytest.raises(UsageError, match="set BOXWRIGHT_TUNING_URI on all workers to a database that they share"):
        open_study(config, TUNING, RUN, "s")
