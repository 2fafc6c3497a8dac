"""A proxy before an S3 server that breaks answers in the ways that networks and servers do."""

from __future__ import annotations

import http.client
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

FAULTS = ("reset", "status_500", "status_503", "truncated", "wrong_bytes", "slow", "no_answer")


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on; some GETs of objects, as `choose` says, get a fault.

    Args:
        endpoint: of the server behind it.
        choose: gets the number of the object's request (from 0) and its path, and returns one of FAULTS or None.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, endpoint: str, choose: Callable[[int, str], str | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(endpoint)
        self.choose = choose
        self.lock, self.requests, self.faults = Lock(), 0, 0
        self.sent = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fault_of(self, path: str) -> str | None:
        with self.lock:
            fault = self.choose(self.requests, path)
            self.requests += 1
            self.faults += fault is not None
        return fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away in the middle; that is what is tested."""


@contextmanager
def faulty(endpoint: str, choose: Callable[[int, str], str | None]) -> Iterator[FaultyProxy]:
    """A running proxy."""
    with FaultyProxy(endpoint, choose) as proxy:
        thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def do_GET(self) -> None:
        is_object = self.command == "GET" and "list-type=" not in self.path and "versioning" not in self.path
        fault = self.server.fault_of(self.path) if is_object else None
        if fault == "no_answer":
            self._reset()
        elif fault in ("status_500", "status_503"):
            self._answer(int(fault[-3:]), [], b"<Error><Code>SlowDown</Code></Error>")
        else:
            self._pass_on(fault)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _pass_on(self, fault: str | None) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection(self.server.behind.hostname or "", self.server.behind.port, timeout=60)
        try:
            # The signature is over the Host header too, so it goes through as it came.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
        except OSError:
            return self._reset()
        finally:
            connection.close()
        if self.command == "HEAD":
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() != "connection"]
            return self._answer(answer.status, headers, None)
        self._broken(fault, answer.status, answer.getheaders(), data)
        return None

    def _broken(self, fault: str | None, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        kept = [(n, v) for n, v in headers if n.lower() not in ("content-length", "transfer-encoding", "connection")]
        half = len(data) // 2
        if fault == "wrong_bytes" and data:
            data = data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]
        if fault in ("reset", "truncated"):
            self._answer(status, kept, data[:half], promised=len(data))
            if fault == "reset":
                self._reset()
            self.close_connection = True
        elif fault == "slow":
            self._answer(status, kept, data[:half], promised=len(data))
            time.sleep(0.3)
            self.wfile.write(data[half:])
        else:
            self._answer(status, kept, data)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes | None, promised: int | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if body is not None:
            self.send_header("Content-Length", str(len(body) if promised is None else promised))
        self.end_headers()
        self.wfile.write(body or b"")
        self.wfile.flush()
        with self.server.lock:
            self.server.sent += len(body or b"") if status < 300 and self.command == "GET" else 0

    def _reset(self) -> None:
        """Ends the connection so that the other side gets a reset, not an end of file."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
