"""Names of files that clients trip over: fetched rightly, or refused before anything is fetched."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from boxwright.errors import DataError, UsageError
from boxwright.storage import download, list_files, upload_file

LONG = "/".join(letter * 224 for letter in "wxy") + "/" + "z" * 221 + ".jpg"
GOOD = ("ü 图/é.jpg", "a b  c.jpg", "a+b.jpg", "a&b=c.jpg", "100%.jpg", "%2e%2e.jpg", "#1?.jpg", "~!'()*.jpg", LONG)
BAD = ("../up.jpg", "/etc/passwd", "a//b.jpg", "a/../../b.jpg", "a\\b.jpg", "a\nb.jpg", "w" * 256 + ".jpg", "./a.jpg")


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "store")
    return str(request.getfixturevalue("s3").make_bucket(f"keys-{uuid.uuid4().hex}"))


def test_good_names_there_and_back(folder: str, tmp_path: Path) -> None:
    assert len(LONG.encode()) == 900
    root = tmp_path / "set"
    for name in GOOD:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
        upload_file(root / name, f"{folder}/{name}")
    listed = list_files(folder)
    assert sorted(entry.key for entry in listed) == sorted(GOOD)
    paths = download(folder, listed, tmp_path / "out")
    assert [path.read_bytes() for path in paths] == [entry.key.encode() for entry in listed]
    assert [path.read_bytes() for path in download(folder, GOOD, tmp_path / "again")] == [
        name.encode() for name in GOOD
    ]


@pytest.mark.parametrize("name", BAD)
def test_bad_names_are_refused(folder: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="key "):
        download(folder, [name], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_local_folders(tmp_path: Path) -> None:
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jpg").write_bytes(b"a")
    (root / "images" / "link.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    (root / "images" / "broken.jpg").symlink_to(tmp_path / "nothing")
    (root / "images" / "circle").symlink_to(root / "images")
    (root / "images" / "folder").symlink_to(tmp_path / "elsewhere")
    assert [entry.key for entry in list_files(str(root / "images"))] == ["link.jpg"]
    [path] = download(str(root / "images"), ["link.jpg"], tmp_path / "out")
    assert path.read_bytes() == b"a" and not path.is_symlink(), "its content, not the link"
    for name in ("broken.jpg", "nothing.jpg"):
        with pytest.raises(DataError, match=f"{name} does not exist"):
            download(str(root / "images"), [name], tmp_path / "out")
