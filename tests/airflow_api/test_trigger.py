"""`boxwright trigger` against a server that answers as Airflow does; the live tests use Airflow itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from boxwright.cli import app as cli


class Airflow(BaseHTTPRequestHandler):
    """Keeps the runs that are created; a run `bad` is refused as Airflow refuses a param.

    Its pools are by name the slots of each; None where the user may not see them.
    """

    created: list[dict[str, Any]] = []
    paused = False
    pools: dict[str, int] | None = {}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/auth/token":
            ours = body == {"username": "ada", "password": "secret"}
            self._answer(201 if ours else 401, {"access_token": "t"})
        elif body["dag_run_id"] == "bad":
            self._answer(400, {"detail": "0 is less than or equal to the minimum of 0"})
        else:
            self.created.append(body)
            self._answer(200, {})

    def do_GET(self) -> None:
        if not self.path.startswith("/api/v2/pools"):
            self._answer(200, {"is_paused": self.paused})
        elif self.pools is None:
            self._answer(403, {"detail": "Forbidden"})
        else:
            self._answer(200, {"pools": [{"name": name, "slots": slots} for name, slots in self.pools.items()]})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Airflow]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Airflow)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("BOXWRIGHT_AIRFLOW_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("BOXWRIGHT_AIRFLOW_USER", "ada")
    monkeypatch.setenv("BOXWRIGHT_AIRFLOW_PASSWORD", "secret")
    Airflow.created, Airflow.paused, Airflow.pools = [], False, {}
    yield Airflow
    server.shutdown()
    server.server_close()


@pytest.fixture
def trigger(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["boxwright", "trigger", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_a_mistake_is_told_before_anything_is_sent(airflow: type[Airflow], trigger: Any) -> None:
    code, _, errors = trigger("--set", "epoch=3")
    assert code == 2 and "epoch is unknown (did you mean epochs?)" in " ".join(errors.split())
    assert airflow.created == []


def test_a_run_is_created_with_its_params(airflow: type[Airflow], trigger: Any) -> None:
    options = "--dataset s3://b/set --test s3://b/test --model-id tiny --model-name cells --set epochs=2".split()
    code, printed, _ = trigger(*options, "--run-id", "mine", "--json")
    assert (code, json.loads(printed)) == (0, {"run_id": "mine", "status": "queued"})
    conf = {"training": "s3://b/set", "test": "s3://b/test", "model_id": "tiny", "model_name": "cells", "epochs": 2}
    assert airflow.created == [{"dag_run_id": "mine", "logical_date": None, "conf": conf}]


@pytest.mark.parametrize(
    ("pools", "said"),
    [
        ({"gpu": 1}, "training_machines=2, and the pool gpu has 1 slot: each machine needs one"),
        ({"default_pool": 128}, "Airflow has no pool gpu"),
    ],
)
def test_machines_that_would_wait_in_vain_are_refused(
    airflow: type[Airflow], trigger: Any, pools: dict[str, int], said: str
) -> None:
    airflow.pools = pools
    code, _, errors = trigger("--set", "training_machines=2")
    assert code == 2 and said in " ".join(errors.split())
    assert airflow.created == []


@pytest.mark.parametrize("pools", [{"gpu": 2}, {"gpu": -1}, None])
def test_machines_that_there_is_room_for_begin(
    airflow: type[Airflow], trigger: Any, pools: dict[str, int] | None
) -> None:
    airflow.pools = pools
    assert trigger("--set", "training_machines=2")[0] == 0
    assert airflow.created[0]["conf"]["training_machines"] == 2


def test_a_paused_dag_is_told(airflow: type[Airflow], trigger: Any) -> None:
    airflow.paused = True
    code, printed, errors = trigger()
    assert code == 0 and "queued" in printed and "the DAG is paused" in errors
    assert airflow.created[0]["dag_run_id"].startswith("cli__")


def test_what_airflow_refuses_is_one_line(
    airflow: type[Airflow], trigger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, errors = trigger("--run-id", "bad")
    assert code == 2 and "less than or equal to the minimum" in " ".join(errors.split())
    monkeypatch.setenv("BOXWRIGHT_AIRFLOW_PASSWORD", "wrong")
    code, _, errors = trigger()
    assert code == 2 and "refused the log-in of user 'ada'" in " ".join(errors.split())
    monkeypatch.delenv("BOXWRIGHT_AIRFLOW_USER")
    code, _, errors = trigger()
    assert code == 2 and "BOXWRIGHT_AIRFLOW_USER is not; set the log-in" in " ".join(errors.split())
