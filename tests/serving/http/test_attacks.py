"""Clients that keep connections, headers, answers or the decoder busy, against a real server: the others are served."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from finder import encoded, export_finder, scene, write_facts
from PIL import Image
from served import Served, serving

from boxwright.images.cost import jpeg_scans

IMAGE = {"Content-Type": "application/x-image"}
CONNECTIONS = 20


@pytest.fixture(scope="module")
def bounded(finder: Path) -> Iterator[Served]:
    limits = ("header_timeout=2", "answer_timeout=2", f"max_connections={CONNECTIONS}", "max_body_mb=20")
    settings = [part for limit in limits for part in ("--set", limit)]
    with serving("--model", str(finder), *settings) as served:
        yield served


def connect(served: Served) -> socket.socket:
    address = urlsplit(served.url)
    return socket.create_connection((address.hostname, address.port), timeout=60)


def connections(served: Served) -> int:
    found = psutil.Process(served.process.pid).net_connections("tcp")
    return sum(one.status in (psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT) for one in found)


def until(is_so: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def answers(served: Served) -> bool:
    with served.client() as client:
        found = client.post("/invocations", content=encoded(scene()), headers=IMAGE)
        return found.status_code == 200 and client.get("/ping").status_code == 200


@pytest.mark.parametrize("sent", [b"GET /ping HTTP/1.1\r\nHost: x", b"GET", b"POST /invocations HTTP/1.1\r\nA: b\r\n"])
def test_headers_that_do_not_end_are_answered_and_the_connection_ends(bounded: Served, sent: bytes) -> None:
    with connect(bounded) as connection:
        connection.sendall(sent)
        assert b"".join(iter(lambda: connection.recv(1000), b"")).startswith(b"HTTP/1.1 408")


def test_a_header_that_comes_byte_by_byte_gains_no_time(bounded: Served) -> None:
    with connect(bounded) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\n")

        def ends() -> bool:
            try:
                connection.sendall(b"a: b\r\n")
            except OSError:
                return True
            return False

        assert until(ends)


def test_a_connection_on_which_nothing_comes_ends(bounded: Served) -> None:
    with connect(bounded) as connection:
        assert connection.recv(1000) == b""


def test_a_body_that_no_route_reads_does_not_keep_a_connection(bounded: Served) -> None:
    with connect(bounded) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome")
        assert b"".join(iter(lambda: connection.recv(10_000), b"")).startswith(b"HTTP/1.1 200")


def test_connections_that_send_nothing_make_room_for_those_that_do(bounded: Served) -> None:
    with ExitStack() as opened:
        for _ in range(5 * CONNECTIONS):
            connection = opened.enter_context(connect(bounded))
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x")
        assert until(lambda: connections(bounded) <= CONNECTIONS)
        assert answers(bounded)
    assert len([line for line in bounded.log if "connections at a time" in line]) == 1
    assert not [line for line in bounded.log if "Traceback" in line]


def test_an_answer_that_nobody_reads_is_given_up(bounded: Served) -> None:
    large = encoded(Image.effect_noise((1500, 1500), 100).convert("RGB"), "JPEG")
    head = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nAccept: image/png\r\n"
    sent = f"{head}Content-Length: {len(large)}\r\n\r\n".encode() + large
    assert until(lambda: connections(bounded) == 0)
    with ExitStack() as opened:
        for _ in range(4):
            address = urlsplit(bounded.url)
            connection = opened.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((address.hostname, address.port))
            connection.sendall(sent)
        assert until(lambda: connections(bounded) == 4)
        assert until(lambda: connections(bounded) == 0)
        assert bounded.said("read nothing of its answer")
    assert answers(bounded)


def test_a_kind_of_fault_is_one_line_in_the_log(bounded: Served) -> None:
    for _ in range(30):
        with connect(bounded) as connection:
            connection.sendall(b"no HTTP at all\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert len([line for line in bounded.log if "Invalid HTTP request" in line]) == 1


def test_an_image_of_thousands_of_scans_is_refused_and_holds_up_nobody(bounded: Served) -> None:
    data = encoded(scene(1000, 500), progressive=True)
    bomb = data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 3000 + data[-2:]
    assert jpeg_scans(bomb, 10_000) > 3000
    with ThreadPoolExecutor(4) as pool, bounded.client() as client:
        sent = [pool.submit(client.post, "/invocations", content=bomb, headers=IMAGE) for _ in range(4)]
        assert answers(bounded)
        for one in sent:
            assert (one.result().status_code, one.result().json()["error"]) == (413, "image_too_complex")


def test_a_stop_is_bounded_whatever_the_model_does(tmp_path: Path) -> None:
    export_finder(tmp_path, seconds=15)
    write_facts(tmp_path)
    with serving("--model", str(tmp_path), "--set", "stop_timeout=1") as served:
        with ThreadPoolExecutor(1) as pool:

            def ask() -> None:
                with served.client() as client, suppress(httpx.HTTPError):
                    answer = client.post("/invocations", content=encoded(scene()), headers=IMAGE)
                    assert answer.status_code == 500

            asked = pool.submit(ask)
            assert until(lambda: connections(served) > 0)
            served.process.send_signal(signal.SIGTERM)
            asked.result()
        # By itself it would end after the call, and with 0.
        assert served.process.wait(60) == 1
        assert served.said("did not stop within")
