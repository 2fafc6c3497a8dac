"""The registry over REST: pages of results, who asks, and what a server's failures become."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest

from boxwright.errors import StorageError, UsageError
from boxwright.registry.mlflow_client import ExistsError, MissingError
from boxwright.registry.mlflow_registry import MlflowRegistry
from boxwright.registry.rest import RestClient

Answer = Callable[[httpx.Request], httpx.Response]


def client(answer: Answer, uri: str = "http://user:secret@mlflow.example", quick: bool = True) -> RestClient:
    return RestClient(uri, quick, transport=httpx.MockTransport(answer))


def test_all_pages_are_read() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        last = "page_token" in request.url.params
        version = {"name": "detector", "version": "1" if last else "2", "tags": [{"key": "a", "value": "b"}]}
        return httpx.Response(200, json={"model_versions": [version]} | ({} if last else {"next_page_token": "more"}))

    found = [one for page in client(answer).version_pages("name = 'detector'", page=1) for one in page]
    assert [(one.version, one.tags) for one in found] == [(2, {"a": "b"}), (1, {"a": "b"})]
    assert [one["max_results"] for one in asked] == ["1", "1"] and asked[1]["page_token"] == "more"


def test_empty_answers_are_empty() -> None:
    assert client(lambda _: httpx.Response(200, json={})).models() == []


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({}, "Basic dXNlcjpzZWNyZXQ="),
        ({"MLFLOW_TRACKING_TOKEN": "a-token"}, "Bearer a-token"),
        ({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "pw"}, "Basic bWU6cHc="),
    ],
)
def test_it_says_who_asks_as_mlflows_client_does(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], header: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(200, json={})

    address = "http://mlflow.example" if variables else "http://user:secret@mlflow.example"
    client(answer, address).set_alias("detector", "champion", 3)
    assert seen == [header]


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (503, {"message": "database is locked"}, StorageError, "database is locked"),
        (429, {}, StorageError, "answered 429"),
        (404, {"message": "no such model"}, UsageError, "no such model"),
        (403, {"message": "PERMISSION_DENIED"}, UsageError, "answered 403"),
    ],
)
def test_failures_are_typed_and_without_the_password(
    status: int, body: dict[str, str], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as raised:
        client(lambda _: httpx.Response(status, json=body)).model("detector")
    assert "secret" not in str(raised.value) and "http://mlflow.example" in str(raised.value)


@pytest.mark.parametrize("content", [b"<html>a proxy's page</html>", b"\xff"])
def test_what_is_no_answer_of_mlflows_is_named(content: bytes) -> None:
    with pytest.raises(StorageError, match="start MLflow"):
        client(lambda _: httpx.Response(200, content=content)).models()


def test_a_server_that_is_away_is_named() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(StorageError, match="ConnectError.*MLFLOW_TRACKING_URI"):
        client(refuse).models()


class Flaky:
    """A server that fails some times before it answers."""

    def __init__(self, *failures: int | Exception) -> None:
        self.failures, self.asked = list(failures), 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        failure = self.failures.pop(0) if self.failures else 200
        if isinstance(failure, Exception):
            raise failure
        return httpx.Response(
            failure, json={"experiment_id": "1", "run": {"info": {"run_id": "", "experiment_id": ""}}}
        )


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0.001")


def test_a_task_asks_again(at_once: None) -> None:
    server = Flaky(503, httpx.ReadTimeout("slow"))
    assert client(server, quick=False).create_experiment("detector") == "1"
    assert server.asked == 3
    with pytest.raises(StorageError, match="answered 503"):
        client(Flaky(503, 503, 503), quick=False).models()
    with pytest.raises(StorageError, match="answered 503"):
        client(Flaky(503), quick=True).models()


def test_what_may_have_been_made_is_not_made_again(at_once: None) -> None:
    for failure in (500, httpx.ReadTimeout("slow")):
        server = Flaky(failure)
        with pytest.raises(StorageError):
            client(server, quick=False).create_run("1", {})
        assert server.asked == 1
    server = Flaky(httpx.ConnectError("refused"))
    client(server, quick=False).create_run("1", {})
    assert server.asked == 2


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "RESOURCE_DOES_NOT_EXIST", MissingError),
        (400, "RESOURCE_ALREADY_EXISTS", ExistsError),
        (400, "INVALID_PARAMETER_VALUE", UsageError),
        (400, "BAD_REQUEST", StorageError),
        (500, "INTERNAL_ERROR", StorageError),
    ],
)
def test_mlflows_error_codes_are_typed(status: int, code: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised:
        client(lambda _: httpx.Response(status, json={"error_code": code, "message": "no"})).model("detector")
    assert type(raised.value) is kind


def test_a_setting_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "long")
    with pytest.raises(UsageError, match="MLFLOW_HTTP_REQUEST_TIMEOUT='long': expected a number"):
        client(Flaky(), quick=False).models()


def test_credentials_may_lie_in_mlflows_own_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".mlflow").mkdir()
    written = "[mlflow]\nmlflow_tracking_username = me\nmlflow_tracking_password = p%w\n"
    (tmp_path / ".mlflow" / "credentials").write_text(written)
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(200, json={})

    client(answer, "http://mlflow.example").models()
    assert seen == ["Basic bWU6cCV3"]


def test_changes_name_what_they_change() -> None:
    sent: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, request.url.path.rpartition("mlflow/")[2], json.loads(request.content)))
        return httpx.Response(200, json={})

    opened = client(answer)
    opened.delete_alias("detector", "previous")
    opened.set_version_tag("detector", 2, "boxwright.accepted", "false")
    assert sent == [
        ("DELETE", "registered-models/alias", {"name": "detector", "alias": "previous"}),
        (
            "POST",
            "model-versions/set-tag",
            {"name": "detector", "version": "2", "key": "boxwright.accepted", "value": "false"},
        ),
    ]


def test_a_version_by_its_alias_costs_one_question_however_many_versions_there_are() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path.rpartition('2.0/mlflow/')[2]}?{request.url.query.decode()}")
        found = {"name": "detector", "version": "7000", "aliases": ["champion", "best"]}
        return httpx.Response(200, json={"model_version": found})

    registry = MlflowRegistry(client(answer), nullcontext())
    version = registry.resolve("models:/detector@champion")
    assert (version.version, version.aliases) == (7000, ("best", "champion"))
    assert asked == ["GET registered-models/alias?name=detector&alias=champion"]
    assert registry.resolve("models:/detector/7000").aliases == ("best", "champion")
    assert asked[1:] == ["GET model-versions/get?name=detector&version=7000"]


def test_what_there_is_is_told_from_one_page() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path.rpartition("/mlflow/")[2])
        if asked[-1] == "model-versions/search":
            versions = [{"name": "detector", "version": str(number)} for number in range(9000, 8980, -1)]
            assert request.url.params["max_results"] == "20"
            return httpx.Response(200, json={"model_versions": versions, "next_page_token": "more"})
        if asked[-1] == "registered-models/get":
            return httpx.Response(200, json={"registered_model": {"name": "detector"}})
        return httpx.Response(400, json={"error_code": "INVALID_PARAMETER_VALUE", "message": "no such alias"})

    with pytest.raises(UsageError, match=r"@best does not exist; detector has 8981, .*8999, 9000$"):
        MlflowRegistry(client(answer), nullcontext()).resolve("models:/detector@best")
    assert asked.count("model-versions/search") == 1


def test_a_refusal_is_not_taken_for_a_missing_alias() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(403, json={"error_code": "PERMISSION_DENIED", "message": "not yours"})

    with pytest.raises(UsageError, match="not yours"):
        MlflowRegistry(client(answer), nullcontext()).named("detector", "champion")
