"""A small client of Airflow's REST API: log in, wait for a DAG, trigger it, follow the run, find its error."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from boxwright.errors import BoxwrightError, StorageError, UsageError

ENDED = ("success", "failed")
ATTEMPTS = 4
SCHEDULER_ROUND = 3.0
# Seconds that whoever follows a run gives a server to come back; a start takes half a minute, on a busy machine more.
RESTART_SECONDS = 240.0
ROLLED_BACK = ("Database error", "Database is locked")
# Key of the XCom in which a task leaves the exit code of its error.
XCOM_EXIT_CODE = "exit_code"
# What operators raise to say whether to retry; the message is all that matters.
WRAPPERS = ("AirflowException", "AirflowFailException")


@dataclass(frozen=True)
class TaskState:
    """One task of a run.

    Attributes:
        task_id: the task.
        state: Airflow's name for it; "waiting" while Airflow has none.
        seconds: how long it has run, 0 before its start.
        try_number: which attempt this is, 0 before the first.
        map_index: which of several it is; -1 where it is there once.
    """

    task_id: str
    state: str
    seconds: float
    try_number: int
    map_index: int = -1


class AirflowClient:
    """Talks to one Airflow as one user.

    A token is taken when it is needed and again when it expired. A request is repeated when the server fails, since
    Airflow on SQLite answers 500 or 503 now and then while another process writes. A POST is repeated only where the
    answer says that the database is at fault: then its transaction was rolled back, and nothing can be done twice.

    Every method raises `UsageError` where Airflow refuses what was asked, with Airflow's reason, and `StorageError`
    where it does not answer.
    """

    def __init__(self, url: str, username: str, password: str, timeout: float = 30.0) -> None:
        self._login = {"username": username, "password": password}
        # trust_env off: no proxy of the environment stands between this machine and itself.
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)
        self._token = ""

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        """Calls `/api/v2{path}` and returns the decoded answer, or None if it has no content.

        Args:
            method: HTTP method.
            path: below `/api/v2`, already quoted.
            **arguments: `json`, `params`, as httpx takes them.
        """
        answer = self._send(method, path, arguments)
        if answer.status_code == 401:
            self._token = ""
            answer = self._send(method, path, arguments)
        if answer.is_error:
            raise _explain(answer, method, path)
        return answer.json() if answer.content else None

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Creates a pool where it is missing; one that is there keeps the slots somebody gave it."""
        pools = self.request("GET", "/pools", params={"limit": 1000})["pools"]
        if name not in {pool["name"] for pool in pools}:
            self.request("POST", "/pools", json={"name": name, "slots": slots, "description": description})

    def ensure_variable(self, key: str, value: str, description: str) -> bool:
        """Sets a Variable that is not there, and returns whether it did; one that is there keeps its value."""
        path = f"/variables/{quote(key, safe='')}"
        answer = self._send("GET", path, {})
        if answer.is_error and answer.status_code != 404:
            raise _explain(answer, "GET", path)
        if answer.is_success:
            return False
        self.request("POST", "/variables", json={"key": key, "value": value, "description": description})
        return True

    def parse_again(self, dag_id: str) -> None:
        """Has Airflow parse a DAG's file soon, if it knows the DAG: the contents of its form may have changed."""
        if self._has_dag(dag_id):
            token = self.request("GET", f"/dags/{quote(dag_id)}")["file_token"]
            self.request("PUT", f"/parseDagFile/{quote(token)}")

    def wait_for_dag(self, dag_id: str, timeout: float = 120.0) -> None:
        """Waits until Airflow has parsed the DAG.

        Raises:
            UsageError: if the DAG file cannot be imported, with the last line of the reason.
            StorageError: if the DAG does not appear in `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._has_dag(dag_id):
                return
            self._raise_import_error(dag_id)
            time.sleep(0.5)
        raise StorageError(
            f"DAG {dag_id} did not appear in Airflow within {timeout:.0f} s; see the dag-processor's log"
        )

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        """Creates a run of the DAG under that id; it starts when the DAG is not paused."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        self.request("POST", f"/dags/{quote(dag_id)}/dagRuns", json=body)

    def set_paused(self, dag_id: str, paused: bool) -> bool:
        """Pauses or unpauses the DAG; returns whether it was paused before."""
        before = bool(self.request("GET", f"/dags/{quote(dag_id)}")["is_paused"])
        if before != paused:
            self.request("PATCH", f"/dags/{quote(dag_id)}", json={"is_paused": paused})
        return before

    def runs(self, dag_id: str) -> dict[str, str]:
        """State of each of the DAG's newest 100 runs by run id."""
        params = {"order_by": "-run_after", "limit": 100}
        found = self.request("GET", f"/dags/{quote(dag_id)}/dagRuns", params=params)["dag_runs"]
        return {run["dag_run_id"]: run["state"] for run in found}

    def remove_run(self, dag_id: str, run_id: str) -> None:
        """Stops a run and deletes it, as if it had never been created."""
        path = _run_path(dag_id, run_id)
        self.request("PATCH", path, json={"state": "failed"})
        # A scheduler that is at work on the run when it is deleted ends with ObjectDeletedError: let its round pass.
        time.sleep(SCHEDULER_ROUND)
        self.request("DELETE", path)

    def follow(self, dag_id: str, run_id: str, poll: float = 1.0) -> Iterator[tuple[str, list[TaskState]]]:
        """Yields the state of the run and its tasks until the run has ended.

        A server that is started again meanwhile is waited for.

        Yields:
            The run's state and its tasks, those that started first in front.
        """
        answered = -math.inf
        while True:
            try:
                state, tasks = self.request("GET", _run_path(dag_id, run_id))["state"], self.tasks(dag_id, run_id)
            except StorageError:
                if time.monotonic() - answered > RESTART_SECONDS:
                    raise
                continue
            answered = time.monotonic()
            yield state, tasks
            if state in ENDED:
                return
            time.sleep(poll)

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        """The tasks of a run, in the order of their starts; those that did not start come last."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances"
        found = self.request("GET", path, params={"limit": 1000})["task_instances"]
        found.sort(key=lambda task: (task["start_date"] is None, task["start_date"] or "", task["task_id"]))
        return [_task_state(task) for task in found]

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """The value that a task returned, or None."""
        return self._xcom(dag_id, run_id, task_id, "return_value")

    def exit_code(self, dag_id: str, run_id: str, task_id: str) -> int | None:
        """The exit code of the error that ended a task's last attempt; None where the error was not Boxwright's."""
        found = self._xcom(dag_id, run_id, task_id, XCOM_EXIT_CODE)
        return found if isinstance(found, int) else None

    def _xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        answer = self._send("GET", path, {"params": {"deserialize": "false", "stringify": "false"}})
        if answer.status_code == 404:
            return None
        if answer.is_error:
            raise _explain(answer, "GET", path)
        return answer.json()["value"]

    def error_line(self, dag_id: str, run_id: str, task: TaskState) -> str:
        """The exception that ended a task's last attempt, or the last error of its log, on one line."""
        return error_in_log(self._log(dag_id, run_id, task))

    def last_line(self, dag_id: str, run_id: str, task: TaskState) -> str:
        """The last line that Boxwright itself has logged in a task's last attempt, on one line; empty without any."""
        events = reversed(self._log(dag_id, run_id, task))
        own = (event.get("event") for event in events if str(event.get("logger")).partition(".")[0] == "boxwright")
        return next((_one_line(line) for line in own if line), "")

    def log(self, dag_id: str, run_id: str, task: TaskState) -> str:
        """The log of a task's last attempt, a line for each event, its time first."""
        events = self._log(dag_id, run_id, task)
        return "".join(f"{event.get('timestamp') or ''} {event.get('event') or ''}".strip() + "\n" for event in events)

    def _log(self, dag_id: str, run_id: str, task: TaskState) -> list[dict[str, Any]]:
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task.task_id)}/logs/{max(task.try_number, 1)}"
        asked = {"full_content": "true", "map_index": task.map_index}
        content = self.request("GET", path, params=asked)["content"]
        return [event for event in content if isinstance(event, dict)]

    def _has_dag(self, dag_id: str) -> bool:
        answer = self._send("GET", f"/dags/{quote(dag_id)}/details", {})
        if answer.is_error and answer.status_code != 404:
            raise _explain(answer, "GET", f"/dags/{dag_id}")
        return answer.is_success

    def _raise_import_error(self, dag_id: str) -> None:
        problems = self.request("GET", "/importErrors")["import_errors"]
        if problems:
            reason = _one_line(problems[0]["stack_trace"].strip().splitlines()[-1])
            raise UsageError(f"DAG {dag_id} is missing; {problems[0]['filename']} cannot be imported: {reason}")

    def _send(self, method: str, path: str, arguments: dict[str, Any]) -> httpx.Response:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                headers = {"Authorization": f"Bearer {self._authenticate()}", "Accept": "application/json"}
                answer = self._http.request(method, f"/api/v2{path}", headers=headers, **arguments)
            except httpx.HTTPError as error:
                if attempt == ATTEMPTS or method == "POST":
                    raise StorageError(f"Airflow at {self._http.base_url} does not answer: {error!r}") from None
            else:
                if attempt == ATTEMPTS or not _may_repeat(method, answer):
                    return answer
            time.sleep(0.5 * attempt)
        raise AssertionError("unreachable")

    def _authenticate(self) -> str:
        if not self._token:
            answer = self._http.post("/auth/token", json=self._login)
            if answer.is_client_error:
                user = self._login["username"]
                raise UsageError(f"Airflow at {self._http.base_url} refused the log-in of user {user!r}")
            answer.raise_for_status()
            try:
                self._token = answer.json()["access_token"]
            except (ValueError, KeyError, TypeError):
                raise UsageError(
                    f"{self._http.base_url} answers, and not as Airflow does; correct the address"
                ) from None
        return self._token


def error_in_log(events: Sequence[dict[str, Any]]) -> str:
    """The exception that ended a task, or the last error of its log, on one line.

    Args:
        events: of the log, as Airflow has them: `event`, and where there are such `level` and `error_detail`.
    """
    for event in reversed(events):
        # The first is the exception that was raised, the others are what led to it.
        if details := event.get("error_detail"):
            kind, value = details[0]["exc_type"], details[0]["exc_value"]
            return _one_line(value if kind in WRAPPERS else f"{kind}: {value}")
    errors = [event["event"] for event in events if event.get("level") in ("error", "critical")]
    lines = errors or [event["event"] for event in events if event.get("event")]
    return _one_line(lines[-1]) if lines else "its log is empty"


def _may_repeat(method: str, answer: httpx.Response) -> bool:
    return answer.is_server_error and (method != "POST" or any(words in answer.text for words in ROLLED_BACK))


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _task_state(task: dict[str, Any]) -> TaskState:
    seconds = task["duration"] or 0.0
    if task["start_date"] and not task["end_date"]:
        seconds = max(0.0, (datetime.now(UTC) - datetime.fromisoformat(task["start_date"])).total_seconds())
    return TaskState(
        task["task_id"], task["state"] or "waiting", seconds, task["try_number"], task.get("map_index", -1)
    )


def _explain(answer: httpx.Response, method: str, path: str) -> BoxwrightError:
    try:
        detail = answer.json().get("detail", "")
    except (ValueError, AttributeError):
        detail = answer.text[:200]
    kind = StorageError if answer.is_server_error else UsageError
    return kind(_one_line(f"Airflow answered {answer.status_code} to {method} {path}: {detail}"))


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())
