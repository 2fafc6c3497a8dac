"""Token, queue, slow clients and stops, each with a server process of its own."""

from __future__ import annotations

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from finder import encoded, export_finder, scene, write_facts
from served import Served, serving

TOKEN = "a-token-of-the-test-1234"
IMAGE = {"Content-Type": "application/x-image"}
SECONDS = 0.5


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes half a second for a batch."""
    folder = tmp_path_factory.mktemp("slow")
    export_finder(folder, seconds=SECONDS)
    write_facts(folder)
    return folder


@pytest.fixture(scope="module")
def small(slow_model: Path) -> Any:
    """A server with a token, room for three requests, one image at a time, and a second for each body."""
    limits = ("max_queue=3", "max_batch=1", "body_timeout=1", "stop_timeout=20")
    settings = [part for limit in limits for part in ("--set", limit)]
    with serving("--model", str(slow_model), *settings, environment={"BOXWRIGHT_TOKEN": TOKEN}) as served:
        yield served


def post(served: Served, **headers: str) -> httpx.Response:
    with served.client() as client:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        return client.post("/invocations", content=encoded(scene()), headers=IMAGE | bearer | headers)


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", TOKEN, f"bearer {TOKEN}", f"Bearer {TOKEN} "[:-2]])
def test_without_the_token_nothing_is_told(small: Served, given: str) -> None:
    answer = post(small, Authorization=given)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert TOKEN not in answer.text and answer.json()["error"] == "unauthorized"
    with small.client(headers={"Authorization": given}) as client:
        for path in ("/model", "/metrics", "/docs", "/openapi.json", "/invocations/batch", "/nowhere"):
            assert client.get(path).status_code == 401
        assert client.get("/ping").status_code == 200


def test_with_the_token_it_answers_and_does_not_log_it(small: Served) -> None:
    assert post(small).status_code == 200
    assert not [line for line in small.log if TOKEN in line]


def test_a_full_queue_is_503_with_a_time_to_come_back(small: Served) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(small), range(8)))
    busy = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert len(busy) >= 3
    for answer in busy:
        assert answer.json()["error"] == "busy"
        assert 1 <= int(answer.headers["Retry-After"]) <= 30
    assert post(small).status_code == 200


def test_a_client_that_dawdles_is_let_go(small: Served) -> None:
    address = urlsplit(small.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Type: image/png\r\nContent-Length: 1000\r\n\r\nsome".encode())
        answer = b"".join(iter(lambda: connection.recv(10_000), b""))
    assert answer.startswith(b"HTTP/1.1 408") and b"too_slow" in answer


def test_a_client_that_goes_away_frees_its_place(small: Served) -> None:
    address = urlsplit(small.url)
    for _ in range(6):
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            connection.sendall(f"{head}Content-Type: image/png\r\nContent-Length: 1000\r\n\r\nsome".encode())
    deadline = time.monotonic() + 20
    while post(small).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not [line for line in small.log if "Traceback" in line]


def test_a_stop_finishes_what_is_under_way(slow_model: Path) -> None:
    with serving("--model", str(slow_model), "--set", "max_batch=1") as served:
        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(post, served) for _ in range(4)]
            time.sleep(SECONDS)
            served.process.send_signal(signal.SIGTERM)
            assert [answer.result().status_code for answer in answers] == [200] * 4
        assert served.process.wait(20) == 0
        with pytest.raises(httpx.ConnectError):
            post(served)
        assert not [line for line in served.log if "Traceback" in line]
