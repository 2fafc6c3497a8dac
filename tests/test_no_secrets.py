"""Passwords in addresses are used where they are for, and appear in no message, log or name."""

from __future__ import annotations

import json
import logging
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from boxwright.errors import BoxwrightError, DataError, StorageError, UsageError, without_secrets
from boxwright.registry.opening import open_registry
from boxwright.registry.writer_lock import WriterLock
from boxwright.storage import read_bytes

PASSWORD = "geheim-4711"


@pytest.fixture
def server() -> Iterator[tuple[str, list[str | None]]]:
    """A server that takes everybody in; with what each request said about who asks."""
    asked: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers["Authorization"])
            body = json.dumps({"registered_models": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_port}", asked
        running.shutdown()


def test_a_log_in_in_the_address_is_used_and_not_logged(
    server: tuple[str, list[str | None]], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    address, asked = server
    # Airflow's logging, once it was set up in this process, has silenced it.
    monkeypatch.setattr(logging.getLogger("httpx"), "disabled", False)
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="httpx"):
        assert open_registry(f"http://user:{PASSWORD}@{address}").models() == ()
    assert asked == [f"Basic {b64encode(f'user:{PASSWORD}'.encode()).decode()}"]
    assert address in caplog.text and PASSWORD not in caplog.text


@pytest.mark.parametrize(
    ("uri", "kind", "said"),
    [
        ("http://user:{}@127.0.0.1:9", StorageError, "http://127.0.0.1:9 did not answer"),
        ("mysql+nodriver://user:{}@db.example/mlflow", BoxwrightError, "mysql"),
        ("http://user:{}[@host:1", UsageError, "MLFLOW_TRACKING_URI is not an address"),
        ("http://user:{}@host:port", UsageError, "MLFLOW_TRACKING_URI is not an address"),
    ],
)
def test_no_message_about_a_registry_has_the_password(
    uri: str, kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level(logging.DEBUG), pytest.raises(kind, match=said) as caught:
        open_registry(uri.format(PASSWORD)).models()
    assert PASSWORD not in f"{caught.value} {caplog.text}"


def test_the_name_of_a_lock_comes_from_the_registry_and_not_from_the_password() -> None:
    names = {WriterLock(f"http://{who}mlflow:5000")._path for who in ("a:one@", "b:two@", "")}
    assert len(names) == 1, "all log-ins of a server wait for each other"
    assert WriterLock("http://mlflow:5001")._path not in names


def test_nobody_else_can_make_a_lock_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path))
    with WriterLock("http://mlflow:5000"):
        (lock,) = (tmp_path / "locks").iterdir()
    assert lock.name.startswith("registry-")


def test_a_store_whose_address_has_a_log_in_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:{PASSWORD}@127.0.0.1:9")
    with pytest.raises(UsageError, match="http://127.0.0.1:9 has a log-in.*AWS_") as caught:
        read_bytes("s3://bucket/key", 10)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p%40w@h/db", "postgresql://h/db"),
        ("from http://a:b@c:1/x and https://d@e", "from http://c:1/x and https://e"),
        ("http://h/x?user=u&password=p&n=1", "http://h/x?user=u&password=***&n=1"),
        ("http://h/k?X-Amz-Credential=c&X-Amz-Signature=s", "http://h/k?X-Amz-Credential=***&X-Amz-Signature=***"),
        ("s3://bucket/a@b.jpg and images/me@home.jpg", "s3://bucket/a@b.jpg and images/me@home.jpg"),
    ],
)
def test_only_secrets_are_left_out(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert str(DataError(text)) == shown
