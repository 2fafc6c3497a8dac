"""Archives as tools hand them out: read like the folder that they hold, and refused where they are not safe."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign import BOX, YOLO_LINE, coco, convert, picture, write, write_coco, yolo
from test_mutated_files import ALL

from boxwright.dataset.importing.conversion import ConvertOptions, convert_dataset
from boxwright.errors import DataError, UsageError


def zipped(folder: Path, name: str = "export.zip") -> Path:
    with zipfile.ZipFile(folder.parent / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder).as_posix())
    return folder.parent / name


def tarred(folder: Path, name: str = "export.tar.gz", mode: str = "w:gz") -> Path:
    with tarfile.open(folder.parent / name, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder, arcname=folder.name)
    return folder.parent / name


def zip_of(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("kind", ALL)
def test_a_zip_is_read_like_its_folder(tmp_path: Path, kind: str) -> None:
    ALL[kind](tmp_path / "set")
    packed = convert(zipped(tmp_path / "set"))
    assert packed.boxes == convert(tmp_path / "set").boxes
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(("name", "mode"), [("export.tar.gz", "w:gz"), ("VOCtrainval.tar", "w")])
def test_a_tar_is_read_like_its_folder(tmp_path: Path, name: str, mode: str) -> None:
    ALL["voc"](tmp_path / "set")
    assert convert(tarred(tmp_path / "set", name, mode)).boxes == convert(tmp_path / "set").boxes


def test_places_are_those_of_the_archive(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    write(folder / "labels" / "p0.txt", f"{YOLO_LINE}\n7 0.5 0.5 0.1 0.1\n")
    archive = zipped(folder)
    with pytest.raises(DataError) as caught:
        convert(archive)
    assert str(caught.value).startswith(f"{archive}: 1 bad record: labels/p0.txt: line 2: class 7")
    assert "-source-" not in str(caught.value)
    with pytest.raises(UsageError, match=r"other.zip: not recognised") as unknown:
        convert(zip_of(tmp_path / "other.zip", ("readme.txt", b"hello")))
    assert "-source-" not in str(unknown.value)


def test_names_above_an_archive_are_not_looked_for(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set", names="")
    write(tmp_path / "data.yaml", "names: [wrong, wrong too]\n")
    found = convert(zipped(folder))
    assert found.boxes["p0.jpg"] == [("class_0", BOX)] and "export.zip" in found.said


def test_what_is_not_taken_out_is_named(tmp_path: Path) -> None:
    write_coco(tmp_path / "set", coco(["p0.jpg"]))
    for name in ("train.py", "more/images.zip", "__MACOSX/._p0.jpg", "scan.json.gz"):
        write(tmp_path / "set" / name, b"x")
    said = convert(zipped(tmp_path / "set")).said
    assert "left out (2): compressed inside of the archive, not unpacked: more/images.zip; scan.json.gz" in said
    assert "neither a picture nor a file of labels, not unpacked: train.py" in said
    assert "left behind by a system, not part of the set: __MACOSX/._p0.jpg" in said


def test_names_of_macos_and_windows(tmp_path: Path) -> None:
    picture(tmp_path / "p.jpg")
    data = (tmp_path / "p.jpg").read_bytes()
    plain = zipfile.ZipInfo("x")
    path = zip_of(tmp_path / "a.zip", (plain, b""))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images/?????.jpg", data)  # five letters, of which one is two bytes
        archive.writestr("set?a.json", json.dumps(coco(["caf\u00e9.jpg"])))
    raw = path.read_bytes().replace(b"?????.jpg", "caf\u00e9.jpg".encode()).replace(b"set?a.json", b"set\\a.json")
    path.write_bytes(raw)
    assert convert(path).boxes == {"caf\u00e9.jpg": [("bolt", BOX)]}


def symlink() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("images/p0.jpg")
    info.external_attr = 0o120777 << 16
    return info


def lying(path: Path) -> Path:
    """A zip whose only entry says that it has 3 bytes, and has more."""
    zip_of(path, ("a.txt", b"0123456789"))
    data = path.read_bytes().replace(struct.pack("<LL", 10, 10), struct.pack("<LL", 10, 3))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: zip_of(path, ("../../up.json", b"{}")), "unsafe path '../../up.json'"),
        (lambda path: zip_of(path, ("/etc/up.json", b"{}")), "unsafe path"),
        (lambda path: zip_of(path, (symlink(), b"/etc/passwd")), "neither a regular file nor a folder"),
        (lambda path: zip_of(path, ("a.json", b"{}"), ("a.json/b.json", b"{}")), "as a file and a folder"),
        (lying, "is not a complete .zip"),
        (lambda path: zip_of(path), "is empty"),
        (lambda path: write(path, b"PK\x03\x04 and nothing more"), "is not a complete .zip"),
        (lambda path: write(path, b"no archive"), "not a .zip, .tar or .tar.gz by its content"),
    ],
)
def test_what_is_not_safe_is_refused(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    path = make(tmp_path / "export.zip")
    with pytest.raises((DataError, UsageError), match=words) as caught:
        convert_dataset(path, tmp_path / "out")
    assert "-source-" not in str(caught.value) and str(path) in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["export.zip"]


def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "export.zip", ("a.json", b"{}"))
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="has 'a.json', which is encrypted"):
        convert_dataset(path, tmp_path / "out")


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boxwright.dataset.importing.archives._SLACK", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", b"0" * (8 << 20))
    with pytest.raises(DataError, match="unpacks to more than"):
        convert_dataset(tmp_path / "bomb.zip", tmp_path / "out")


def test_a_tar_that_leads_out_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "export.tar", "w") as archive:
        link = tarfile.TarInfo("images")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("images/x.json"), io.BytesIO())
    with pytest.raises(DataError, match="neither a regular file nor a folder"):
        convert_dataset(tmp_path / "export.tar", tmp_path / "out", ConvertOptions())
