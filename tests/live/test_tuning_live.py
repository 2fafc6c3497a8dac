"""The DAG that tunes, on the real stack: trials killed, crashed and given up, the scheduler dead, the study stopped."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import optuna
import pytest

from boxwright.metadata.store import open_store
from boxwright.pipeline import GPU_POOL, trace
from boxwright.pipeline.lineage import finished_nodes
from boxwright.tuning.records import Outcome, TrialState
from live.kills import all_ready, kill, kill_task
from live.live_runs import EPOCHS, SETTINGS, epochs_done, log_in

if TYPE_CHECKING:
    from live.conftest import LiveStack

# The run takes half an hour on a machine that does much else.
pytestmark = pytest.mark.long
DAG_ID, RUN, MODEL = "object_detection_tuning", "live-tuning", "tuned"
# Trials that begin before the study is stopped, and the slots that there are.
BEGUN, SLOTS = 8, 20
# The trial that is killed has the settings as they are, and is never given up.
KILLED, KILLS, CRASHED = 0, 2, 3
# Of rates at which nothing is learnt, as the one of the settings is, those that are not the best end early. Two are
# better: of the trial after the defaults and, with this seed of the grid, of the sixth after them, which learns more.
BETTER = {1: 1e-4, 6: 3e-3}
CONF = {
    "model_name": MODEL,
    "learning_rate": 1e-9,
    "tuning_trials": SLOTS,
    "tuning_objective": "val_loss",
    "tuning_sampler": "grid",
    "tuning_seed": 350,
    "tuning_ranges": json.dumps({"learning_rate": [*BETTER.values(), *(rate * 1e-9 for rate in range(2, SLOTS))]}),
    "tuning_parallel": 2,
}


@pytest.fixture(scope="module")
def tuned(ready: LiveStack) -> Iterator[LiveStack]:
    """With a run that has tuned: a trial killed twice, one crashed, the scheduler killed, and the study stopped."""
    _set_pool(ready, 2)
    # A file where the folder of its checkpoints would be.
    (ready.home / "pipeline" / "checkpoints").mkdir(parents=True, exist_ok=True)
    (ready.home / "pipeline" / "checkpoints" / f"{RUN}.trial-{CRASHED}").touch()
    ready.airflow.wait_for_dag(DAG_ID)
    ready.airflow.set_paused(DAG_ID, False)
    ready.airflow.trigger(DAG_ID, RUN, SETTINGS | CONF)
    try:
        for number in range(1, KILLS + 1):
            _kill_trial(ready, number)
        kill(ready, ["scheduler"])
        ready.wait_for(lambda: all_ready(ready), "the scheduler to come back")
        ready.wait_for(lambda: len(_study(ready).trials) >= BEGUN, f"{BEGUN} trials", ready.run_seconds)
        _stop_on_its_page(ready)
        state, tasks = ready.finish(RUN, DAG_ID)
        assert state == "success", tasks
        yield ready
    finally:
        _set_pool(ready, 1)


def _set_pool(stack: LiveStack, slots: int) -> None:
    body = {"pool": GPU_POOL, "slots": slots, "include_deferred": False}
    stack.airflow.request("PATCH", f"/pools/{GPU_POOL}", json=body, params={"update_mask": "slots"})


def _trials(stack: LiveStack) -> list[dict[str, Any]]:
    """The task of each trial, as Airflow tells of it, by slot."""
    path = f"/dags/{DAG_ID}/dagRuns/{RUN}/taskInstances"
    found = stack.airflow.request("GET", path, params={"task_id": "trial", "limit": 50})["task_instances"]
    return sorted((one for one in found if one["task_id"] == "trial"), key=lambda one: one["map_index"])


def _study(stack: LiveStack) -> optuna.Study:
    return optuna.load_study(study_name=RUN, storage=f"sqlite:///{stack.home / 'tuning.sqlite'}")


def _slot_of(stack: LiveStack, number: int) -> int:
    """The slot that asked for a trial."""
    return int(_study(stack).trials[number].user_attrs["slot"].rpartition("/")[2])


def _kill_trial(stack: LiveStack, number: int) -> None:
    """Kills the trial `KILLED` for the time of that number, after an epoch more than it had before."""
    known = epochs_done(stack, f"{RUN}.trial-{KILLED}")
    stack.wait_for(lambda: epochs_done(stack, f"{RUN}.trial-{KILLED}") > known, f"an epoch after the {known} trained")
    slot = _slot_of(stack, KILLED)
    (task,) = [one for one in _trials(stack) if one["map_index"] == slot]
    assert task["try_number"] == number
    kill_task(task["id"])
    stack.wait_for(lambda: _trials(stack)[slot]["state"] != "running", f"the end of the trial that is killed, {number}")


def _page(stack: LiveStack, below: str = "", **how: Any) -> httpx.Response:
    address = f"{stack.stack.airflow_url}/boxwright/runs/{DAG_ID}/{RUN}{below}"
    return httpx.request(
        how.pop("method", "GET"), address, cookies=log_in(stack.stack), trust_env=False, timeout=60, **how
    )


def _stop_on_its_page(stack: LiveStack) -> None:
    assert 'id="to-stop"' in _page(stack).text
    token = re.search(r'name="token" value="([^"]+)"', _page(stack, "/stop").text)
    assert token
    answer = _page(stack, "/stop", method="POST", data={"token": token[1]}, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 303
    assert "Asked to stop: no more trials begin" in _page(stack).text


def _outcome(stack: LiveStack) -> Outcome:
    stored = stack.s3.get_object(Bucket="boxwright", Key=f"runs/{RUN}/output/{Outcome.FILE}")["Body"].read()
    return Outcome.parse(stored, Outcome.FILE)


def _returned(stack: LiveStack, slot: int) -> dict[str, Any]:
    path = f"/dags/{DAG_ID}/dagRuns/{RUN}/taskInstances/trial/xcomEntries/return_value"
    params = {"map_index": slot, "deserialize": "false", "stringify": "false"}
    return dict(stack.airflow.request("GET", path, params=params)["value"])


def _log(stack: LiveStack, task_id: str, attempt: int, slot: int = -1) -> str:
    path = f"/dags/{DAG_ID}/dagRuns/{RUN}/taskInstances/{task_id}/logs/{attempt}"
    return json.dumps(stack.airflow.request("GET", path, params={"full_content": "true", "map_index": slot}))


def test_each_trial_is_accounted_for_and_one_version_registered(tuned: LiveStack) -> None:
    outcome = _outcome(tuned)
    crashed = _slot_of(tuned, CRASHED)
    returned = [_returned(tuned, slot) for slot in range(SLOTS) if slot != crashed]
    begun = {one["number"]: one["state"] for one in returned if "number" in one} | {CRASHED: "failed"}
    assert {one.number: one.state.value for one in outcome.trials} == begun
    assert [one.number for one in outcome.trials] == [*range(len(begun))] and BEGUN <= len(begun) < SLOTS
    assert {one["reason"] for one in returned if "number" not in one} == {"stopped as asked"} == {outcome.ended}
    states = [one.state for one in outcome.trials]
    assert (states.count(TrialState.FAILED), states.count(TrialState.RUNNING)) == (1, 0)
    pruned = {one.reason for one in outcome.trials if one.state is TrialState.PRUNED}
    assert "not among the best after 1 epoch" in pruned
    (version,) = tuned.registry.versions(MODEL)
    assert (version.run_id, version.accepted, version.tags["boxwright.study"]) == (RUN, True, RUN)
    assert json.loads(version.tags["boxwright.tuned"]) == outcome.chosen


def test_the_trial_that_was_killed_went_on_under_its_number_and_no_other_was_repeated(tuned: LiveStack) -> None:
    trial = _outcome(tuned).trials[KILLED]
    assert (trial.state, trial.epochs) == (TrialState.COMPLETE, EPOCHS)
    slot = _slot_of(tuned, KILLED)
    tries = [one["try_number"] for one in _trials(tuned)]
    assert tries == [KILLS + 1 if number == slot else 1 for number in range(SLOTS)]
    for attempt in range(2, KILLS + 2):
        assert "resuming after epoch" in _log(tuned, "trial", attempt, slot)


def test_a_trial_that_crashed_is_failed_with_its_reason(tuned: LiveStack) -> None:
    trial = _outcome(tuned).trials[CRASHED]
    assert (trial.state, trial.value) == (TrialState.FAILED, None)
    assert trial.reason and trial.reason.startswith("FileExistsError: ")
    task = _trials(tuned)[_slot_of(tuned, CRASHED)]
    assert task["state"] == "failed"
    assert trial.reason in _log(tuned, "trial", 1, task["map_index"])


def test_the_best_and_the_defaults_were_trained_again_and_compared_in_a_task(tuned: LiveStack) -> None:
    outcome = _outcome(tuned)
    assert outcome.proof and outcome.chosen == outcome.proof.settings
    best = sorted(BETTER, key=lambda number: outcome.trials[number].value or 0.0)
    assert [one.name for one in outcome.proof.finalists] == ["defaults", *(f"trial {number}" for number in best)]
    assert [one.settings["learning_rate"] for one in outcome.proof.finalists[1:]] == [BETTER[one] for one in best]
    for finalist in outcome.proof.finalists:
        assert (finalist.problem, len(finalist.seeds), len(finalist.AP)) == (None, 2, 2)
    log = _log(tuned, "choose_best", 1)
    assert log.count("is trained and measured") == 6
    assert outcome.proof.verdict in log


def test_the_log_of_a_trial_is_worth_reading(tuned: LiveStack) -> None:
    log = _log(tuned, "trial", 1, _slot_of(tuned, 1))
    assert "trial 1: learning_rate=0.0001" in log
    assert "trial 1 is complete, val_loss " in log
    for chatter in ("oneDNN", "cudart", "MetadataStore"):
        assert chatter not in log


def test_lineage_leads_from_the_model_to_the_trials(tuned: LiveStack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in tuned.env.items():
        monkeypatch.setenv(name, value)
    (traced,) = trace(MODEL, tuned.settings)
    outcome = _outcome(tuned)
    assert traced.facts["study"]["study"] == RUN
    assert json.loads(traced.facts["study"]["settings"]) == outcome.chosen
    store = open_store(tuned.settings.metadata)
    choice, _ = finished_nodes(RUN, store)["choose_best"]
    read = store.get_artifacts_by_id([one.artifact_id for one in store.get_events_by_execution_ids([choice.id])])
    trials = [one.properties["number"].int_value for one in read if one.type == "BoxwrightTrial"]
    assert sorted(trials) == [one.number for one in outcome.trials]


def test_the_page_of_the_run_has_the_report_of_its_study(tuned: LiveStack) -> None:
    outcome = _outcome(tuned)
    assert outcome.proof and html.escape(outcome.proof.verdict) in _page(tuned).text
    report = _page(tuned, "/study")
    assert report.status_code == 200 and "stopped as asked" in report.text
    assert all(f'data-label="Trial">{one.number}</td>' in report.text for one in outcome.trials)
