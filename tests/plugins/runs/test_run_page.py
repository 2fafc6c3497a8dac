"""The page of a run in each of its states, over Airflow's own tables, MLflow and files as the steps write them."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from boxwright.config import Gate, ValidationConfig
from boxwright.dataset.validation.findings import Finding, Report
from boxwright.dataset.validation.rules import rules_of
from boxwright.errors import StorageError
from boxwright.evaluation.gate import check_gate
from boxwright.evaluation.guessing import judge_classes
from boxwright.evaluation.records import EvaluationSummary
from boxwright.registry.training_run import TrainingRun
from boxwright.training import StepProgress
from boxwright_airflow.runs.training import Source

DAG_ID = "object_detection_training"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def look(visit: Callable[..., Any]) -> Callable[..., str]:
    def look(run_id: str, below: str = "", dag_id: str = DAG_ID, status: int = 200) -> str:
        answer = visit("viewer").get(f"/runs/{dag_id}/{run_id}{below}")
        assert answer.status_code == status, answer.text
        return str(answer.text)

    return look


def words(page: str) -> str:
    """The page's text, in one line."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found
    return found[0]


def epoch(number: int, **more: float) -> dict[str, float]:
    record = {"epoch": number, "loss": 2.0 / (number + 1), "val_loss": 2.5 / (number + 1), "seconds": 30.0}
    return record | {"images_per_second": 6.5} | more


def test_a_queued_run_says_what_it_waits_for(make_run: Any, look: Any, tracking: str) -> None:
    make_run("queued", state="queued")
    page = look("queued")
    assert "it starts in seconds, unless the DAG is paused" in words(page)
    assert 'data-ended="no"' in page
    assert all("hidden" in section(page, name)[:80] for name in ("training", "evaluation", "gate", "validation"))


def test_a_training_before_its_first_epoch(make_run: Any, look: Any, tracking: str) -> None:
    make_run("young", model_id="tiny", epochs=8).task("fine_tune", "running")
    assert "Epoch 1 of 8 is under way since 2 min" in words(section(look("young"), "training"))


def test_a_training_is_watched_epoch_by_epoch(make_run: Any, look: Any, tracking: str) -> None:
    make_run("alive", model_id="tiny", model_name="watched", epochs=8).task("fine_tune", "running")
    report = TrainingRun("watched", "alive", tracking)
    report.epoch(epoch(0))
    report.epoch(epoch(1, AP=0.125, AP50=0.375))
    training = section(look("alive", "/live"), "training")
    said = words(training)
    assert "Epoch 3 of 8 is under way." in said
    for figure in ("Loss 1.000", "AP (validation) 0.125", "Images per second 6.5", "Time left, about 3 min 00 s"):
        assert figure in said
    assert '<progress max="8" value="2"' in training
    assert "loss: training 1 after epoch 2, 2 after epoch 1; validation 1.25" in training.lower()
    assert training.count("<polyline") == 4


def test_an_epoch_under_way_shows_its_steps(make_run: Any, look: Any, tracking: str) -> None:
    make_run("deep", model_id="tiny", model_name="watched", epochs=8).task("fine_tune", "running")
    said = StepProgress(
        doing="training",
        epoch=1,
        epochs=8,
        step=40,
        steps=120,
        losses={"loss": 1.25},
        images_per_second=6.5,
        seconds_left=600.0,
        cpu_percent=190.0,
        memory_mb=1500.0,
    )
    report = TrainingRun("watched", "deep", tracking)
    report.progress(said.model_dump())
    shown = words(section(look("deep", "/live"), "training"))
    assert "Epoch 1 of 8 is under way (training, step 40 of 120)" in shown
    for figure in ("loss of this epoch so far 1.250", "Time left, about 10 min", "Memory, MB 1500"):
        assert figure in shown
    curves = html.unescape(section(look("deep", "/live"), "training"))
    assert re.search(r"Processor and GPU, percent.*: processor 190 after [\d.]+ min", curves)
    assert re.search(r"Memory, MB.*: processor 1500 after [\d.]+ min", curves)
    report.progress(said.model_dump() | {"gpu_percent": 97.0, "gpu_memory_mb": 80_000.0})
    curves = section(look("deep", "/live"), "training")
    assert "GPU 97 after" in curves and "GPU, percent 97 Memory of the GPU, MB 80000" in words(curves)
    # Of an epoch that has ended meanwhile it says nothing.
    report.epoch(epoch(0))
    assert "step 40" not in words(section(look("deep", "/live"), "training"))


def test_mlflow_down_is_said_and_the_rest_stays(make_run: Any, look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    run = make_run("blind", model_id="tiny")
    run.task("validate_annotations", "success", report=True)
    run.task("fine_tune", "running")
    page = look("blind")
    said = words(section(page, "training"))
    assert "The curves are missing: the model registry http://127.0.0.1:9 did not answer" in said
    assert "start MLflow, or correct MLFLOW_TRACKING_URI" in said
    assert "fine_tune running" in words(section(page, "state"))


def test_a_server_that_does_not_answer_is_left_alone_for_a_while() -> None:
    asked: list[str] = []

    class Silent:
        def training(self, model_name: str, run_id: str) -> Any:
            asked.append(run_id)
            raise StorageError("it is silent")

    source = Source(Silent())  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(StorageError, match="it is silent"):
            source.read("detector", "patient")
    assert asked == ["patient"]


def test_a_run_goes_on_when_airflow_has_ended_it(make_run: Any, visit: Any, tracking: str) -> None:
    """Until then it gives up tasks behind the one that failed, also when that one is cleared meanwhile."""
    run, page = make_run("going-on"), f"/runs/{DAG_ID}/going-on"
    run.task("fine_tune", "failed", error="out of memory")
    run.set_state("running")
    early = visit("editor").get(page).text
    assert "go-on" not in early and "The run can go on from this step when Airflow has ended it" in early
    run.set_state("failed")
    assert 'data-tasks="fine_tune train_along"' in visit("editor").get(page).text


def test_a_task_that_was_given_up_all_the_same_goes_on(make_run: Any, look: Any, visit: Any, tracking: str) -> None:
    run, page = make_run("stranded"), f"/runs/{DAG_ID}/stranded"
    run.task("fine_tune", "success")
    for name in ("export_formats", "quality_gate"):
        run.task(name, "upstream_failed")
    run.set_state("failed")
    assert "export_formats was given up when a task before it had failed, which has succeeded since." in words(
        look("stranded")
    )
    button = re.search(r'<button[^>]*id="go-on"[^>]*>', visit("editor").get(page).text)
    assert button and 'data-tasks="export_formats"' in button[0]


def test_a_failed_run_shows_the_error_of_its_task(make_run: Any, look: Any, visit: Any, tracking: str) -> None:
    run = make_run("failed")
    error = f"dataset: 1 bad record: training: annotations[3] of {HOSTILE}: box_outside"
    run.task("validate_annotations", "failed", report=True, error=error)
    run.set_state("failed")
    rule = next(iter(rules_of(ValidationConfig())))
    report = Report.start(rules_of(ValidationConfig()), {})
    report.splits["training"] = {"images": 12, "boxes": 40, "classes": {HOSTILE: 40}}
    report.splits["test"] = {"annotations": "s3://nowhere/annotations.json"}  # whose file could not be read
    report.checked(rule, "training", 40)
    report.add(Finding(rule, "error", "training", "annotations", 3, HOSTILE, -1, "what to do"))
    report.write(run.output / "validation_report.json")
    page = look("failed")
    assert f"validate_annotations failed: {error}" in words(section(page, "state"))
    assert "go-on" not in page  # a viewer may not
    button = re.search(r'<button[^>]*id="go-on"[^>]*>', visit("editor").get(f"/runs/{DAG_ID}/failed").text)
    assert button and f"/api/v2/dags/{DAG_ID}/clearTaskInstances" in button[0]
    assert 'data-run="failed" data-tasks="validate_annotations"' in button[0]
    validation = words(section(page, "validation"))
    assert "1 bad record." in validation and f"{rule} 1 40 error" in validation and "training 12 40" in validation
    assert "test unread unread" in validation
    assert 'data-ended="yes"' in page
    assert HOSTILE not in page


def test_machines_that_trained_together_go_on_together(make_run: Any, look: Any, visit: Any, tracking: str) -> None:
    run = make_run("together", training_machines=2)
    steps = words(section(look("together"), "state"))
    assert "train_along" not in steps and "call_machines" not in steps, "of a run on one machine they are none"
    run.task("call_machines", "success", [1])
    for rank, state in ((1, "running"), (2, "failed"), (3, "up_for_reschedule")):
        run.machine(rank, state)
    page = look("together")
    assert "train_along running" in words(section(page, "state")), "all of them as one"
    run.task("fine_tune", "failed", error="memory does not suffice")
    run.set_state("failed")
    page = visit("editor").get(f"/runs/{DAG_ID}/together").text
    assert "call_machines success" in words(section(page, "state"))
    assert 'data-tasks="fine_tune train_along"' in page
    assert "fine_tune failed: memory does not suffice" in words(section(page, "state"))


def test_the_end_of_a_run_has_gate_metrics_report_and_version(make_run: Any, look: Any, tracking: str) -> None:
    run = make_run("done", state="success", model_id="tiny", epochs=2)
    run.task("validate_annotations", "success", report=True)
    run.task("fine_tune", "success", {"epochs": 2})
    run.task("evaluate", "success", {"split": "test", "AP": 0.4321, "AP50": 0.75})
    run.task("quality_gate", "success", {"checks": 2})
    run.task("register_model", "success", {"model_name": "detector", "version": 7, "accepted": 1})
    told = judge_classes(("nut", "washer"), np.array([[20, 20], [21, 19]]))
    metrics = {"AP": 0.4321, "AP50": 0.75, "detections": 9}
    measured = EvaluationSummary(split="test", metrics=metrics, told_apart=told)
    check_gate(measured, Gate(min_ap50=0.5, min_ap=0.5)).write(run.output)
    (run.output / "report.html").write_text("<!doctype html><p>the evaluation")
    page = look("done")
    assert 'href="/boxwright/models/detector/7"' in section(page, "state")
    gate = words(section(page, "gate"))
    assert "AP50 0.7500 >= 0.5 ✓ passed" in gate and "AP 0.4321 >= 0.5 ✗ too low" in gate
    assert "nut is no better than guessing" in gate and "washer called nut 52% (21), nut called washer 50% (20)" in gate
    assert "AP (test) 0.432" in words(section(page, "evaluation"))
    assert f'src="/boxwright/runs/{DAG_ID}/done/evaluation"' in section(page, "report")
    assert "the evaluation" in look("done", "/evaluation")
    # What somebody deleted from storage.
    for name in ("report.html", "gate.json"):
        (run.output / name).unlink()
    run.task("quality_gate", "failed")
    assert "report.html cannot be read" in words(look("done", "/evaluation", status=404))
    assert "gate.json cannot be read" in words(section(look("done"), "gate"))
    assert "clear quality_gate to write it again" in words(section(look("done"), "gate"))


def test_a_run_that_reuses_a_version_says_so(make_run: Any, look: Any, tracking: str) -> None:
    run = make_run("again", state="success")
    run.task("reuse_version", "success", {"model_name": "detector", "version": 2})
    assert "Nothing was trained" in words(section(look("again"), "state"))


@pytest.mark.parametrize("below", ["", "/live", "/evaluation"])
def test_who_may_not_read_the_dag_sees_nothing(make_run: Any, visit: Any, below: str) -> None:
    make_run(f"secret{below.strip('/')}")
    assert visit(None).get(f"/runs/{DAG_ID}/secret{below.strip('/')}{below}").status_code == 401


def test_a_run_that_there_is_not(look: Any, training_dag: Any) -> None:
    assert "has no run gone" in words(look("gone", status=404))
    assert "has no run gone" in words(look("gone", dag_id="other", status=404))


def test_a_training_under_way_is_stopped_by_who_may(make_run: Any, look: Any, visit: Any, tracking: str) -> None:
    name = "manual__2026-11-29T16:43:17.759558+00:00"
    make_run(name, model_id="tiny", model_name="watched", epochs=8).task("fine_tune", "running")
    here, browser = f"/runs/{DAG_ID}/{quote(name, safe='')}", {"sec-fetch-site": "same-origin"}
    editor, training = visit("editor"), TrainingRun("watched", name, tracking)
    with training.under_way({}):
        assert 'id="to-stop"' in editor.get(here).text
        assert (
            'id="to-stop"' not in look(quote(name, safe="")) and visit("viewer").get(f"{here}/stop").status_code == 403
        )
        page = editor.get(f"{here}/stop").text
        assert '"Go on" on its page goes on after the last epoch' in words(page)
        token = re.search(r'name="token" value="([^"]+)"', page)
        assert token and editor.post(f"{here}/stop", headers=browser).status_code == 403
        assert not training.should_stop()
        form = {"token": token[1]}
        # Below Airflow the path of a request begins with the place that the pages are mounted at.
        airflow = FastAPI()
        airflow.mount("/boxwright", editor.app)
        mounted = TestClient(airflow, base_url=str(editor.base_url), cookies=editor.cookies, follow_redirects=False)
        answer = mounted.post(f"/boxwright{here}/stop", data=form, headers=browser)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/boxwright{here}")
        assert training.should_stop()
        assert "Asked to stop: it ends when this epoch is done" in words(look(quote(name, safe="")))
    answer = editor.post(f"{here}/stop", data=form, headers=browser)
    assert (answer.status_code, "its last word is &#39;trained&#39;" in answer.text) == (409, True)


@pytest.mark.parametrize(
    ("exit_code", "kind", "said"),
    [
        (7, "notice", "fine_tune : stopped as asked after epoch 6 of 200"),
        (2, "notice bad", "fine_tune failed: stopped as asked after epoch 6 of 200"),
    ],
)
def test_a_training_that_was_stopped_as_asked_is_no_failure(
    make_run: Any, look: Any, tracking: str, exit_code: int, kind: str, said: str
) -> None:
    run = make_run(f"stopped-{exit_code}", model_id="tiny", model_name="watched")
    run.task("fine_tune", "failed", error="stopped as asked after epoch 6 of 200, which is kept", exit_code=exit_code)
    page = look(run.run_id)
    assert said in words(page)
    assert f'<p class="{kind}" role="alert"><strong><code>fine_tune' in page
