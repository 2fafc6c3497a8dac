"""The form that starts a run again: filled with what the run was started with, wherever that came from."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from boxwright_airflow.runs import again

DAG_ID = "object_detection_training"
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def form(visit: Callable[..., Any]) -> Callable[..., str]:
    def open_form(run_id: str, user: str = "editor", status: int = 200) -> str:
        answer = visit(user).get(f"/runs/{DAG_ID}/{run_id}/again")
        assert answer.status_code == status, answer.text
        return str(answer.text)

    return open_form


def values(page: str) -> dict[str, str]:
    """What the form would send, and what it leaves to defaults, by name."""
    fields = dict(re.findall(r'<input id="field-(\w+)" name="\w+" value="([^"]*)"', page))
    for name, options in re.findall(r'<select id="field-(\w+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r"<option selected>([^<]*)", options)
        fields[name] = chosen[1] if chosen else ""
    return {name: html.unescape(value) for name, value in fields.items()}


def given(page: str) -> set[str]:
    return set(re.findall(r'name="(\w+)"[^>]* data-given="yes"', page))


def test_what_a_run_was_given_is_in_the_form_and_the_rest_is_as_it_comes(make_run: Any, form: Any) -> None:
    conf = {
        "training": f"s3://b/{HOSTILE}",
        "epochs": 7,
        "learning_rate": 0.002,
        "augmentation": "flip",
        "force": True,
        "early_stopping": "False",
        "gate_min_ap50_per_class": {"bolt": 0.5},
        "export_formats": ["saved_model"],
        "test": None,
        "parent": "",
        "no_such_setting": 1,
    }
    make_run("known", **conf)
    page = form("known")
    found = values(page)
    same = ("training", "epochs", "learning_rate", "augmentation", "force")
    assert {name: found[name] for name in same} == {name: str(conf[name]) for name in same}
    assert (found["early_stopping"], found["gate_min_ap50_per_class"]) == ("False", '{"bolt": 0.5}')
    assert found["export_formats"] == '["saved_model"]'
    assert (found["test"], found["model_name"], found["batch_size"]) == ("", "detector", "")
    assert given(page) == set(conf) - {"test", "parent", "no_such_setting"}
    assert "left out: no_such_setting" in page and "<script>alert" not in page


def test_a_week_of_a_backfill_is_started_again_on_its_own_data(make_run: Any, form: Any) -> None:
    run = make_run("week", training="s3://b/{data_interval_end:%Y-%m-%d}/training", output="s3://b/out")
    run.row.run_type = "backfill"
    run.row.data_interval_start = datetime(2026, 1, 5, 3, tzinfo=UTC)
    run.row.data_interval_end = datetime(2026, 1, 12, 3, tzinfo=UTC)
    run.session.merge(run.row)
    run.session.commit()
    assert values(form("week"))["training"] == "s3://b/2026-01-12/training"


def test_what_a_variable_held_and_an_event_announced_is_there(
    make_run: Any, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_OUTPUT_URI", "s3://b/{as_of:%Y}")
    run = make_run("told", epochs=3)
    monkeypatch.setattr(
        "boxwright_airflow.schedule.params_of_event", lambda run: {"training": "s3://b/new", "test": "s3://b/test"}
    )
    found = values(form("told"))
    year = f"{run.row.run_after:%Y}"
    assert (found["training"], found["test"], found["output"]) == ("s3://b/new", "s3://b/test", f"s3://b/{year}")


def test_a_uri_that_never_was_right_is_shown_to_be_corrected(make_run: Any, form: Any) -> None:
    run = make_run("wrong", training="s3://b/{data_interval_end}")
    run.row.conf = run.row.conf | {"model_id": "no-such-model"}  # as one of an earlier release may have
    run.session.merge(run.row)
    run.session.commit()
    found = values(form("wrong"))
    assert (found["training"], found["model_id"]) == ("s3://b/{data_interval_end}", "no-such-model")


def test_who_may_start_a_run_is_offered_it(make_run: Any, form: Any, visit: Any) -> None:
    make_run("shown")
    here = f"/runs/{DAG_ID}/shown"
    assert f'href="/boxwright{here}/again"' in visit("editor").get(here).text
    assert "/again" not in visit("viewer").get(here).text
    form("shown", user="viewer", status=403)
    form("gone", status=404)


def test_every_setting_has_its_field_in_its_section() -> None:
    sections = again.fields_of({})
    assert list(sections)[:2] == ["Data", "Model"]
    names = [one.name for fields in sections.values() for one in fields]
    assert names == list(again.run_params())
