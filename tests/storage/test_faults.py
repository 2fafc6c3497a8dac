"""What a network, a server and a killed process do to a download: it ends whole and verified, or names the object.

`python -m benchmarks.faults` does the same 200 times, with a server that is killed and a disk that is full.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty import FAULTS, FaultyProxy, faulty
from seaweed import Seaweed

from boxwright.errors import StorageError
from boxwright.storage import ChangedError, FileEntry, TransferStats, download, list_files, upload_file
from boxwright.storage import retry as retry_module

SMALL, LARGE = 24, 20_000_000
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def content() -> dict[str, bytes]:
    small = {f"images/{i:02d}.jpg": bytes([i]) * (1000 + 997 * i) for i in range(SMALL)}
    return {**small, "large.bin": os.urandom(1000) * (LARGE // 1000)}


@pytest.fixture(scope="module")
def folder(seaweed_server: Seaweed, content: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a folder with 24 small objects and one that is fetched in three ranges."""
    uri = seaweed_server.make_bucket(f"faults-{uuid.uuid4().hex}")
    path = tmp_path_factory.mktemp("faults") / "file"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seaweed_server.environment.items():
            patch.setenv(name, value)
        for key, data in content.items():
            path.write_bytes(data)
            upload_file(path, f"{uri}/{key}")
    return uri


@pytest.fixture
def through(s3: Seaweed, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[..., FaultyProxy]:
    """Starts a proxy with a way of choosing faults, and leads storage through it."""

    def start(choose: Callable[[int, str], str | None]) -> FaultyProxy:
        manager = faulty(s3.endpoint, choose)
        proxy = manager.__enter__()
        request.addfinalizer(lambda: manager.__exit__(None, None, None))
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        return proxy

    return start


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_now_and_then_costs_a_repetition_only(
    through: Callable[..., FaultyProxy], folder: str, content: dict[str, bytes], tmp_path: Path, fault: str
) -> None:
    proxy, stats = through(lambda number, _: fault if number % 4 == 1 else None), TransferStats()
    download(folder, list_files(folder), tmp_path / "out", stats=stats)
    assert read(tmp_path / "out") == content
    assert proxy.faults >= 5
    assert (stats.files, stats.bytes) == (len(content), sum(map(len, content.values())))
    assert fault == "slow" or stats.retries >= 5, "a slow answer is an answer"
    download(folder, list_files(folder), tmp_path / "again", stats=stats)
    assert read(tmp_path / "again") == content and stats.files == len(content), "nothing is fetched twice"


@pytest.mark.parametrize(
    ("fault", "key"),
    [
        ("wrong_bytes", "images/07.jpg"),
        ("truncated", "images/07.jpg"),
        ("status_503", "images/07.jpg"),
        ("wrong_bytes", "large.bin"),
    ],
)
def test_a_fault_that_stays_names_the_object_and_leaves_nothing_wrong(
    through: Callable[..., FaultyProxy],
    folder: str,
    content: dict[str, bytes],
    tmp_path: Path,
    cache: Path,
    fault: str,
    key: str,
) -> None:
    through(lambda _, path: fault if key in path else None)
    with pytest.raises(StorageError, match=f"{key}.*tried 9 times"):
        download(folder, list_files(folder), tmp_path / "out")
    found = read(tmp_path / "out")
    assert key not in found and found.items() <= content.items()
    kept = {path.stat().st_size for kind in ("md5", "sha256") for path in (cache / kind).rglob("*-*")}
    assert len(content[key]) not in kept


def test_a_budget_ends_what_would_take_hours(
    through: Callable[..., FaultyProxy], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_module, "BUDGET", 10)
    proxy = through(lambda *_: "no_answer")
    with pytest.raises(StorageError, match="tried [1-9] times"):
        download(folder, list_files(folder), tmp_path / "out")
    assert proxy.faults < 60


def test_an_object_that_changes_is_an_error_that_names_it(
    s3: Seaweed, folder: str, tmp_path: Path, content: dict[str, bytes]
) -> None:
    uri = s3.make_bucket(f"changes-{uuid.uuid4().hex}")
    for name, size in (("small", 10), ("large", LARGE)):
        for change in ("write", "delete"):
            (tmp_path / "file").write_bytes(b"a" * size)
            upload_file(tmp_path / "file", f"{uri}/{name}")
            listed = list_files(uri)
            (tmp_path / "file").write_bytes(b"b" * size)
            if change == "write":
                upload_file(tmp_path / "file", f"{uri}/{name}")
            else:
                s3.client().delete_object(Bucket=uri.removeprefix("s3://"), Key=name)
            with pytest.raises(ChangedError, match=f"{name} changed after it was listed"):
                download(uri, [entry for entry in listed if entry.key == name], tmp_path / "out")
    local = tmp_path / "local"
    local.mkdir()
    (local / "a").write_bytes(b"1")
    listed = list_files(str(local))
    (local / "a").write_bytes(b"22")
    with pytest.raises(ChangedError, match="local/a changed"):
        download(str(local), listed, tmp_path / "out")


def test_a_killed_download_goes_on_where_it_was(
    through: Callable[..., FaultyProxy], folder: str, content: dict[str, bytes], tmp_path: Path, cache: Path
) -> None:
    proxy = through(lambda *_: "slow")
    program = (
        "import pathlib, sys; from boxwright.storage import *\n"
        "download(sys.argv[1], list_files(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, folder, str(tmp_path / "out")], cwd=REPOSITORY)
    deadline = time.monotonic() + 60
    while proxy.sent < 1_000_000 or not any((cache / "md5").rglob("md5-*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_ino for path in (tmp_path / "out").rglob("*.jpg")}
    # What has been gathered of the large object; a small one is gathered under a name that nobody comes back to.
    gathered = max((path.stat().st_size for path in (cache / "partial").iterdir()), default=0)
    proxy.choose = lambda *_: None
    stats = TransferStats()
    download(folder, list_files(folder), tmp_path / "out", stats=stats)
    assert read(tmp_path / "out") == content
    assert stats.cached >= len(before) and all(path.stat().st_ino == inode for path, inode in before.items())
    there = sum(len(content[f"images/{path.name}"]) for path in before) + (gathered if gathered >= 1 << 20 else 0)
    assert stats.bytes <= sum(map(len, content.values())) - there


def test_no_room_is_told_before_anything_is_fetched(
    s3: Seaweed, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(StorageError, match="have 20,[0-9,]+ bytes, and 1,000 are free at .*BOXWRIGHT_CACHE"):
        download(folder, list_files(folder), tmp_path / "out")
    assert not (tmp_path / "out").exists() or not read(tmp_path / "out")


def test_a_disk_that_takes_no_more_names_the_object(s3: Seaweed, folder: str, tmp_path: Path, cache: Path) -> None:
    """A limit on file sizes stands for the full disk: both are an error of a write."""
    program = (
        "import resource, sys, pathlib; from boxwright.storage import *; from boxwright.errors import StorageError\n"
        "download(sys.argv[1], ['images/00.jpg'], pathlib.Path(sys.argv[2]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, 10_000_000))\n"
        "try: download(sys.argv[1], ['large.bin'], pathlib.Path(sys.argv[2]))\n"
        "except StorageError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, folder, str(tmp_path / "out")],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "large.bin" in done.stdout and "free space" in done.stdout
    assert set(read(tmp_path / "out")) == {"images/00.jpg"}


def test_entries_of_another_size_are_refused(s3: Seaweed, folder: str, tmp_path: Path) -> None:
    real = next(entry for entry in list_files(folder) if entry.key == "images/03.jpg")
    with pytest.raises(StorageError, match=r"images/03.jpg"):
        download(folder, [FileEntry(real.key, real.size + 5, real.etag)], tmp_path / "out")
