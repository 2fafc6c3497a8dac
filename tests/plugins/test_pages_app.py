"""The application of the pages: what it serves to whom, its headers, and a page for every error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from boxwright_airflow.pages import assets

MakeClient = Callable[..., TestClient]


def test_anonymous_visitors_get_nothing(visit: MakeClient) -> None:
    for path in ("/static/boxwright.css", "/report?dag_id=a&run_id=b&task_id=c"):
        answer = visit(None).get(path)
        assert answer.status_code == 401, path
        assert "Please log in" in answer.text


def test_static_files_have_their_types_and_nothing_else_is_served(visit: MakeClient) -> None:
    client = visit("viewer")
    for name, kind in (("boxwright.css", "text/css"), ("theme.js", "text/javascript"), ("models-dark.svg", "svg")):
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200
        assert kind in answer.headers["content-type"]
        # A browser that left a page while its files came asks for the rest of each: it gets all of it.
        rest = client.get(f"/static/{name}", headers={"Range": "bytes=10-"})
        assert (rest.status_code, rest.content) == (200, answer.content) and "accept-ranges" not in answer.headers
    for name in ("app.py", "..%2Fapp.py", "%2e%2e/app.py"):
        assert client.get(f"/static/{name}").status_code == 404


def test_an_unknown_page_is_a_page_that_says_so_and_escapes_what_was_asked(visit: MakeClient) -> None:
    answer = visit("viewer").get("/static/<script>alert(1)<%2Fscript>")
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe-inline" not in policy


@pytest.mark.parametrize("path", ["/report", "/report?dag_id=x", "/report?dag_id=x&run_id=&task_id=y"])
def test_an_incomplete_address_is_explained(visit: MakeClient, path: str) -> None:
    answer = visit("viewer").get(path)
    assert answer.status_code == 422
    assert "run_id" in answer.text


@pytest.mark.parametrize("path", ["/runs/a%00/b", "/report?dag_id=a&run_id=b%00&task_id=c", "/models/%00/1"])
def test_a_nul_in_an_address_is_refused_before_a_database_sees_it(visit: MakeClient, path: str) -> None:
    answer = visit("viewer").get(path)
    assert answer.status_code == 422
    assert "NUL" in answer.text or "run_id: " in answer.text


def test_a_fault_of_ours_is_logged_with_its_traceback(
    visit: MakeClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(assets, "warm", broken)
    assert "KeyError" in visit("viewer").get("/static/boxwright.css").text
    assert any(record.exc_info and "a fault" in str(record.exc_info[1]) for record in caplog.records)
