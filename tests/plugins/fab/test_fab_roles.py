"""Who sees and may do what where users log in through FAB: the tables of `docs/security.md`, through an api-server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fab_visits import Visitor
from prepare_airflow import DAG_ID, OF_OTHER_DAG, OTHER_DAG, ROLES, RUN_ID, asking

Visitors = dict[str | None, Visitor]
Ask = Callable[[Visitor], httpx.Response]
ORDER = [role.lower() for role in ROLES]
VERSION, RUN, DAG = "/models/detector/1", f"/runs/{DAG_ID}/{RUN_ID}", f"/dags/{DAG_ID}"
REFUSED = (403, 404, 422)
OF_TASK = {"dag_id": DAG_ID, "run_id": RUN_ID, "task_id": "validate_annotations"}


def page(path: str, **query: Any) -> Ask:
    return lambda visitor: visitor.get(path, **query)


def sent(path: str, body: Any = None, **query: Any) -> Ask:
    return lambda visitor: visitor.post(path, body, **query)


def api(method: str, path: str, body: Any = None) -> Ask:
    return lambda visitor: visitor.api(method, path, body)


def of_dataset(path: str, **query: str) -> Ask:
    return lambda visitor: visitor.get(path, dataset=str(visitor.airflow.dataset), **query)


def upload(path: str, body: bytes | None = None, **query: str) -> Ask:
    return lambda visitor: visitor.post(f"/upload/{path}", body, dataset=f"{visitor.airflow.bucket}/set", **query)


def promote(visitor: Visitor) -> httpx.Response:
    """What the button does: with the champion that the page showed."""
    seen = visitor.airflow.registry.aliases("detector")["champion"]
    return visitor.post("/models/detector/2/promote", {"champion": str(seen)})


def roll_back(visitor: Visitor) -> httpx.Response:
    seen = visitor.airflow.registry.aliases("detector")["champion"]
    return visitor.post("/models/detector/rollback", {"champion": str(seen)})


def approve(visitor: Visitor) -> httpx.Response:
    run_id = asking(visitor.role or ROLES[0])
    path = f"{DAG}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
    return visitor.api("PATCH", path, {"chosen_options": ["Approve"]})


def announce(visitor: Visitor) -> httpx.Response:
    found = visitor.api("GET", "/assets").json().get("assets", ())
    known = [one["id"] for one in found if one["name"] == "object_detection_dataset"]
    return visitor.api("POST", "/assets/events", {"asset_id": known[0] if known else 1, "extra": {"training": "/a"}})


WEEK = {"dag_id": DAG_ID, "from_date": "2026-03-02T00:00:00Z", "to_date": "2026-03-09T00:00:00Z"}
# The least role that may, what the server then answers, and what is asked.
ASKED: dict[str, tuple[str, int, Ask]] = {
    # Looking
    "the models": ("viewer", 200, page("/models")),
    "a version": ("viewer", 200, page(VERSION)),
    "its report": ("viewer", 200, page(f"{VERSION}/report")),
    "its pictures": ("viewer", 200, page(f"{VERSION}/gallery/0.jpg")),
    "its archive": ("viewer", 200, page(f"{VERSION}/archive")),
    "its entries in ML Metadata, of which there are none": ("viewer", 503, page(f"{VERSION}/metadata")),
    "versions side by side": ("viewer", 200, page("/compare?v=detector/1&v=detector/2")),
    "the datasets": ("viewer", 200, page("/datasets")),
    "a dataset": ("viewer", 200, page(f"/datasets/{'f' * 64}")),
    "its validation report": ("viewer", 200, page(f"/datasets/{'f' * 64}/validation")),
    "images of a place": ("viewer", 200, of_dataset("/browse")),
    "an image of it": ("viewer", 200, of_dataset("/browse/image", split="training", file="p0.jpg")),
    "a run": ("viewer", 200, page(RUN)),
    "the live parts of its page": ("viewer", 200, page(f"{RUN}/live")),
    "its evaluation, which there is not yet": ("viewer", 404, page(f"{RUN}/evaluation")),
    "its images": ("viewer", 200, page(f"{RUN}/images")),
    "the report of a task": ("viewer", 200, page("/report", **OF_TASK)),
    "a style sheet": ("viewer", 200, page("/static/boxwright.css")),
    # Trying
    "the models that can be tried": ("viewer", 200, page("/try")),
    "the page that tries one": ("viewer", 200, page("/try/detector/1")),
    "how far a model is": ("viewer", 200, page("/try/detector/1/status")),
    "the boxes on an image, of a model that is not loaded": ("viewer", 409, sent("/try/detector/1/boxes", b"")),
    # Changing
    "the page for uploads": ("viewer", 200, page("/upload")),
    "begin an upload": ("user", 200, upload("begin")),
    "upload a file": ("user", 200, upload("file", b"{}", name="annotations.json")),
    "end an upload": ("user", 200, upload("end")),
    "the form that starts a run again": ("user", 200, page(f"{RUN}/again")),
    "trigger a run": ("user", 200, api("POST", f"{DAG}/dagRuns", {"logical_date": None, "conf": {"training": "/a"}})),
    "clear tasks": ("user", 200, api("POST", f"{DAG}/clearTaskInstances", {"dag_run_id": RUN_ID, "dry_run": True})),
    "pause the DAG": ("user", 200, api("PATCH", DAG, {"is_paused": True})),
    "ask whether to stop a training": ("user", 200, page(f"{RUN}/stop")),
    "stop a training": ("user", 303, sent(f"{RUN}/stop")),
    "ask whether to promote a version": ("user", 200, page(f"{VERSION}/promote")),
    "promote a version": ("user", 303, promote),
    "ask whether to roll back": ("user", 200, page("/models/detector/rollback")),
    "roll back": ("user", 303, roll_back),
    "create a backfill": ("user", 200, api("POST", "/backfills/dry_run", WEEK)),
    "approve a model": ("user", 200, approve),
    "announce data": ("user", 200, announce),
    # Administering
    "the plugins, of which Airflow's menu takes Boxwright's entry": ("op", 200, api("GET", "/plugins")),
    "read a Variable": ("op", 404, api("GET", "/variables/none")),
    "change a Variable": ("op", 404, api("PATCH", "/variables/none", {"key": "none", "value": "x"})),
    "read a connection": ("op", 404, api("GET", "/connections/none")),
    "change a pool": ("op", 404, api("PATCH", "/pools/none", {"name": "none", "slots": 2})),
}


def test_what_is_offered_is_what_is_allowed(visitors: Visitors) -> None:
    offers = {
        VERSION: f'href="/boxwright{VERSION}/promote"',
        "/models/detector/3": 'href="/boxwright/models/detector/rollback"',
        RUN: f'href="/boxwright{RUN}/again"',
        f"{RUN}/live": f'href="/boxwright{RUN}/stop"',
        "/upload": 'data-address="/boxwright/upload"',
    }
    champion = visitors["user"].airflow.registry.promote("models:/detector/3")
    assert champion[0].version == 3
    for path, offered in offers.items():
        seen = [role for role in ORDER if offered in visitors[role].get(path).text]
        assert seen == ORDER[1:], path
    told = visitors["viewer"].get(VERSION).text
    assert "Promoting needs the right to edit the DAG" in told
    assert "not to start one" in visitors["viewer"].get("/upload").text


@pytest.mark.parametrize("what", ASKED)
def test_a_role_may_do_what_the_docs_say(visitors: Visitors, what: str) -> None:
    least, status, ask = ASKED[what]
    answers = {role: ask(visitors[role]).status_code for role in (None, OF_OTHER_DAG.lower(), *ORDER)}
    may = ORDER[ORDER.index(least) :]
    expected = {None: 401, OF_OTHER_DAG.lower(): 403} | dict.fromkeys(ORDER, 403) | dict.fromkeys(may, status)
    assert answers == expected


def test_what_is_refused_changes_nothing(visitors: Visitors) -> None:
    registry, dataset = visitors["viewer"].airflow.registry, f"{visitors['viewer'].airflow.bucket}/refused"
    registry.begin_training("detector", "another", {})
    before = registry.aliases("detector")
    for role in ("viewer", OF_OTHER_DAG.lower()):
        # The token is right where they may have one: what they lack is the right.
        assert bool(visitors[role].token) is (role == "viewer")
        for ask in (promote, roll_back, sent(f"/runs/{DAG_ID}/another/stop")):
            assert ask(visitors[role]).status_code == 403
        assert visitors[role].post("/upload/file", b"x", dataset=dataset, name="a.jpg").status_code == 403
    assert registry.aliases("detector") == before
    assert not registry.is_stop_asked("detector", "another")
    assert visitors["user"].post("/upload/begin", dataset=dataset).json() == {"there": 0}


@pytest.mark.parametrize("dag_id", [OTHER_DAG, "~", "", "%7E", "*", f"{OTHER_DAG}%00"])
def test_a_right_to_another_dag_shows_nothing_of_the_training(visitors: Visitors, dag_id: str) -> None:
    stranger = visitors[OF_OTHER_DAG.lower()]
    assert stranger.api("GET", f"/dags/{OTHER_DAG}").status_code == 200
    for path in ("", "/live", "/evaluation", "/images", "/again", "/stop"):
        assert stranger.get(f"/runs/{dag_id}/{RUN_ID}{path}").status_code in REFUSED
    report = f"/report?run_id={RUN_ID}&task_id=validate_annotations"
    for query in (f"dag_id={dag_id}", f"dag_id={DAG_ID}&dag_id={dag_id}", f"dag_id={dag_id}&dag_id={DAG_ID}"):
        assert stranger.get(f"{report}&{query}").status_code in REFUSED
