"""The same behaviour on a local folder and on a real S3 server."""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from seaweed import Seaweed

from boxwright.errors import BoxwrightError, DataError, StorageError, UsageError
from boxwright.storage import (
    FileEntry,
    download,
    download_file,
    exists,
    join,
    list_files,
    read_bytes,
    stat,
    upload_file,
)

TREE = {
    "annotations.json": b"{}",
    "images/a.jpg": b"a" * 10,
    "images/deep/b c#%41+é图.jpg": b"b" * 70_000,
    "images/empty": b"",
}


@pytest.fixture(params=["local", "file", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of an empty folder."""
    if request.param == "s3":
        server: Seaweed = request.getfixturevalue("s3")
        return server.make_bucket(f"t-{uuid.uuid4().hex}") + "/some/prefix"
    root = tmp_path / "store of things"
    return str(root) if request.param == "local" else root.as_uri()


@pytest.fixture
def tree(folder: str, tmp_path: Path) -> str:
    """The URI of a folder that holds TREE."""
    for key, data in TREE.items():
        (tmp_path / "source").write_bytes(data)
        upload_file(tmp_path / "source", join(folder, key))
    return folder


def test_list_is_relative_sorted_and_sized(tree: str) -> None:
    assert [(entry.key, entry.size) for entry in list_files(tree)] == [(key, len(TREE[key])) for key in sorted(TREE)]
    assert [entry.key for entry in list_files(join(tree, "images"))] == ["a.jpg", "deep/b c#%41+é图.jpg", "empty"]
    assert list_files(join(tree, "image")) == [], "a prefix is a folder, not the beginning of a name"


def test_etag_follows_the_content(tree: str, tmp_path: Path) -> None:
    before = list_files(tree)[0]
    (tmp_path / "new").write_bytes(b"[]")
    upload_file(tmp_path / "new", join(tree, "annotations.json"))
    after = stat(join(tree, "annotations.json"))
    assert (after.key, after.size) == (before.key, before.size) and after.etag != before.etag


def test_read_and_exists(tree: str) -> None:
    assert read_bytes(join(tree, "images/a.jpg"), limit=10) == b"a" * 10
    assert exists(join(tree, "images/a.jpg"))
    assert not exists(join(tree, "images/z.jpg"))
    assert not exists(join(tree, "images")), "a folder is not a file"
    with pytest.raises(DataError, match="10 bytes, more than the limit of 9"):
        read_bytes(join(tree, "images/a.jpg"), limit=9)


@pytest.mark.parametrize(
    "read", [lambda uri: read_bytes(uri, 9), stat, lambda uri: download_file(uri, Path("/nonexistent/x"))]
)
def test_missing_file_is_named(tree: str, read: object) -> None:
    with pytest.raises(DataError, match="z.jpg does not exist"):
        read(join(tree, "images/z.jpg"))  # type: ignore[operator]


def test_download_everything(tree: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    paths = download(tree, list_files(tree), tmp_path / "out", lambda done, total: seen.append((done, total)))
    assert {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in paths} == TREE
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file()) == sorted(paths), (
        "no temporary files"
    )


def test_what_is_complete_is_not_fetched_again(tree: str, tmp_path: Path) -> None:
    entries = list_files(tree)
    paths = download(tree, entries, tmp_path / "out")
    inodes = [path.stat().st_ino for path in paths]
    paths[1].write_bytes(b"cut")
    assert download(tree, entries, tmp_path / "out") == paths
    assert [path.stat().st_ino == inode for path, inode in zip(paths, inodes, strict=True)] == [True, False, True, True]
    assert paths[1].read_bytes() == TREE["images/a.jpg"]


def test_same_size_and_other_content_is_fetched_again(tree: str, tmp_path: Path) -> None:
    download(tree, ["images/a.jpg"], tmp_path / "out")
    (tmp_path / "new").write_bytes(b"n" * 10)
    upload_file(tmp_path / "new", join(tree, "images/a.jpg"))
    [path] = download(tree, ["images/a.jpg"], tmp_path / "out")
    assert path.read_bytes() == b"n" * 10


def test_a_size_other_than_listed_fails_and_leaves_nothing(tree: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="a.jpg changed after it was listed"):
        download(tree, [FileEntry("images/a.jpg", 99, "x")], tmp_path / "out")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("key", ["../outside.jpg", "/etc/passwd", "images/../../outside.jpg", "a\nb.jpg"])
def test_no_key_leaves_the_target(tree: str, tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError):
        download(tree, ["images/a.jpg", key], tmp_path / "out")
    assert not (tmp_path / "out").exists(), "refused before anything is fetched"


def test_large_file_goes_in_parts_and_comes_back(folder: str, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 20
    (tmp_path / "large").write_bytes(data)
    upload_file(tmp_path / "large", join(folder, "model.tar.gz"))
    for _ in range(2):  # the second finds it complete
        download_file(join(folder, "model.tar.gz"), tmp_path / "back")
        assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == hashlib.sha256(data).digest()


def test_a_name_is_won_by_one_of_several_writers(folder: str, tmp_path: Path) -> None:
    """Each writes what no other does, all at once; the rest learn that they came too late."""
    uri = join(folder, "claimed")

    def claim(number: int) -> bool:
        path = tmp_path / f"writer-{number}"
        path.write_bytes(b"written by %d" % number)
        return upload_file(path, uri, only_if_new=True)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(8)))
    assert won.count(True) == 1
    assert read_bytes(uri, 100) == b"written by %d" % won.index(True)
    assert not claim(9) and read_bytes(uri, 100) == b"written by %d" % won.index(True)


def test_browsers_are_told_what_they_get(s3: Seaweed, tmp_path: Path) -> None:
    uri = s3.make_bucket("content-types")
    kinds = {"page.html": "text/html", "a.json": "application/json", "m.tar.gz": None, "large.html": "text/html"}
    for name, kind in kinds.items():
        (tmp_path / name).write_bytes(b"x" * (20_000_000 if name == "large.html" else 3))
        upload_file(tmp_path / name, f"{uri}/{name}")
        told = s3.client().head_object(Bucket="content-types", Key=name)["ContentType"]
        assert told == kind if kind else told != "application/x-tar", name


def test_upload_of_a_missing_file_is_named(folder: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing-here does not exist"):
        upload_file(tmp_path / "nothing-here", join(folder, "x"))


OPERATIONS = {
    "list": lambda uri, path: list_files(uri),
    "read": lambda uri, path: read_bytes(join(uri, "a"), 10),
    "exists": lambda uri, path: exists(join(uri, "a")),
    "download": lambda uri, path: download(uri, [FileEntry("a", 1, "x")], path / "out"),
    "upload": lambda uri, path: upload_file(path / "file", join(uri, "a")),
}


@pytest.fixture(params=OPERATIONS)
def fails(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """Runs one operation on a URI and returns its error, checked to be one line without secrets."""

    def run(uri: str) -> BoxwrightError:
        (tmp_path / "file").write_bytes(b"x")
        with pytest.raises(BoxwrightError) as caught:
            OPERATIONS[request.param](uri, tmp_path)
        text = str(caught.value)
        assert "\n" not in text and os.environ["AWS_SECRET_ACCESS_KEY"] not in text
        return caught.value

    return run


def test_missing_bucket(s3: Seaweed, fails) -> None:  # type: ignore[no-untyped-def]
    error = fails("s3://no-such-bucket/prefix")
    assert isinstance(error, UsageError) and "no-such-bucket does not exist" in str(error)


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_SECRET_ACCESS_KEY", "wrong-secret"), ("AWS_ACCESS_KEY_ID", "nobody")]
)
def test_wrong_credentials(s3: Seaweed, fails, monkeypatch, name: str, value: str) -> None:  # type: ignore[no-untyped-def]
    uri = s3.make_bucket(f"t-{uuid.uuid4().hex}")
    monkeypatch.setenv(name, value)
    error = fails(uri)
    assert isinstance(error, UsageError) and "access denied" in str(error) and "AWS_SECRET_ACCESS_KEY" in str(error)


def test_nobody_listening(s3: Seaweed, fails, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    error = fails("s3://bucket/prefix")
    assert isinstance(error, StorageError) and error.retryable and f"127.0.0.1:{port}" in str(error)


def test_no_credentials(s3: Seaweed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for operation in OPERATIONS.values():
        (tmp_path / "file").write_bytes(b"x")
        with pytest.raises(UsageError, match="no usable credentials"):
            operation("s3://bucket/prefix", tmp_path)


class Overloaded(BaseHTTPRequestHandler):
    """Answers 503 to everything."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("name", ["list", "download"])
def test_a_server_error_can_be_retried(s3: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Overloaded) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(StorageError, match="answered 503"):
            OPERATIONS[name]("s3://bucket/prefix", tmp_path)
        server.shutdown()
