from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from boxwright.errors import DataError, UsageError
from boxwright.packaging.archive import pack, unpack


def model_folder(root: Path) -> Path:
    (root / "saved_model" / "variables").mkdir(parents=True)
    (root / "saved_model" / "assets").mkdir()
    (root / "saved_model" / "saved_model.pb").write_bytes(bytes(range(256)) * 40)
    (root / "saved_model" / "variables" / "variables.index").write_bytes(b"")
    (root / "model.weights.h5").write_bytes(os.urandom(3 << 20))
    (root / "model.json").write_text("{}")
    (root / "label_map.json").write_text('{"labels": []}')
    return root


def content(root: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None for path in root.rglob("*")
    }


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, link, size
    return entry


def archive_of(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for entry, data in entries:
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def refused(archive: Path, tmp_path: Path, match: str, **limits: int) -> None:
    """The archive is refused in one line, and leaves nothing behind."""
    target = tmp_path / "place" / "target"
    with pytest.raises(DataError, match=match) as caught:
        unpack(archive, target, **limits)
    assert "\n" not in str(caught.value)
    assert list(target.parent.iterdir()) == []


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    source = model_folder(tmp_path / "source")
    pack(source, tmp_path / "model.tar.gz")
    unpack(tmp_path / "model.tar.gz", tmp_path / "new" / "target")
    assert content(tmp_path / "new" / "target") == content(source)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["target"]
    assert not list(tmp_path.glob(".*"))


def test_equal_contents_give_equal_bytes(tmp_path: Path) -> None:
    source = model_folder(tmp_path / "source")
    pack(source, tmp_path / "a.tar.gz")
    other = tmp_path / "other"
    other.mkdir()
    for name, data in sorted(content(source).items(), reverse=True):  # another order, other times and modes
        path = other / name
        if data is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o600)
        os.utime(path, (1, 1))
    pack(other, tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_a_plain_tar_of_the_folder_is_taken_too(tmp_path: Path) -> None:
    source = model_folder(tmp_path / "source")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(source, arcname=".")
    unpack(tmp_path / "model.tar.gz", tmp_path / "target")
    assert content(tmp_path / "target") == content(source)


def test_what_a_repack_adds_is_left_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SageMaker's containers put their code beside the model, and macOS's tar its own files."""
    added = ("code/inference.py", "code/requirements.txt", "._run.json", "model/._x", ".DS_Store")
    entries = [(tarfile.TarInfo(name), b"x") for name in (*added, "run.json")]
    unpack(archive_of(tmp_path / "a.tar.gz", *entries), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["run.json"]
    assert "5 files are not of a model package" in caplog.text and "code/inference.py" in caplog.text


def test_modes_of_the_archive_are_not_taken(tmp_path: Path) -> None:
    entry = member("run.json")
    entry.mode = 0o6777
    unpack(archive_of(tmp_path / "model.tar.gz", (entry, b"{}")), tmp_path / "target")
    assert (tmp_path / "target" / "run.json").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        (member("../evil"), "unsafe path"),
        (member("saved_model/../../evil"), "unsafe path"),
        (member("/etc/evil"), "unsafe path"),
        (member("saved_model/a\\..\\b"), "unsafe path"),
        (member("saved_model/" + "a/" * 900), "unsafe path"),
        (member("saved_model/link", tarfile.SYMTYPE, "/etc"), "neither a regular file nor a folder"),
        (member("run.json", tarfile.LNKTYPE, "../run.json"), "neither a regular file nor a folder"),
        (member("saved_model/dev", tarfile.CHRTYPE), "neither a regular file nor a folder"),
        (member("saved_model/fifo", tarfile.FIFOTYPE), "neither a regular file nor a folder"),
        (member("evil.py"), "not of a model package, which has saved_model/"),
        (member("saved_model"), "not of a model package"),
        (member("run.json/x"), "not of a model package"),
    ],
)
def test_a_dangerous_entry_is_refused(entry: tarfile.TarInfo, match: str, tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "model.tar.gz", (member("model.json"), b"{}"), (entry, b""))
    refused(archive, tmp_path, match)


def test_a_link_cannot_be_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = archive_of(
        tmp_path / "model.tar.gz",
        (member("saved_model", tarfile.SYMTYPE, str(outside)), b""),
        (member("saved_model/evil"), b"x"),
    )
    refused(archive, tmp_path, "neither a regular file nor a folder")
    assert list(outside.iterdir()) == []


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    twice = [(member("run.json"), b"a"), (member("./run.json"), b"b")]
    refused(archive_of(tmp_path / "a.tar.gz", *twice), tmp_path, "twice")
    both = [(member("saved_model/x"), b"a"), (member("saved_model/x/y"), b"b")]
    refused(archive_of(tmp_path / "b.tar.gz", *both), tmp_path, "as a file and a folder")


def test_bytes_and_entries_are_limited(tmp_path: Path) -> None:
    bomb = archive_of(tmp_path / "a.tar.gz", (member("model.json"), b"{}"), (member("run.json"), bytes(1 << 20)))
    refused(bomb, tmp_path, r"more than 1000000 bytes, at 'run.json'", max_bytes=1_000_000)
    many = archive_of(tmp_path / "b.tar.gz", *((member(f"saved_model/{i}"), b"") for i in range(21)))
    refused(many, tmp_path, "more than 20 entries", max_files=20)
    unpack(many, tmp_path / "fits", max_files=21)


def test_a_bomb_in_a_header_is_not_read_into_memory(tmp_path: Path) -> None:
    bomb = tmp_path / "model.tar.gz"
    with gzip.open(bomb, "wb") as zipped:
        zipped.write(member("x", tarfile.XHDTYPE, size=256 << 20).tobuf())
        for _ in range(256):
            zipped.write(bytes(1 << 20))
    tracemalloc.start()
    refused(bomb, tmp_path, "more data than its headers announce")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_a_size_that_lies_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "more.tar.gz"
    with gzip.open(path, "wb") as zipped:
        zipped.write(member("model.json", size=1 << 20).tobuf() + b"only this")
    refused(path, tmp_path, "not a complete .tar.gz|ends within")
    path = tmp_path / "less.tar.gz"
    with gzip.open(path, "wb") as zipped:
        zipped.write(member("model.json", size=3).tobuf() + b"abc".ljust(512, b"\0") + bytes(8 << 20))
    refused(path, tmp_path, "more data than its headers announce")


def _flip(data: bytes) -> bytes:
    return data[:-6] + bytes([data[-6] ^ 1]) + data[-5:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-9],
        _flip,
        lambda data: b"PK\x03\x04 not gzip at all",
        lambda data: b"",
        lambda data: gzip.compress(b"no tar in here" * 100),
        lambda data: gzip.compress(b""),
        lambda data: gzip.compress(bytes(10240)),
    ],
    ids=["half", "no-trailer", "checksum", "not-gzip", "nothing", "not-tar", "empty-gzip", "empty-tar"],
)
def test_a_damaged_archive_is_refused(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    pack(model_folder(tmp_path / "source"), tmp_path / "good.tar.gz")
    (tmp_path / "bad.tar.gz").write_bytes(damage((tmp_path / "good.tar.gz").read_bytes()))
    refused(tmp_path / "bad.tar.gz", tmp_path, "not a complete .tar.gz|is empty")


def test_a_missing_archive_and_a_taken_target_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'none.tar.gz'} does not exist")):
        unpack(tmp_path / "none.tar.gz", tmp_path / "target")
    target = model_folder(tmp_path / "target")
    before = content(target)
    pack(target, tmp_path / "model.tar.gz")
    with pytest.raises(UsageError, match="not empty"):
        unpack(tmp_path / "model.tar.gz", target)
    assert content(target) == before


def test_only_what_can_be_unpacked_is_packed(tmp_path: Path) -> None:
    source = model_folder(tmp_path / "source")
    (source / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="notes.txt: it is not of a model package"):
        pack(source, tmp_path / "model.tar.gz")
    (source / "notes.txt").unlink()
    (source / "run.json").symlink_to("model.json")
    with pytest.raises(DataError, match="run.json is neither file nor folder"):
        pack(source, tmp_path / "model.tar.gz")
    with pytest.raises(DataError, match="empty or missing"):
        pack(tmp_path / "nowhere", tmp_path / "model.tar.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
