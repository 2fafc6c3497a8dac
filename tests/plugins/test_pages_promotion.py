"""Promoting and rolling back: who may, from where, and what another's change in between does."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

Make = Callable[..., Any]
BROWSER = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def three(make_version: Make) -> None:
    """Version 2 is champion, 1 was before, 3 is a candidate."""
    for number, ap in enumerate((0.4, 0.5, 0.3), start=1):
        make_version(f"run-{number}", f"2026-03-0{number}", ap)


def form_of(client: Any, path: str) -> dict[str, str]:
    """The hidden fields of the form on a page."""
    text = client.get(path).text
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text))


def post(client: Any, path: str, data: dict[str, str], **headers: str) -> Any:
    sent = {name.replace("_", "-"): value for name, value in headers.items()} or BROWSER
    return client.post(path, data=data, headers=sent, follow_redirects=False)


def test_an_editor_promotes_after_seeing_what_changes(visit: Make, three: None, registry: Any) -> None:
    client = visit("editor")
    page = client.get("/models/detector/3/promote").text
    assert "Champion now" in page and "0.500" in page and "0.300" in page
    assert "lower than the champion" in page
    answer = post(client, "/models/detector/3/promote", form_of(client, "/models/detector/3/promote"))
    assert answer.status_code == 303
    assert answer.headers["location"] == "/boxwright/models/detector/3?done=promoted"
    assert registry.aliases("detector") == {"champion": 3, "previous": 2, "candidate": 3}
    assert "is the champion now" in client.get("/models/detector/3?done=promoted").text


@pytest.mark.parametrize(("reject", "aliases"), [
    ({}, {"champion": 1, "previous": 2, "candidate": 3}),
    ({"reject": "true"}, {"champion": 1, "candidate": 3}),
])  # fmt: skip
def test_an_editor_rolls_back(visit: Make, three: None, registry: Any, reject: dict[str, str], aliases: Any) -> None:
    client = visit("editor")
    form = form_of(client, "/models/detector/rollback") | reject
    assert post(client, "/models/detector/rollback", form).headers["location"].endswith("/detector/1?done=restored")
    assert registry.aliases("detector") == aliases
    assert registry.resolve("models:/detector/2").accepted is not bool(reject)


def test_viewers_change_nothing_and_anonymous_are_asked_to_log_in(visit: Make, three: None, registry: Any) -> None:
    form = form_of(visit("editor"), "/models/detector/3/promote")
    before = registry.aliases("detector")
    for path in ("/models/detector/3/promote", "/models/detector/rollback"):
        assert post(visit("viewer"), path, form).status_code == 403
        assert visit("viewer").get(path).status_code == 403
        assert post(visit(None), path, form).status_code == 401
        assert visit(None).get(path).status_code == 401
    assert registry.aliases("detector") == before


ELSEWHERE: tuple[dict[str, str], ...] = (
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "none"},
    {"origin": "https://elsewhere.example"},
    {"origin": "null"},
    {"accept": "text/html"},
    {"origin": "http://airflow.example.elsewhere.example"},
)


def test_forms_of_other_sites_change_nothing(visit: Make, three: None, registry: Any) -> None:
    client = visit("editor")
    form = form_of(client, "/models/detector/3/promote")
    for headers in ELSEWHERE:
        answer = post(client, "/models/detector/3/promote", form, **headers)
        assert answer.status_code == 403 and "another site" in answer.text, headers
    assert registry.aliases("detector")["champion"] == 2


def test_an_old_browser_is_known_by_its_origin(visit: Make, three: None) -> None:
    client = visit("editor")
    form = form_of(client, "/models/detector/3/promote")
    assert post(client, "/models/detector/3/promote", form, origin="http://airflow.example").status_code == 303


def test_a_token_is_of_one_user_and_of_one_day(
    visit: Make, three: None, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, client = "/models/detector/3/promote", visit("editor")
    form = form_of(client, path)
    for token in ("", "guessed", form["token"][:-2] + "xx"):
        assert post(client, path, form | {"token": token}).status_code == 403
    assert post(client, path, {"champion": "2"}).status_code == 403
    other = post(visit("chief"), path, form)
    assert other.status_code == 403 and "another user" in other.text
    monkeypatch.setattr("boxwright_airflow.pages.security.TOKEN_SECONDS", -1)
    late = post(client, path, form)
    assert late.status_code == 403 and "open for too long" in late.text
    assert registry.aliases("detector")["champion"] == 2


def test_a_change_in_between_is_not_overwritten(visit: Make, three: None, registry: Any) -> None:
    client = visit("editor")
    promote = form_of(client, "/models/detector/3/promote")
    back = form_of(client, "/models/detector/rollback")
    registry.promote("models:/detector/1")
    for path, form in (("/models/detector/3/promote", promote), ("/models/detector/rollback", back)):
        answer = post(client, path, form)
        assert answer.status_code == 409 and "has changed in the meantime" in answer.text
    assert registry.aliases("detector")["champion"] == 1


def test_a_champion_that_came_meanwhile_stays(visit: Make, make_version: Make, registry: Any) -> None:
    make_version("run-1")
    registry._client.delete_alias("detector", "champion")
    client = visit("editor")
    form = form_of(client, "/models/detector/1/promote")
    assert form["champion"] == ""
    registry.promote("models:/detector/1")
    assert post(client, "/models/detector/1/promote", form).status_code == 409
    registry._client.delete_alias("detector", "champion")
    assert post(client, "/models/detector/1/promote", form).status_code == 303


def test_rejected_versions_cannot_be_promoted(visit: Make, make_version: Make, registry: Any) -> None:
    make_version("run-1")
    make_version("run-2", accepted=False)
    client = visit("editor")
    assert "cannot become the champion" in client.get("/models/detector/2/promote").text
    answer = post(client, "/models/detector/2/promote", {"token": token_of("editor"), "champion": "1"})
    assert answer.status_code == 409 and "did not pass its gate" in answer.text
    assert client.get("/models/detector/rollback").status_code == 409


def token_of(user: str) -> str:
    """A token of a user, as any form of the pages has it."""
    from boxwright_airflow.pages.security import csrf_token

    return csrf_token(SimpleNamespace(get_id=lambda: user))  # type: ignore[arg-type]
