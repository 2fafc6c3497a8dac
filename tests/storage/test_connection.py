"""What a run's storage settings change in both libraries' requests, at a server that writes them down."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from boxwright.config import StorageConfig
from boxwright.errors import StorageError
from boxwright.storage import connected, download, download_file, exists, list_files, read_bytes

DATA = b"content"
ROLE = "arn:aws:iam::123456789012:role/reader"


class Recorder(ThreadingHTTPServer):
    """Answers as S3 and STS do, and keeps every request's path and headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.requests: list[tuple[str, dict[str, str]]] = []


class _Answers(BaseHTTPRequestHandler):
    server: Recorder

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        etag = f'"{hashlib.md5(DATA).hexdigest()}"'
        if "list-type=2" in self.path:
            item = f"<Contents><Key>p/a</Key><Size>{len(DATA)}</Size><ETag>{etag}</ETag>"
            item += "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            self._send(f"<ListBucketResult><IsTruncated>false</IsTruncated>{item}</ListBucketResult>".encode())
        elif "versioning" in self.path:
            self._send(b"<VersioningConfiguration/>")
        else:
            self._send(DATA, etag)

    def do_POST(self) -> None:
        self.server.requests.append(
            (self.path, {"body": self.rfile.read(int(self.headers["Content-Length"])).decode()})
        )
        until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        keys += "<SessionToken>role-token</SessionToken>"
        self._send(
            f"<AssumeRoleResponse><AssumeRoleResult><Credentials>{keys}<Expiration>{until}</Expiration></Credentials>"
            f"</AssumeRoleResult></AssumeRoleResponse>".encode()
        )

    def _send(self, body: bytes, etag: str | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "BOXWRIGHT_S3_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOWN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with Recorder() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


def run(
    recorder: Recorder, tmp_path: Path, bucket: str = "bucket", **settings: Any
) -> list[tuple[str, dict[str, str]]]:
    """Lists and downloads; returns the requests."""
    host = settings.pop("host", "127.0.0.1")
    config = StorageConfig(endpoint_url=f"http://{host}:{recorder.server_port}", **settings)
    before = dict(os.environ)
    with connected(config):
        (path,) = download(f"s3://{bucket}/p", list_files(f"s3://{bucket}/p"), tmp_path / "out")
    assert path.read_bytes() == DATA and dict(os.environ) == before
    return recorder.requests


def test_path_style_and_own_credentials_are_the_default(recorder: Recorder, tmp_path: Path) -> None:
    requests = run(recorder, tmp_path, region="eu-west-1")
    assert {path.split("?")[0] for path, _ in requests} <= {"/bucket", "/bucket/p/a"}
    for _, headers in requests:
        assert "Credential=AKIAOWN/" in headers["authorization"] and "/eu-west-1/s3/" in headers["authorization"]
        assert "x-amz-request-payer" not in headers


def test_virtual_hosts(recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Through a proxy, as which the recorder serves here, no name has to be resolved.
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{recorder.server_port}")
    requests = run(recorder, tmp_path, bucket="mybucket", host="store.example", addressing_style="virtual")
    assert {headers["host"].split(":")[0] for _, headers in requests} == {"mybucket.store.example"}
    assert {urlsplit(path).path for path, _ in requests} <= {"", "/", "/p/a"}


def test_the_requester_pays_for_every_request(recorder: Recorder, tmp_path: Path) -> None:
    requests = run(recorder, tmp_path, requester_pays=True)
    assert len(requests) >= 2
    for _, headers in requests:
        assert headers["x-amz-request-payer"] == "requester"
        assert "x-amz-request-payer" in headers["authorization"], "it is signed"


def test_a_role_is_assumed_and_its_credentials_are_used(recorder: Recorder, tmp_path: Path) -> None:
    requests = run(recorder, tmp_path, role_arn=ROLE)
    assumed = [headers["body"] for _, headers in requests if "body" in headers]
    assert len(assumed) == 1 and "Action=AssumeRole" in assumed[0] and "role%2Freader" in assumed[0]
    others = [headers for _, headers in requests if "body" not in headers]
    assert len(others) >= 2
    for headers in others:
        assert "Credential=ASIAROLE/" in headers["authorization"]
        assert headers["x-amz-security-token"] == "role-token"


@pytest.mark.parametrize("endpoint", ["ftp://x", "http://user:secret@host", "host:9000"])
def test_an_endpoint_with_credentials_or_without_scheme_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="endpoint_url"):
        StorageConfig(endpoint_url=endpoint)  # type: ignore[call-arg]


NO_S3 = [b"<html><body>please log in</body>", b"{}", b"", b"<?xml version='1.0'?><Other/>"]


@pytest.mark.parametrize("body", NO_S3, ids=ascii)
@pytest.mark.parametrize("role", ["arn:aws:iam::1:role/reader", None])
def test_what_is_no_answer_of_s3_or_sts_is_named(
    body: bytes, role: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy's log-in page in their place, with status 200."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_POST = do_HEAD = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        changes = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "BOXWRIGHT_S3_ROLE_ARN": role or ""}
        for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", **changes}.items():
            monkeypatch.setenv(name, value)
        for ask in (
            lambda: list_files("s3://bucket/x"),
            lambda: exists("s3://bucket/x"),
            lambda: read_bytes("s3://bucket/x", 10_000),
            lambda: download_file("s3://bucket/x", tmp_path / "x"),
        ):
            with pytest.raises(StorageError, match="something else than S3|answered 500"):
                ask()
        server.shutdown()
