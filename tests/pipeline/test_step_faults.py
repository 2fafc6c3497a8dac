"""What the disk and ML Metadata's file do to a step: an error of exit code 4 that says what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from boxwright.config import Settings, parse_config
from boxwright.errors import DataError, StorageError
from boxwright.pipeline.faults import explained
from boxwright.pipeline.lineage import run_outputs
from boxwright.pipeline.runner import run_pipeline

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def metadata(own: Settings) -> Path:
    """ML Metadata's file, whole."""
    assert run_outputs("nothing", own) == {}
    return own.metadata.path


VERSIONS = {
    "newer": "UPDATE MLMDEnv SET schema_version = 999",
    "older": "UPDATE MLMDEnv SET schema_version = 3",
    "of no version": "DELETE FROM MLMDEnv",
}


def damage(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    if kind == "text":
        path.write_bytes(b"not a database" * 1000)
    elif kind == "half":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "noise":
        path.write_bytes(whole[:4096] + os.urandom(40960) + whole[45056:])
    elif kind == "journal":
        path.with_name(f"{path.name}-journal").mkdir()
    elif kind in VERSIONS:
        with closing(sqlite3.connect(path)) as database:
            database.execute(VERSIONS[kind])
            database.commit()
    else:
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("text", "damaged: restore"),
        ("half", "damaged: restore"),
        ("noise", "damaged: restore"),
        ("folder", "let this user write"),
        ("journal", "mend the disk"),
        ("newer", "another version of ML Metadata wrote it"),
        ("older", "another version of ML Metadata wrote it"),
        ("of no version", "damaged: restore"),
    ],
)
def test_a_metadata_file_that_is_broken_is_named(own: Settings, metadata: Path, kind: str, advice: str) -> None:
    damage(metadata, kind)
    with pytest.raises(StorageError, match=f"{metadata} of ML Metadata.*{advice}") as caught:
        run_outputs("nothing", own)
    assert caught.value.exit_code == 4


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("begin exclusive")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_metadata_file_that_another_program_holds_is_named(own: Settings, metadata: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(metadata)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdin and holder.stdout.readline()
        try:
            with pytest.raises(StorageError, match="another program holds the file: end it, or wait"):
                run_outputs("nothing", own)
        finally:
            holder.stdin.close()
    assert run_outputs("nothing", own) == {}, "the file is whole"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "fine_tune: /x/y: No space.*df -h"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "/x: Read-only.*rights to it"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "Permission denied; give this user the rights"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error; mend the disk"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files; end other programs"),
        (RuntimeError("Can't write (file write failed: errno = 28, 'No space left on device')"), "No space left"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_disk_does_to_a_library_is_typed(own: Settings, error: Exception, said: str) -> None:
    with pytest.raises(StorageError, match=said), explained(own, "fine_tune"):
        raise error
    with pytest.raises(StorageError, match=said), explained(own, "fine_tune"):
        try:
            raise error
        except Exception:
            raise ValueError("whatever a library makes of it")  # noqa: B904


def test_what_an_earlier_step_left_and_is_gone_is_named(own: Settings) -> None:
    path = own.home / "pipeline" / "x"
    with pytest.raises(StorageError, match=f"{path} is gone.*clear that step"), explained(own, "fine_tune"):
        path.read_bytes()


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("a bug"), RuntimeError("a bug"), FileNotFoundError(2, "no", "/elsewhere"), DataError("bad")],
)
def test_a_bug_and_a_typed_error_stay_what_they_are(own: Settings, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, explained(own, "fine_tune"):
        raise error
    assert caught.value is error


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k,nr_inodes=60", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@ROOT
@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_a_run_on_a_full_disk_says_so(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    from boxwright.dataset.sample.generate import generate_sample

    generate_sample(tmp_path / "sample", images=12, seed=1)
    if what == "inodes":
        with pytest.raises(OSError, match="No space"):
            for number in range(1000):
                (small_disk / f"{number}").touch()
    monkeypatch.setenv("BOXWRIGHT_HOME", str(small_disk / "home"))
    monkeypatch.setenv("BOXWRIGHT_CACHE", str(small_disk / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = parse_config({"training": str(tmp_path / "sample" / "training"), "output": str(tmp_path / "out")})
    with pytest.raises(StorageError, match="No space|full|space") as caught:
        run_pipeline(config)
    assert caught.value.exit_code == 4 and "space" in str(caught.value)


@ROOT
def test_a_run_on_a_disk_that_is_read_only_says_so(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    monkeypatch.setenv("BOXWRIGHT_HOME", str(small_disk / "home"))
    config = parse_config({"training": str(tmp_path), "output": str(tmp_path / "out")})
    with pytest.raises(StorageError, match="Read-only file system.*rights to it") as caught:
        run_pipeline(config)
    assert caught.value.exit_code == 4


def test_a_home_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path / "file" / "home"))
    config = parse_config({"training": str(tmp_path), "output": str(tmp_path / "out")})
    with pytest.raises(StorageError, match="file"):
        run_pipeline(config)
