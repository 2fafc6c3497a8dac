"""The client against a small HTTP server that plays Airflow's part, faults included."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from boxwright.airflow_api.client import ATTEMPTS, AirflowClient, TaskState
from boxwright.errors import StorageError, UsageError

FAILED = TaskState("fine_tune", "failed", 1.0, 2)


class FakeAirflow(ThreadingHTTPServer):
    """Answers each `METHOD path` with the next of its scripted answers; the last one stays."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.tokens = 0
        self.valid = ""
        self.bodies: list[tuple[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: FakeAirflow

    def respond(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        key = f"{self.command} {self.path.partition('?')[0]}"
        status, content = self.login(body) if self.path == "/auth/token" else self.scripted(key, body)
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def login(self, body: Any) -> tuple[int, Any]:
        if body != {"username": "admin", "password": "right"}:
            return 401, {"detail": "Invalid credentials"}
        self.server.tokens += 1
        self.server.valid = f"token-{self.server.tokens}"
        return 201, {"access_token": self.server.valid}

    def scripted(self, key: str, body: Any) -> tuple[int, Any]:
        if self.headers["Authorization"] != f"Bearer {self.server.valid}":
            return 401, {"detail": "Not authenticated"}
        self.server.bodies.append((key, body))
        answers = self.server.answers.get(key, [(404, {"detail": "not found"})])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    do_GET = do_POST = do_PATCH = respond

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def airflow() -> Iterator[FakeAirflow]:
    server = FakeAirflow()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(airflow: FakeAirflow) -> AirflowClient:
    return AirflowClient(airflow.url, "admin", "right")


def test_a_token_is_taken_once_and_renewed_when_refused(airflow: FakeAirflow, client: AirflowClient) -> None:
    airflow.answers["GET /api/v2/pools"] = [(200, {"pools": []})]
    client.request("GET", "/pools")
    client.request("GET", "/pools")
    assert airflow.tokens == 1
    airflow.valid = "expired"
    assert client.request("GET", "/pools") == {"pools": []}
    assert airflow.tokens == 2


def test_a_wrong_password_is_told_without_repeating_it(airflow: FakeAirflow) -> None:
    with pytest.raises(UsageError, match="refused the log-in of user 'admin'") as caught:
        AirflowClient(airflow.url, "admin", "wrong").request("GET", "/pools")
    assert "wrong" not in str(caught.value)


def test_reading_is_repeated_when_the_server_fails(airflow: FakeAirflow, client: AirflowClient) -> None:
    airflow.answers["GET /api/v2/pools"] = [(500, {}), (200, {"pools": [{"name": "gpu"}]})]
    assert client.request("GET", "/pools")["pools"]


def test_creating_is_repeated_only_when_the_database_rolled_it_back(
    airflow: FakeAirflow, client: AirflowClient
) -> None:
    airflow.answers["POST /api/v2/pools"] = [(500, {"detail": {"reason": "Database error"}}), (201, {"name": "gpu"})]
    assert client.request("POST", "/pools", json={}) == {"name": "gpu"}
    airflow.answers["POST /api/v2/pools"] = [(500, {"detail": "lost"}), (201, {})]
    with pytest.raises(StorageError, match="500 to POST /pools: lost"):
        client.request("POST", "/pools", json={})


def test_a_refused_configuration_is_the_users_to_mend(airflow: FakeAirflow, client: AirflowClient) -> None:
    airflow.answers["POST /api/v2/dags/d/dagRuns"] = [(400, {"detail": "epochs: 0 is\nless than 1"})]
    with pytest.raises(UsageError, match="400 to POST /dags/d/dagRuns: epochs: 0 is less than 1"):
        client.trigger("d", "r", {"epochs": 0})
    assert airflow.bodies[-1][1] == {"dag_run_id": "r", "logical_date": None, "conf": {"epochs": 0}}


def test_a_pool_is_made_only_where_it_is_missing(airflow: FakeAirflow, client: AirflowClient) -> None:
    airflow.answers["GET /api/v2/pools"] = [(200, {"pools": []}), (200, {"pools": [{"name": "gpu"}]})]
    airflow.answers["POST /api/v2/pools"] = [(201, {})]
    client.ensure_pool("gpu", 1, "")
    client.ensure_pool("gpu", 1, "")
    assert [key for key, _ in airflow.bodies].count("POST /api/v2/pools") == 1


def test_a_dag_that_cannot_be_imported_is_told_with_its_reason(airflow: FakeAirflow, client: AirflowClient) -> None:
    problem = {"filename": "d.py", "stack_trace": "Traceback\n  x\nNameError: name 'y' is not defined\n"}
    airflow.answers["GET /api/v2/importErrors"] = [(200, {"import_errors": [problem]})]
    with pytest.raises(UsageError, match="d.py cannot be imported: NameError: name 'y' is not defined"):
        client.wait_for_dag("d", timeout=5)


def test_a_run_is_followed_to_its_end_with_tasks_in_the_order_of_their_starts(
    airflow: FakeAirflow, client: AirflowClient
) -> None:
    def task(name: str, state: str | None, start: str | None, seconds: float | None) -> dict[str, Any]:
        times = {"start_date": start, "end_date": start, "duration": seconds}
        return {"task_id": name, "state": state, "try_number": 1, **times}

    tasks = [task("c", None, None, None), task("b", "success", "2026-01-01T00:00:02Z", 2.0)]
    tasks.append(task("a", "success", "2026-01-01T00:00:01Z", 1.0))
    airflow.answers["GET /api/v2/dags/d/dagRuns/r%2B1"] = [(200, {"state": "running"}), (200, {"state": "success"})]
    airflow.answers["GET /api/v2/dags/d/dagRuns/r%2B1/taskInstances"] = [(200, {"task_instances": tasks})]
    seen = list(client.follow("d", "r+1", poll=0.01))
    assert [state for state, _ in seen] == ["running", "success"]
    assert [(task.task_id, task.state, task.seconds) for task in seen[-1][1]] == [
        ("a", "success", 1.0),
        ("b", "success", 2.0),
        ("c", "waiting", 0.0),
    ]


def test_a_server_that_is_started_again_while_a_run_is_followed_is_waited_for(
    airflow: FakeAirflow, client: AirflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boxwright.airflow_api.client.time.sleep", lambda seconds: None)
    path, down = "GET /api/v2/dags/d/dagRuns/r", [(503, {"detail": "starting"})] * (2 * ATTEMPTS)
    airflow.answers[f"{path}/taskInstances"] = [(200, {"task_instances": []})]
    airflow.answers[path] = [(200, {"state": "running"}), *down, (200, {"state": "success"})]
    assert [state for state, _ in client.follow("d", "r")] == ["running", "success"]
    airflow.answers[path] = [*down, (200, {"state": "success"})]
    with pytest.raises(StorageError, match="starting"):
        list(client.follow("d", "r"))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            [
                {"event": "Task failed", "error_detail": [{"exc_type": "GateError", "exc_value": "AP50 0.01\nis low"}]},
                {"event": "bye", "level": "info"},
            ],
            "GateError: AP50 0.01 is low",
        ),
        ([{"event": "x", "error_detail": [{"exc_type": "AirflowFailException", "exc_value": "too low"}]}], "too low"),
        ([{"event": "no memory", "level": "error"}, {"event": "bye", "level": "info"}], "no memory"),
        ([{"event": "started"}, {"event": "last words"}], "last words"),
        ([], "its log is empty"),
    ],
)
def test_the_error_of_a_task_is_one_line(
    airflow: FakeAirflow, client: AirflowClient, content: list[dict[str, Any]], line: str
) -> None:
    airflow.answers["GET /api/v2/dags/d/dagRuns/r/taskInstances/fine_tune/logs/2"] = [(200, {"content": content})]
    assert client.error_line("d", "r", FAILED) == line


def test_a_server_that_is_gone_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="does not answer"):
        AirflowClient("http://127.0.0.1:9", "admin", "right").request("GET", "/pools")


def test_the_last_words_of_a_task_are_boxwrights_own(airflow: FakeAirflow, client: AirflowClient) -> None:
    path = "GET /api/v2/dags/d/dagRuns/r/taskInstances/fine_tune/logs/2"
    own = {"event": "epoch=1/7\nloss=2", "logger": "boxwright.training"}
    airflow.answers[path] = [
        (200, {"content": [own, {"event": "other", "logger": "tfx"}, {"event": "no logger"}]}),
        (200, {"content": [{"event": "x", "logger": "boxwright_like"}, "text"]}),
    ]
    assert client.last_line("d", "r", FAILED) == "epoch=1/7 loss=2"
    assert client.last_line("d", "r", FAILED) == ""


def test_a_server_that_is_not_airflow_is_told(airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "login", lambda self, body: (200, "a page"))
    with pytest.raises(UsageError, match="not as Airflow does; correct the address"):
        AirflowClient(airflow.url, "admin", "right").request("GET", "/pools")
