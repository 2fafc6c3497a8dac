"""The list of models: what it shows, in what order, and what it does with hostile names, many versions and none."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., Any]
HOSTILE = "<img src=x onerror=alert(1)> \" ' {{ 7*7 }} </td>"


def rows(text: str) -> list[str]:
    """`model version` of each row of the table."""
    return re.findall(r'<th scope="row"><a href="[^"]*">([^<]+)</a>', text)


def test_an_empty_registry_says_how_to_fill_it(visit: Make, registry: Any) -> None:
    answer = visit("viewer").get("/models")
    assert answer.status_code == 200
    assert "No model is registered yet" in answer.text and "object_detection_training" in answer.text


def test_the_start_leads_to_the_models_below_airflows_own_path(visit: Make, registry: Any) -> None:
    answer = visit("viewer").get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/boxwright/models")


def test_versions_are_listed_with_what_is_known_of_them(visit: Make, make_version: Make) -> None:
    make_version("run-1", "2026-03-01", 0.4)
    make_version("run-2", "2026-03-02", 0.5, parent="models:/detector/1")
    make_version("run-3", "2026-03-03", 0.3, accepted=False, rejected_by="by the quality gate")
    text = visit("viewer").get("/models").text
    assert rows(text) == ["detector 3", "detector 2", "detector 1"]
    champion = text[text.index("detector 2</a>") : text.index("detector 1</a></th>")]
    for shown in ("champion", "candidate", "0.500", "0.600", 'href="/boxwright/models/detector/1"', "2026-03-02"):
        assert shown in champion
    assert "rejected" in text[text.index("detector 3</a>") : text.index("detector 2</a></th>")]
    assert text.count("<circle") == 3 and "AP over time" in text


QUERIES = {
    "sort=ap&order=asc": ["detector 3", "detector 1", "detector 2", "other 1"],
    "sort=ap&order=desc": ["detector 2", "detector 1", "detector 3", "other 1"],
    "sort=name&order=asc": ["detector 1", "detector 2", "detector 3", "other 1"],
    "state=rejected": ["detector 3"],
    "state=champion&sort=name&order=asc": ["detector 2", "other 1"],
    "model=other": ["other 1"],
    "q=RUN-2": ["detector 2"],
    "q=washer": ["other 1"],
    "q=nothing+like+it": [],
}


def test_sorting_and_filtering(visit: Make, make_version: Make) -> None:
    make_version("run-1", "2026-03-01", 0.4)
    make_version("run-2", "2026-03-02", 0.5)
    make_version("run-3", "2026-03-03", 0.3, accepted=False)
    no_number = {"AP50": 0.1, "AP": float("nan")}
    make_version("run-4", "2026-03-04", model_name="other", classes=["washer"], metrics=no_number)
    for query, expected in QUERIES.items():
        assert rows(visit("viewer").get(f"/models?{query}").text) == expected, query


def test_unknown_sortings_are_refused(visit: Make, registry: Any) -> None:
    assert visit("viewer").get("/models?sort=__class__").status_code == 422


def test_what_others_wrote_is_escaped_and_breaks_nothing(visit: Make, make_version: Make, registry: Any) -> None:
    made = make_version("run-1", classes=[HOSTILE, "nut"], parent=HOSTILE, run_url="javascript:alert(1)")
    client = registry._client._client
    for name, value in (
        ("metric.AP", "<b>much</b>"), ("classes", "{no json"), ("fingerprint", HOSTILE), ("as_of", HOSTILE),
        ("hyperparameters", "[]"), ("label_map", '{"category_ids": 3}'),
    ):  # fmt: skip
        client.set_model_version_tag(made.name, str(made.version), f"boxwright.{name}", value)
    client.set_model_version_tag(
        made.name, str(made.version), "boxwright.classes", f'["{HOSTILE.replace(chr(34), "")}"]'
    )
    for path in ("/models", "/models/detector/1"):
        answer = visit("viewer").get(path)
        assert answer.status_code == 200, path
        assert "<img src=x" not in answer.text and "javascript:" not in answer.text
        assert "<b>much" not in answer.text
        assert "&lt;img src=x onerror=alert(1)&gt;" in answer.text


def test_new_versions_and_moved_aliases_show_at_once(visit: Make, make_version: Make, registry: Any) -> None:
    client = visit("viewer")
    make_version("run-1", ap=0.4)
    assert rows(client.get("/models").text) == ["detector 1"]
    make_version("run-2", ap=0.3)
    registry.promote("models:/detector/2")
    text = client.get("/models?state=champion").text
    assert rows(text) == ["detector 2"]


def test_long_lists_come_in_parts(visit: Make, registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = registry._client._client
    client.create_registered_model("many")
    for number in range(7):
        client.create_model_version("many", f"s3://models/{number}/model.tar.gz", await_creation_for=0)
    monkeypatch.setattr("boxwright_airflow.pages.models.PAGE_ROWS", 3)
    shown = [rows(visit("viewer").get(f"/models?sort=version&order=asc&part={part}").text) for part in (1, 2, 3, 9)]
    assert [len(part) for part in shown] == [3, 3, 1, 1]
    assert shown[0] + shown[1] + shown[2] == [f"many {number}" for number in range(1, 8)]


def test_a_registry_that_does_not_answer_is_named(visit: Make, registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from boxwright.registry.opening import open_registry
    from boxwright_airflow.pages.app import build
    from boxwright_airflow.pages.registered_models import RegisteredModels, open_registered

    uri = "http://user:secret@127.0.0.1:9"
    monkeypatch.setitem(
        build().dependency_overrides, open_registered, lambda: RegisteredModels(open_registry(uri, quick=True))
    )
    for path in ("/models", "/models/detector/1"):
        answer = visit("viewer").get(path)
        assert answer.status_code == 503
        assert "http://127.0.0.1:9 did not answer" in answer.text and "start MLflow" in answer.text
        assert "secret" not in answer.text


def test_a_registry_without_a_server_is_explained(visit: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from boxwright_airflow.pages import registered_models as registered

    registered._registered.cache_clear()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/mlflow.sqlite")
    answer = visit("viewer").get("/models")
    assert answer.status_code == 503 and "MLFLOW_TRACKING_URI" in answer.text
