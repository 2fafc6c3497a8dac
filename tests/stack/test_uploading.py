"""A dataset arrives in a bucket whole, once, and without what is not part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from boxwright.config import Settings
from boxwright.errors import UsageError
from boxwright.stack import uploading
from boxwright.stack.uploading import files_of, reaching, upload_dataset
from boxwright.storage import list_files

NAMES = ("annotations.json", "images/a b.jpg", "images/zażółć.png")
HIDDEN = [".env", "images/.hidden.jpg"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NAMES, *HIDDEN, ".git/config", "images/.DS_Store", "images/._a b.jpg"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    return tmp_path / "set"


def test_what_was_stopped_goes_on_and_what_changed_is_sent_again(folder: Path, s3: Any) -> None:
    uri = s3.make_bucket("uploads") + "/set"
    first = folder / "images" / "a b.jpg"
    kept = first.read_text()
    told: list[tuple[int, int]] = []
    stats = upload_dataset(folder, uri, lambda *counts: told.append(counts))
    assert (stats.sent, stats.there, stats.others) == (3, 0, ())
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert {entry.key for entry in list_files(uri)} == set(NAMES)

    first.write_text(kept.upper())
    assert first.stat().st_size == len(kept.encode())
    (folder / NAMES[-1]).unlink()
    stats = upload_dataset(folder, uri)
    assert (stats.sent, stats.there, stats.others) == (1, 1, (NAMES[-1],))


def test_hidden_files_are_told_and_leftovers_of_systems_are_not(folder: Path) -> None:
    assert files_of(folder) == (list(NAMES), HIDDEN)


def test_a_link_to_a_file_is_followed_and_one_to_a_folder_or_to_nowhere_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "annotations.json").rename(tmp_path / "elsewhere.json")
    (folder / "annotations.json").symlink_to(tmp_path / "elsewhere.json")
    assert files_of(folder) == (list(NAMES), HIDDEN)
    (folder / "images" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (folder / "images").rename(tmp_path / "pictures")
    (folder / "images").symlink_to(tmp_path / "pictures")
    with pytest.raises(UsageError, match=r"set: images: a link to a folder, which is not gone into"):
        upload_dataset(folder, "s3://b/x")
    (folder / "images").unlink()
    (tmp_path / "pictures").rename(folder / "images")
    with pytest.raises(UsageError, match=r"set: images/gone.jpg: a link .* or to nowhere"):
        upload_dataset(folder, "s3://b/x")


def test_the_annotations_arrive_last(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[list[str]] = []
    monkeypatch.setattr(uploading, "upload_missing", lambda folder, uri, names, tell: order.append(names))
    upload_dataset(folder, str(tmp_path / "to"))
    assert order[0][-1] == "annotations.json" and len(order[0]) == len(NAMES)


def test_a_folder_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        upload_dataset(tmp_path / "nowhere", "s3://b/x")
    with pytest.raises(UsageError, match="there is no file in it"):
        upload_dataset(tmp_path, "s3://b/x")


def test_the_bucket_of_a_stack_that_does_not_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    stopped = Settings(tmp_path)
    with pytest.raises(UsageError, match="start it by `boxwright up`"), reaching("s3://boxwright/x", stopped):
        pass
