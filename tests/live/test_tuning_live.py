"""The DAG that tunes, on the real stack: trials side by side, one killed, some given up, and the study stopped."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import optuna
import psutil
import pytest

from boxwright.metadata.store import open_store
from boxwright.pipeline import GPU_POOL, trace
from boxwright.pipeline.lineage import finished_nodes
from boxwright.stack import manager
from boxwright.tuning.records import Outcome, TrialState
from live.live_runs import EPOCHS, SETTINGS, epochs_done, log_in

if TYPE_CHECKING:
    from live.conftest import LiveStack

# The run takes a quarter of an hour on a machine that does much else.
pytestmark = pytest.mark.long
DAG_ID, RUN, MODEL = "object_detection_tuning", "live-tuning", "tuned"
# The trial that is killed has the settings as they are, and is never given up.
SLOTS, KILLED = 6, 0
# Rates at which nothing is learnt: whoever has one is not the best of those before.
CONF = {
    "model_name": MODEL,
    "tuning_trials": SLOTS,
    "tuning_objective": "val_loss",
    "tuning_sampler": "grid",
    "tuning_ranges": json.dumps({"learning_rate": [1e-9, 2e-9, 3e-9, 4e-9, 5e-9]}),
    "tuning_parallel": 2,
}


@pytest.fixture(scope="module")
def tuned(ready: LiveStack) -> Iterator[LiveStack]:
    """With a run that has tuned: a trial killed after an epoch, and the study stopped before its last trials."""
    _set_pool(ready, 2)
    ready.airflow.wait_for_dag(DAG_ID)
    ready.airflow.set_paused(DAG_ID, False)
    ready.airflow.trigger(DAG_ID, RUN, SETTINGS | CONF)
    try:
        ready.wait_for(lambda: epochs_done(ready, f"{RUN}.trial-{KILLED}"), "an epoch of a trial")
        slot = _slot_of(ready, KILLED)
        _kill_trial(ready, slot)
        ready.wait_for(lambda: _states(ready)[slot] != "running", "the end of the killed trial")
        ready.wait_for(lambda: sum(state == "success" for state in _states(ready).values()) >= 2, "two more trials")
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


def _slot_of(stack: LiveStack, number: int) -> int:
    """The slot that asked for a trial."""
    study = optuna.load_study(study_name=RUN, storage=f"sqlite:///{stack.home / 'tuning.sqlite'}")
    return int(study.trials[number].user_attrs["slot"].rpartition("/")[2])


def _states(stack: LiveStack) -> dict[int, str]:
    return {one["map_index"]: one["state"] for one in _trials(stack)}


def _kill_trial(stack: LiveStack, slot: int) -> None:
    """Ends the process of a trial's task, which Airflow has given this title."""
    (scheduler,) = [state.pid for state in manager.status(stack.settings) if state.name == "scheduler"]
    (task,) = [one["id"] for one in _trials(stack) if one["map_index"] == slot]
    children = psutil.Process(scheduler).children(recursive=True)
    (process,) = [one for one in children if one.cmdline()[:1] == [f"airflow worker -- {task}"]]
    process.kill()


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


def test_each_trial_is_accounted_for_and_one_version_registered(tuned: LiveStack) -> None:
    outcome = _outcome(tuned)
    returned = [_returned(tuned, slot) for slot in range(SLOTS)]
    begun = [one for one in returned if "number" in one]
    assert sorted(one["number"] for one in begun) == [one.number for one in outcome.trials] == [*range(len(begun))]
    assert {one["number"]: one["state"] for one in begun} == {one.number: one.state.value for one in outcome.trials}
    assert {one["reason"] for one in returned if one not in begun} == {"stopped as asked"} == {outcome.ended}
    assert {one.state for one in outcome.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert outcome.proof and outcome.chosen == outcome.proof.settings
    (version,) = tuned.registry.versions(MODEL)
    assert (version.run_id, version.accepted, version.tags["boxwright.study"]) == (RUN, True, RUN)
    assert json.loads(version.tags["boxwright.tuned"]) == outcome.chosen


def test_the_trial_that_was_killed_went_on_under_its_number(tuned: LiveStack) -> None:
    trial = _outcome(tuned).trials[KILLED]
    assert (trial.state, trial.epochs) == (TrialState.COMPLETE, EPOCHS)
    slot = _slot_of(tuned, KILLED)
    assert [one["try_number"] for one in _trials(tuned) if one["map_index"] == slot] == [2]
    path = f"/dags/{DAG_ID}/dagRuns/{RUN}/taskInstances/trial/logs/2"
    log = tuned.airflow.request("GET", path, params={"full_content": "true", "map_index": slot})
    assert "resuming after epoch" in json.dumps(log)


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
