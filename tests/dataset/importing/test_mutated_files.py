"""Files of each format, changed at random: a conversion says what is wrong, or names what it left out."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign import coco, voc, voc_object, write_coco, yolo
from tool_exports import MAKERS

from boxwright.dataset.importing.conversion import ConvertOptions, convert_dataset
from boxwright.dataset.importing.source.account import Account
from boxwright.errors import BoxwrightError

FEW, MANY = 40, 2000
LABELS = (".json", ".xml", ".txt", ".yaml", ".csv", ".manifest", ".pbtxt", "-of-00001")
TOKENS = (
    *(b"null", b"NaN", b"-1", b"1e999", b"{}", b"[]", b'""', b"true", b"9" * 400, b"0", b'"', b"]", b"}", b",,"),
    *(b"<", b"&x;", b"<!ENTITY a 'b'>", b"../../x", b"- ", b"*a", b"\xff", b"\0", b"\n", b"\xef\xbb\xbf"),
)


def make_coco(folder: Path) -> None:
    write_coco(folder, coco(["p0.jpg", "p1.jpg"]))


def make_voc(folder: Path) -> None:
    from foreign import picture, write

    picture(folder / "JPEGImages" / "p0.jpg")
    write(folder / "Annotations" / "p0.xml", voc(voc_object() + voc_object("nut")))


def make_yolo(folder: Path) -> None:
    yolo(folder)


ALL: dict[str, Callable[[Path], object]] = {"coco": make_coco, "voc": make_voc, "yolo": make_yolo, **MAKERS}


def mutated(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((0, 1, 1, 2, 5, 20)))
        kind = rng.randrange(4)
        if kind == 0:
            data = data[:at] + rng.choice(TOKENS) + data[end:]
        elif kind == 1:
            data = data[:at] + bytes([rng.randrange(256)]) + data[end:]
        elif kind == 2:
            data = data[:at] + data[at:end] + data[at:]
        else:
            data = data[:at] if rng.random() < 0.2 else data[:at] + data[end:]
    return data


def attempt(source: Path, kind: str | None, seed: int) -> Account | None:
    """One conversion: a typed error in one line, or a result whose account adds up, which it holds by itself."""
    out = source.parent / "out"
    try:
        found = convert_dataset(source, out, ConvertOptions(kind=kind, on_invalid="drop" if seed % 2 else "fail"))
    except BoxwrightError as error:
        assert str(error) and "\n" not in str(error) and not out.exists(), str(error)
        return None
    shutil.rmtree(out)
    return found.account


def size(account: Account) -> tuple[int, int]:
    return account.came_out.images, account.came_out.boxes


def run(tmp_path: Path, kind: str, count: int) -> None:
    source = tmp_path / "set"
    ALL[kind](source)
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and path.name.endswith(LABELS)]
    originals = {path: path.read_bytes() for path in files}
    whole = attempt(source, kind, 0)
    assert whole is not None
    for seed in range(count):
        rng = random.Random(f"{kind} {seed}")
        path = rng.choice(files)
        path.write_bytes(mutated(originals[path], rng))
        try:
            found = attempt(source, kind if seed % 3 else None, seed)
            # What is gone is named; that a file was emptied nobody can know.
            assert found is None or found.losses or size(found) >= size(whole) or not path.read_bytes().strip()
        except Exception as error:
            raise AssertionError(f"seed {seed} of {kind}: {path.read_bytes()[:400]!r}") from error
        path.write_bytes(originals[path])


@pytest.mark.parametrize("kind", ALL)
def test_a_few(tmp_path: Path, kind: str) -> None:
    run(tmp_path, kind, FEW)


@pytest.mark.long
@pytest.mark.parametrize("kind", ALL)
def test_many(tmp_path: Path, kind: str) -> None:
    run(tmp_path, kind, MANY)
