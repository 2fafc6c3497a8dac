"""Whoever starts a run in Airflow names only what the administrator allows, however the run is started."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from boxwright.config import Limit
from boxwright.errors import NotAllowedError
from boxwright_airflow.allowed import allowed_here, limited
from boxwright_airflow.approval import ApproveModelOperator
from boxwright_airflow.batch_inference import BatchInferenceOperator
from boxwright_airflow.operators import BoxwrightStepOperator
from boxwright_airflow.seed_choice import ChooseSeedOperator

NOW = datetime(2026, 1, 7, 10, tzinfo=UTC)
PARAMS = {"training": "s3://lake/weekly", "output": "s3://results/runs"}


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in Limit:
        monkeypatch.delenv(limit, raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_TRAINING_URI", "s3://lake/{as_of}/x")
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_OUTPUT_URI", "s3://results/runs")


def context(params: dict[str, Any], run_type: str = "manual", events: tuple[Any, ...] = ()) -> Any:
    dag_run = SimpleNamespace(
        dag_id="training", run_id="r", run_type=run_type, run_after=NOW, consumed_asset_events=events,
        data_interval_start=NOW, data_interval_end=NOW, logical_date=NOW,
    )  # fmt: skip
    ti = SimpleNamespace(xcom_push=lambda *_: None)
    return {"params": params, "dag_run": dag_run, "run_id": "r", "ti": ti}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr("boxwright.pipeline.run_node", lambda *call: calls.append(call) or {})
    return calls


def step(params: dict[str, Any], **kwargs: Any) -> None:
    BoxwrightStepOperator(task_id="t", node="evaluate").execute(context(params, **kwargs))


def test_what_is_configured_is_allowed(ran: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    step(PARAMS)
    step({"training": None, "output": None})
    step(PARAMS | {"training": "s3://lake/another", "parent": "models:/detector@champion"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store:9000")
    step(PARAMS | {"storage_endpoint_url": "http://store:9000"})
    assert len(ran) == 4


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"training": "/var/lib"}, Limit.URIS),
        ({"training": "s3://lake-of-others/x"}, Limit.URIS),
        ({"test": "s3://lake{as_of:-of-others}/x"}, Limit.URIS),
        ({"output": "/root"}, Limit.URIS),
        ({"parent": "/tmp/model.tar.gz"}, Limit.URIS),
        ({"weights_uri": "s3://evil/weights"}, Limit.URIS),
        ({"storage_endpoint_url": "http://listener:9"}, Limit.ENDPOINTS),
        ({"storage_connection": "aws_default"}, Limit.CONNECTIONS),
        ({"storage_role_arn": "arn:aws:iam::1:role/admin"}, Limit.ROLES),
    ],
    ids=str,
)
def test_anything_else_is_refused_for_good_before_anything_is_read(
    ran: list[Any], changes: dict[str, Any], limit: Limit
) -> None:
    with pytest.raises(AirflowFailException, match=f"{next(iter(changes))}=.*{limit}"):
        step(PARAMS | changes)
    assert ran == []


def test_announced_data_is_held_against_the_list(ran: list[Any]) -> None:
    asset = SimpleNamespace(name="object_detection_dataset")
    event = SimpleNamespace(asset=asset, timestamp=NOW, extra={"training": "file:///etc"})
    with pytest.raises(AirflowFailException, match="training=file:///etc is not allowed"):
        step(PARAMS | {"training": None}, run_type="asset_triggered", events=(event,))
    assert ran == []


def test_every_task_that_opens_settings_refuses() -> None:
    bad = PARAMS | {"training": "/etc"}
    for work in (ChooseSeedOperator(task_id="choose").poke, ApproveModelOperator(task_id="approve").execute):
        with pytest.raises(AirflowFailException, match="training=/etc is not allowed"):
            work(context(bad))
    batch = BatchInferenceOperator(task_id="plan", step="plan")
    for name in ("images", "output", "model"):
        params = {"images": "s3://lake/i", "output": "s3://results/o", "model": "models:/a/1"} | {name: "/etc/x"}
        with pytest.raises(AirflowFailException, match=f"{name}=/etc/x is not allowed"):
            batch.execute(context(params))


def test_a_trigger_cannot_say_where_code_runs(ran: list[Any]) -> None:
    with pytest.raises(AirflowFailException, match="beam_pipeline_args is not a setting of a run"):
        step(PARAMS | {"beam_pipeline_args": "--runner=PortableRunner --environment_type=PROCESS"})
    assert ran == []


def test_the_administrators_list_takes_the_place_of_what_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXWRIGHT_ALLOWED_URIS", "s3://only")
    assert allowed_here().allows("s3://only/x", Limit.URIS)
    assert not allowed_here().allows("s3://lake/x", Limit.URIS)


def test_storage_follows_links_within_the_lists_as_long_as_a_step_runs(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from boxwright.storage import list_files

    (tmp_path / "secret").write_text("x")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.json").symlink_to(tmp_path / "secret")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_TRAINING_URI", str(tmp_path / "root"))
    with limited(), pytest.raises(NotAllowedError):
        list_files(str(tmp_path / "root"))
    assert list_files(str(tmp_path / "root"))


def test_a_variable_that_holds_no_uri_is_named(ran: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_OUTPUT_URI", "gs://bucket")
    with pytest.raises(AirflowFailException, match="Variable boxwright_output_uri is 'gs://bucket'.*use s3://"):
        step(PARAMS)
    assert ran == []
