"""A person's word: asked where the run wants it, with the champion beside the candidate; silence and no reject."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput

from boxwright.config import parse_config
from boxwright.config.run_info import RunInfo
from boxwright.registry.approval import metric_table, question
from boxwright.registry.mlflow_registry import MlflowRegistry
from boxwright.registry.port import Version
from boxwright_airflow import approval
from boxwright_airflow.approval import ApproveModelOperator

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
RUN = RunInfo(run_id="r1", as_of=MOMENT, url="https://airflow.example/dags/d/runs/r1")


def context(**params: Any) -> dict[str, Any]:
    dag_run = SimpleNamespace(
        dag_id="d", run_id="r1", run_type="manual", run_after=MOMENT, data_interval_end=None, consumed_asset_events=[]
    )
    ti = SimpleNamespace(id="ti-1")
    return {"params": {"training": "/t", "output": "/o"} | params, "dag_run": dag_run, "ti": ti, "task_instance": ti}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was put to Airflow as a question."""
    questions: list[dict[str, Any]] = []
    path = "airflow.providers.standard.operators.hitl.upsert_hitl_detail"
    monkeypatch.setattr(path, lambda **detail: questions.append(detail))
    monkeypatch.setattr("boxwright.registry.question", lambda config, run, folder: f"about {folder}")
    monkeypatch.setattr("boxwright.pipeline.output_folder", lambda run, node_id: f"{node_id} of {run.run_id}")
    return questions


def test_nobody_is_asked_unless_the_run_wants_it(asked: list[dict[str, Any]]) -> None:
    assert ApproveModelOperator(task_id="approve").execute(context()) is None  # type: ignore[arg-type]
    assert asked == []


def test_the_question_waits_and_its_silence_rejects(asked: list[dict[str, Any]]) -> None:
    operator = ApproveModelOperator(task_id="approve")
    with pytest.raises(TaskAwaitingInput) as waiting:
        operator.execute(context(approve=True, approve_within_hours=2))  # type: ignore[arg-type]
    assert waiting.value.timeout == timedelta(hours=2)
    (detail,) = asked
    assert (detail["options"], detail["defaults"]) == (["Approve", "Reject"], ["Reject"])
    assert (detail["subject"], detail["body"]) == ("Register the detector of r1?", "about evaluate of r1")


@pytest.mark.parametrize(
    ("answer", "user", "rejected"),
    [
        ("Approve", {"id": "1", "name": "ada"}, None),
        ("Reject", {"id": "1", "name": "ada"}, "by ada"),
        ("Reject", None, "because nobody answered in time"),
    ],
)
def test_a_rejected_model_is_registered_as_such(
    answer: str, user: Any, rejected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[tuple[str | None, str]] = []
    monkeypatch.setattr(
        "boxwright.pipeline.run_node", lambda config, run, node_id: registered.append((run.rejected, node_id))
    )
    skipped: list[Any] = []
    monkeypatch.setattr(approval.ApprovalOperator, "skip", lambda self, ti, tasks: skipped.append(tasks))
    operator = ApproveModelOperator(task_id="approve")
    operator.downstream_task_ids.add("register_model")
    monkeypatch.setattr(ApproveModelOperator, "get_direct_relatives", lambda self, upstream: [])
    event = {"chosen_options": [answer], "params_input": {}, "responded_at": MOMENT, "responded_by_user": user}
    operator.execute_complete(context(approve=True) | {"task": operator}, event)  # type: ignore[arg-type]
    assert registered == ([(rejected, "register_model")] if rejected else [])
    assert len(skipped) == (1 if rejected else 0)


def champion(**metrics: float) -> Version:
    tags = {f"boxwright.metric.{name}": str(value) for name, value in metrics.items()}
    return Version("detector", 7, "s3://b/a", "r0", MOMENT, tags)


def test_the_table_has_the_champion_beside_the_candidate() -> None:
    lines = metric_table(
        {"AP": 0.5, "AP50": 0.75, "AP_large": None, "AR1": 0.6, "images": 72}, champion(AP=0.4, AP_large=0.1)
    )
    assert lines == [
        "| metric | candidate | champion (version 7) | difference |",
        "| --- | ---: | ---: | ---: |",
        "| AP | 0.5 | 0.4 | +0.1 |",
        "| AP50 | 0.75 | - |  |",
        "| AP_large | - | 0.1 |  |",
    ]
    assert "champion (none yet)" in metric_table({"AP": 0.5}, None)[0]


def test_the_question_links_to_what_there_is_to_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"split": "validation", "metrics": {"AP": 0.5}}))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example/")
    monkeypatch.setattr(MlflowRegistry, "named", lambda registry, name, alias: champion(AP=0.4))
    text = question(parse_config({"training": "/t", "output": "s3://bucket/out"}), RUN, tmp_path)
    assert "measured on the validation images" in text and "Predictions on validation images: `s3://bucket/" in text
    assert "| AP | 0.5 | 0.4 | +0.1 |" in text
    assert "(https://airflow.example/dags/d/runs/r1)" in text
    assert "(http://mlflow.example/#/models/detector/versions/7)" in text
    assert "s3://bucket/out/r1/output/predictions.png" in text
