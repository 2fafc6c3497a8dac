"""The application of the pages: what it serves to whom, its headers, and a page for every error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

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
    for name in ("app.py", "..%2Fapp.py", "%2e%2e/app.py"):
        assert client.get(f"/static/{name}").status_code == 404


def test_an_unknown_page_is_a_page_that_says_so_and_escapes_what_was_asked(visit: MakeClient) -> None:
    answer = visit("viewer").get("/static/<script>alert(1)<%2Fscript>")
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe-inline" not in policy


@pytest.mark.parametrize("path", ["/report", "/report?dag_id=x"])
def test_an_incomplete_address_is_explained(visit: MakeClient, path: str) -> None:
    answer = visit("viewer").get(path)
    assert answer.status_code == 422
    assert "run_id" in answer.text
