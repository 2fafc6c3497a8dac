"""The cache of a machine: what is in it costs nothing, whoever comes; what is not what it says is not used."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from seaweed import Seaweed

from boxwright.config.settings import Settings
from boxwright.errors import StorageError, UsageError
from boxwright.storage import ChangedError, TransferStats, download, list_files, upload_file
from boxwright.storage import linking as placing
from boxwright.storage.cache import Cache, Content, open_cache
from boxwright.storage.checks import Check, check_of_address

REPOSITORY = Path(__file__).resolve().parents[2]
COUNT = 12


@pytest.fixture(params=["local", "s3"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of a folder with 12 files of 1,000 bytes."""
    if request.param == "s3":
        uri = request.getfixturevalue("s3").make_bucket(f"cache-{uuid.uuid4().hex}") + "/set"
    else:
        uri = str(tmp_path / "set")
    for i in range(COUNT):
        put(tmp_path, uri, i, bytes([i]) * 1000)
    return uri


def put(tmp_path: Path, uri: str, number: int, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    upload_file(tmp_path / "file", f"{uri}/{number}")


def cost(uri: str, target: Path) -> tuple[int, int]:
    """Files fetched and files that were there."""
    stats = TransferStats()
    download(uri, list_files(uri), target, stats=stats)
    for entry in list_files(uri):
        assert (target / entry.key).stat().st_size == entry.size
    return stats.files, stats.cached


def test_a_second_folder_costs_nothing_and_a_changed_file_costs_itself(source: str, tmp_path: Path) -> None:
    assert cost(source, tmp_path / "a") == (COUNT, 0)
    assert cost(source, tmp_path / "b") == (0, COUNT)
    assert (tmp_path / "a" / "3").stat().st_ino == (tmp_path / "b" / "3").stat().st_ino, "a link, not a copy"
    put(tmp_path, source, 3, b"new" * 100)
    assert cost(source, tmp_path / "b") == (1, COUNT - 1)
    assert (tmp_path / "b" / "3").read_bytes() == b"new" * 100 and (tmp_path / "a" / "3").read_bytes() == b"\x03" * 1000


MANY, DIFFERENT = 200, 150  # enough for several files to reach the cache in one transaction


@pytest.fixture
def many(source: str, tmp_path: Path) -> str:
    """A folder of 200 small files with 150 different contents."""
    with ThreadPoolExecutor(8) as pool:
        for i in range(MANY):
            (tmp_path / f"m{i}").write_bytes(content_of(i))
        list(pool.map(lambda i: upload_file(tmp_path / f"m{i}", f"{source}-many/{i}"), range(MANY)))
    return f"{source}-many"


def content_of(number: int) -> bytes:
    return (number % DIFFERENT).to_bytes(2, "big") * 500


def test_many_small_files_arrive_each_with_its_own_bytes(
    many: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[int] = []
    add = Cache.add
    monkeypatch.setattr(Cache, "add", lambda self, contents: [added.append(len(contents)), add(self, contents)][1])
    seen: list[tuple[int, int]] = []
    download(many, list_files(many), tmp_path / "a", on_progress=lambda *progress: seen.append(progress))
    assert seen == [(done, MANY) for done in range(1, MANY + 1)], "each file is told of"
    assert sum(added) == MANY and max(added) > 1, "one transaction for several files"
    assert all((tmp_path / "a" / str(i)).read_bytes() == content_of(i) for i in range(MANY))
    assert open_cache().size() == DIFFERENT * 1000, "the same bytes are kept once"
    assert not list(open_cache().partial.iterdir())
    assert cost(many, tmp_path / "b") == (0, MANY)


def test_one_changed_file_of_many_is_named_and_the_rest_goes_on_later(many: str, tmp_path: Path) -> None:
    listed = list_files(many)
    put(tmp_path, many, 77, b"other" * 200)
    with pytest.raises(ChangedError, match="/77 changed"):
        download(many, listed, tmp_path / "a")
    assert not list(open_cache().partial.iterdir())
    download(many, list_files(many), tmp_path / "a")
    assert (tmp_path / "a" / "77").read_bytes() == b"other" * 200
    assert all((tmp_path / "a" / str(i)).read_bytes() == content_of(i) for i in range(MANY) if i != 77)


def test_an_index_that_is_full_is_an_error_that_names_an_object(many: str, tmp_path: Path) -> None:
    database = open_cache()._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match=rf"{many}/\d+: .*disk is full.*free space"):
        download(many, list_files(many), tmp_path / "a")
    assert not list(open_cache().partial.iterdir())
    database.execute("PRAGMA max_page_count = 1000000")
    download(many, list_files(many), tmp_path / "a")
    assert all((tmp_path / "a" / str(i)).read_bytes() == content_of(i) for i in range(MANY))


def test_the_same_content_elsewhere_is_not_fetched(s3: Seaweed, tmp_path: Path) -> None:
    for name in ("one", "two"):
        put(tmp_path, s3.make_bucket(f"same-{name}"), 0, b"the same bytes")
    assert cost("s3://same-one", tmp_path / "a") == (1, 0)
    assert cost("s3://same-two", tmp_path / "b") == (0, 1)


@pytest.mark.parametrize("copied", [False, True])
def test_a_bit_that_a_disk_has_lost_is_found_by_the_hash(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    if copied:
        monkeypatch.setattr(placing.os, "link", refuse)
    cost(source, tmp_path / "a")
    places = (tmp_path / "the cache", tmp_path / "a")
    damaged = next(
        path
        for path in places[copied].rglob("*")
        if path.is_file() and path.stat().st_size == 1000 and path.read_bytes() == b"\x05" * 1000
    )
    before = damaged.stat()
    damaged.chmod(0o644)
    with damaged.open("r+b") as file:
        file.write(b"\x04")
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cost(source, tmp_path / "a") == (1, COUNT - 1)
    assert (tmp_path / "a" / "5").read_bytes() == b"\x05" * 1000


@pytest.mark.parametrize(
    "check",
    [
        Check("md5", "0123456789abcdef" * 2),
        Check("sha256", "0123456789abcdef" * 4),
        Check("md5", "0123456789abcdef" * 2 + "-3", 8 << 20),
        Check("sha256", "0123456789abcdef" * 4 + "-12", 5 << 20),
    ],
)
def test_an_address_tells_its_check(check: Check) -> None:
    assert check.value is not None
    assert check_of_address(check.address(check.value)) == check


@pytest.mark.parametrize("address", ["", "sha256-a", "md5-../../etc/passwd", "crc-00", "md5-" + "0" * 32 + "-0"])
def test_what_is_not_an_address_tells_none(address: str) -> None:
    assert check_of_address(address) is None


@pytest.mark.parametrize("damage", ["cut", "other bytes", "gone"])
def test_what_was_changed_through_a_link_is_fetched_again(source: str, tmp_path: Path, damage: str) -> None:
    cost(source, tmp_path / "a")
    linked = tmp_path / "a" / "5"
    if damage == "gone":
        [cached] = [path for path in (tmp_path / "the cache").rglob("*") if path.is_file() and path.samefile(linked)]
        cached.unlink()
    else:
        linked.chmod(0o644)
        linked.write_bytes(b"\x05" * 10 if damage == "cut" else b"x" * 1000)
    assert cost(source, tmp_path / "b") == (1, COUNT - 1)
    assert (tmp_path / "b" / "5").read_bytes() == b"\x05" * 1000


def test_where_files_cannot_be_linked_they_are_copied(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(placing.os, "link", refuse)
    assert cost(source, tmp_path / "a") == (COUNT, 0)
    kept = (tmp_path / "a" / "3").stat().st_ino
    assert cost(source, tmp_path / "a") == (0, COUNT)
    assert (tmp_path / "a" / "3").stat().st_ino == kept, "a finished copy is not made again"
    assert (tmp_path / "a" / "3").read_bytes() == b"\x03" * 1000


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c", 3000)
    for name in "abcd":
        (tmp_path / "file").write_bytes(name.encode() * 1000)
        cache.add([Content(f"sha256-{name}", tmp_path / "file", name)])
    cache.touch(["sha256-a"])
    cache.trim()
    assert [name for name in "abcd" if cache.find(f"sha256-{name}")] == ["a", "c", "d"]
    assert cache.size() == 3000 and cache.address_of("b") is None and cache.address_of("a") == "sha256-a"
    cache.trim(coming=2500)
    assert [name for name in "abcd" if cache.find(f"sha256-{name}")] == []


def test_a_set_larger_than_the_cache_arrives_all_the_same(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXWRIGHT_CACHE_GB", "0.000005")
    assert cost(source, tmp_path / "a") == (COUNT, 0)
    assert open_cache().size() <= 5000
    assert len(list((tmp_path / "a").iterdir())) == COUNT


def test_several_processes_share_it(s3: Seaweed, tmp_path: Path) -> None:
    uri = s3.make_bucket("shared-cache")
    put(tmp_path, uri, 0, os.urandom(1000) * 20_000)  # one that is fetched in ranges
    for i in range(1, 30):
        put(tmp_path, uri, i, os.urandom(1000))
    program = (
        "import pathlib, sys; from boxwright.storage import *; stats = TransferStats()\n"
        "download(sys.argv[1], list_files(sys.argv[1]), pathlib.Path(sys.argv[2]), stats=stats)\n"
        "print(stats.bytes)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, uri, str(tmp_path / f"out-{i}")],
            cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
        )
        for i in range(3)
    ]  # fmt: skip
    fetched = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum(fetched) < 21_000_000, "the large one came once"
    first = {path.name: path.read_bytes() for path in (tmp_path / "out-0").iterdir()}
    assert len(first) == 30
    for i in (1, 2):
        assert {path.name: path.read_bytes() for path in (tmp_path / f"out-{i}").iterdir()} == first


@pytest.mark.parametrize("value", ["much", "-1", "nan"])
def test_a_size_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BOXWRIGHT_CACHE_GB", value)
    with pytest.raises(UsageError, match="BOXWRIGHT_CACHE_GB.*number of gigabytes"):
        Settings.from_environment()
