"""Trying a model out over HTTP: who may, with which images, and that serving's own words come back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import finder as finder_model
import pytest

from boxwright.registry.opening import open_registry
from boxwright_airflow.pages.app import build
from boxwright_airflow.pages.registered_models import RegisteredModels, open_registered
from boxwright_airflow.trial.current_model import current_model
from boxwright_airflow.trial.process import ModelProcess

SAME = {"Sec-Fetch-Site": "same-origin"}
CROSS = {"Sec-Fetch-Site": "cross-site"}


class Visitor:
    """One who has opened the page of the registered model."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.page = client.get("/try/tried/1")
        self.token = re.search(r'data-token="([^"]+)"', self.page.text)[1]  # type: ignore[index]

    def post(self, what: str, headers: dict[str, str] = SAME, **options: Any) -> Any:
        kind = {"Content-Type": options.pop("kind", "image/jpeg")} if "content" in options else {}
        given = {"X-Boxwright-Token": self.token} | kind | headers
        return self.client.post(f"/try/tried/1/{what}", headers=given, **options)


@pytest.fixture
def visitor(visit: Callable[..., Any], ready: ModelProcess, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    """With the model already loaded, as version 1 of `tried`."""
    monkeypatch.setattr(ready, "reference", "models:/tried/1")
    monkeypatch.setattr(current_model(), "_current", ready)
    return Visitor(visit("viewer"))


def test_a_viewer_tries_a_model(visitor: Visitor) -> None:
    assert visitor.client.get("/try/tried/2/status").json()["phase"] == "off"
    started = visitor.post("start").json()
    assert started["phase"] == "ready", started
    assert started["facts"]["classes"] == list(finder_model.LABELS)
    answer = visitor.post("boxes", content=finder_model.encoded(finder_model.scene()))
    assert answer.status_code == 200
    assert answer.json()["normalized_boxes"][0] == pytest.approx([0.1, 0.1, 0.4, 0.4], abs=0.02)
    assert answer.json()["scores"] == pytest.approx([0.9, 0.25])


@pytest.mark.parametrize(
    ("content", "kind", "status", "code", "reason"),
    [
        (b"GIF89a", "image/gif", 415, "unsupported_media_type", "send the image's bytes as"),
        (b"no image", "image/png", 400, "image_unreadable", "JPEG or PNG"),
        (b"", "image/png", 400, "image_empty", "the image has no bytes"),
        (b"x" * 10_000_001, "image/jpeg", 413, "body_too_large", "the limit of 10,000,000 bytes"),
    ],
)
def test_a_bad_image_is_refused_in_servings_own_words(
    visitor: Visitor, content: bytes, kind: str, status: int, code: str, reason: str
) -> None:
    answer = visitor.post("boxes", content=content, kind=kind)
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert reason in answer.json()["reason"]


def test_only_our_own_page_starts_a_process(visitor: Visitor, visit: Callable[..., Any]) -> None:
    for headers in (CROSS, SAME | {"X-Boxwright-Token": ""}, SAME | {"X-Boxwright-Token": visitor.token + "x"}):
        for what in ("start", "boxes"):
            assert visitor.post(what, headers).status_code == 403
    # Another user's page is not this user's.
    assert visit("editor").post("/try/tried/1/start", headers=SAME | {"X-Boxwright-Token": visitor.token}).is_error


@pytest.mark.parametrize("path", ["", "/tried/1", "/tried/1/status"])
def test_nobody_is_let_in_without_a_log_in(visit: Callable[..., Any], path: str) -> None:
    assert visit(None).get(f"/try{path}").status_code == 401
    assert visit(None).post("/try/tried/1/start", headers=SAME).status_code == 401


@pytest.mark.parametrize("path", ["/try/--help/1", "/try/a%20b/1", "/try/tried/0", "/try/tried/x"])
def test_what_is_no_model_is_refused(visitor: Visitor, path: str) -> None:
    assert visitor.client.get(path).status_code == 422


def test_a_model_that_has_ended_is_asked_to_be_started(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_model()._current, "url", "http://127.0.0.1:9")
    image = finder_model.encoded(finder_model.scene())
    assert visitor.post("boxes", content=image).json()["error"] == "not_loaded"
    monkeypatch.setattr(current_model(), "_current", None)
    assert visitor.post("boxes", content=image).status_code == 409


def test_a_registry_that_is_down_is_said(visit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    down = RegisteredModels(open_registry("http://127.0.0.1:9", quick=True))
    monkeypatch.setitem(build().dependency_overrides, open_registered, lambda: down)
    answer = visit("viewer").get("/try")
    assert answer.status_code == 503
    assert "http://127.0.0.1:9 did not answer" in answer.text
