"""Each image rule is broken by one planted file, and that file breaks no other rule."""

from __future__ import annotations

import hashlib
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tinyset
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from boxwright.dataset.annotations.records import ImageRecord
from boxwright.dataset.validation.image_measures import Place
from boxwright.dataset.validation.image_rules import Inspection, duplicates, inspect_image, inspect_images
from boxwright.dataset.validation.rules import RULES
from boxwright.errors import UsageError

SIZE = (40, 30)
LIMIT = 80.0


def record(name: str, width: int = 40, height: int = 30) -> ImageRecord:
    return ImageRecord(1, name, width, height)


def bytes_of(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, data: bytes = b"", depth: int = 8, bad_sum: bool = False) -> bytes:
    """An RGB PNG of raw rows; without data it declares a size and has no pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    chunks = b""
    for kind, content in ((b"IHDR", head), (b"IDAT", zlib.compress(data)), (b"IEND", b"")):
        check = zlib.crc32(kind + content) ^ (bad_sum and kind == b"IDAT")
        chunks += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
    return b"\x89PNG\r\n\x1a\n" + chunks


def rows(depth: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40 * 3 * depth // 8), dtype=np.uint8)
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def turned(orientation: int, size: tuple[int, int] = SIZE) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return bytes_of(tinyset.picture(0, *size), "JPEG", exif=exif)


def inspect(folder: Path, name: str, data: bytes, declared: tuple[int, int] = SIZE) -> Inspection:
    (folder / name).write_bytes(data)
    return inspect_image(folder / name, record(name, *declared), LIMIT)


RGB = tinyset.picture(0)
GOOD_JPEG, GOOD_PNG = bytes_of(RGB, "JPEG"), bytes_of(RGB, "PNG")
GRAY = RGB.convert("L")
PROGRESSIVE = bytes_of(RGB, "JPEG", progressive=True)
FAULTS = {
    # Valid, and minutes of work for a decoder where the picture is large.
    "thousands-of-scans": (
        "a.jpg",
        PROGRESSIVE[:-2] + PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2] * 3000 + PROGRESSIVE[-2:],
        "image_undecodable",
        "more than 200 scans, too many to decode in time; save it as a baseline JPEG",
    ),
    "thousands-of-chunks": (
        "a.png",
        GOOD_PNG[:33] + b"\0\0\0\0prVt\xa6\x87\x8c\x49" * 30_000 + GOOD_PNG[33:],
        "image_undecodable",
        "more than 20,000 chunks",
    ),
    "thousands-of-segments": (
        "a.jpg",
        GOOD_JPEG[:2] + b"\xff\xef\0\2" * 30_000 + GOOD_JPEG[2:],
        "image_undecodable",
        "more than 2,000 segments; save it again as JPEG",
    ),
    "empty": ("a.jpg", b"", "image_undecodable", "empty file"),
    "html": ("a.jpg", b"<html>404</html>", "image_undecodable", "not JPEG or PNG; it begins with b'<html>40'"),
    "cut-jpeg": ("a.jpg", GOOD_JPEG[:-200], "image_undecodable", "broken or truncated"),
    "cut-jpeg-by-a-byte": ("a.jpg", GOOD_JPEG[:-2], "image_undecodable", "broken or truncated"),
    "cut-png": ("a.png", GOOD_PNG[:-200], "image_undecodable", "broken or truncated"),
    "wrong-check-sum": (
        "a.png",
        png(40, 30, rows(8), bad_sum=True),
        "image_undecodable",
        "PNG with a broken checksum in chunk IDAT",
    ),
    "no-pixels": ("a.png", png(40, 30), "image_undecodable", "broken or truncated"),
    "gif": ("a.jpg", bytes_of(RGB, "GIF"), "image_undecodable", "GIF, not JPEG or PNG"),
    "webp": ("a.png", bytes_of(RGB, "WEBP"), "image_undecodable", "WEBP, not JPEG or PNG"),
    "wide": ("a.jpg", bytes_of(tinyset.picture(0, 41, 30), "JPEG"), "image_size_mismatch", "41 x 30 in the file"),
    "exchanged": ("a.jpg", bytes_of(tinyset.picture(0, 30, 40), "JPEG"), "image_size_mismatch", "40 x 30 declared"),
    "turned-and-wide": ("a.jpg", turned(6, (41, 30)), "image_size_mismatch", "41 x 30 in the file, 40 x 30 declared"),
    "turned-against-boxes": ("a.jpg", turned(6), "image_orientation", "EXIF orientation 6"),
    "upside-down": ("a.jpg", turned(3), "image_orientation", "EXIF orientation 3"),
    "mirrored": ("a.jpg", turned(2), "image_orientation", "EXIF orientation 2"),
    "gray": ("a.jpg", bytes_of(GRAY, "JPEG"), "image_grayscale", "mode L"),
    "1-bit": ("a.png", bytes_of(RGB.convert("1"), "PNG"), "image_grayscale", "mode 1"),
    "alpha": ("a.png", bytes_of(RGB.convert("RGBA"), "PNG"), "image_rgba", "mode RGBA"),
    "gray-alpha": ("a.png", bytes_of(RGB.convert("LA"), "PNG"), "image_rgba", "mode LA"),
    "palette-alpha": ("a.png", bytes_of(RGB.quantize(8), "PNG", transparency=0), "image_rgba", "palette with"),
    "cmyk": ("a.jpg", bytes_of(RGB.convert("CMYK"), "JPEG"), "image_cmyk", "mode CMYK"),
    "16-bit-gray": (
        "a.png",
        bytes_of(Image.fromarray(np.asarray(GRAY).astype(np.uint16) * 257), "PNG"),
        "image_16bit",
        "mode I;16",
    ),
    "16-bit-rgb": ("a.png", png(40, 30, rows(16), depth=16), "image_16bit", "mode RGB"),
    "animated": (
        "a.png",
        bytes_of(RGB, "PNG", save_all=True, append_images=[tinyset.picture(1)]),
        "image_animated",
        "2 frames",
    ),
    "large": ("a.png", png(9_000, 9_000), "image_too_large", "9000 x 9000"),
    "bomb": ("a.png", png(60_000, 60_000), "image_too_large", "3600000000 pixels"),
    "png-named-jpg": ("a.jpg", GOOD_PNG, "image_extension_mismatch", "PNG in a file .jpg"),
    "jpeg-named-png": ("a.PNG", GOOD_JPEG, "image_extension_mismatch", "JPEG in a file .png"),
}


@pytest.mark.parametrize(("name", "data", "rule", "value"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found_alone(tmp_path: Path, name: str, data: bytes, rule: str, value: str) -> None:
    found = inspect(tmp_path, name, data)
    assert [broken for broken, _ in found.problems] == [rule] and rule in RULES
    assert value in found.problems[0][1]
    assert found.digest == hashlib.sha256(data).hexdigest()
    assert found.is_usable == (rule not in ("image_undecodable", "image_too_large"))


@pytest.mark.parametrize(
    ("name", "data", "declared"),
    [
        ("a.jpg", GOOD_JPEG, SIZE),
        ("a.JPEG", GOOD_JPEG, SIZE),
        ("a.png", GOOD_PNG, SIZE),
        ("a.jpg", bytes_of(RGB, "JPEG", progressive=True), SIZE),
        ("a.png", bytes_of(RGB.quantize(64), "PNG"), SIZE),
        ("a.jpg", turned(6), (30, 40)),  # the boxes were drawn on the picture as it is shown
        ("a.jpg", turned(1), SIZE),
        ("a.jpg", turned(99), SIZE),
        ("a.jpg", bytes_of(RGB, "MPO", save_all=True, append_images=[GRAY]), SIZE),  # a phone's photo with a preview
    ],
    ids=["jpeg", "upper-case", "png", "progressive", "palette", "shown", "upright", "no-orientation", "phone"],
)
def test_good_files_break_no_rule(tmp_path: Path, name: str, data: bytes, declared: tuple[int, int]) -> None:
    found = inspect(tmp_path, name, data, declared)
    assert found.problems == () and found.is_usable


def test_the_limit_is_the_given_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(GOOD_PNG)
    for limit, rules in ((0.0012, []), (0.00119, ["image_too_large"])):
        found = inspect_image(tmp_path / "a.png", record("a.png"), limit)
        assert [rule for rule, _ in found.problems] == rules


def test_a_bomb_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    monkeypatch.setattr(PngImageFile, "load", lambda image: decoded.append(image.width))
    inspect(tmp_path, "a.png", png(9_000, 9_000))
    assert decoded == []
    inspect(tmp_path, "a.png", png(8_000, 9_000))
    assert set(decoded) == {8_000}


def test_a_file_that_is_gone_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    assert inspect_image(tmp_path / "a.jpg", record("a.jpg"), LIMIT).problems == (("image_missing", None),)
    (tmp_path / "b.jpg").mkdir()
    with pytest.raises(Exception, match=r"b\.jpg") as caught:
        inspect_image(tmp_path / "b.jpg", record("b.jpg"), LIMIT)
    assert isinstance(caught.value, UsageError) or type(caught.value).__name__ == "StorageError"


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_inspections_come_in_the_order_of_the_records(tmp_path: Path, count: int) -> None:
    records = [ImageRecord(i, f"p{i}.png", 40, 30) for i in range(count)]
    for item in records:
        tinyset.picture(item.id).save(tmp_path / item.file_name)
    found = inspect_images(tmp_path, records, LIMIT)
    digests = [hashlib.sha256((tmp_path / item.file_name).read_bytes()).hexdigest() for item in records]
    assert [one.digest for one in found] == digests


def test_copies_are_told_apart_by_where_they_are() -> None:
    def images(split: str, *digests: str) -> list[tuple[Place, Inspection]]:
        return [(Place(split, i, f"{split}{i}.jpg"), Inspection(digest)) for i, digest in enumerate(digests)]

    clean = {"training": images("training", "a", "b"), "test": images("test", "c")}
    assert list(duplicates(clean)) == []
    found = list(
        duplicates(
            {
                "training": images("training", "a", "b", "a", "a"),
                "validation": images("validation", "c", "b"),
                "test": images("test", "c", "d", "d"),
            }
        )
    )
    assert [(place.split, place.index, rule, value) for place, (rule, value) in found] == [
        ("training", 2, "duplicate_image_within_split", "training: images[0] 'training0.jpg'"),
        ("training", 3, "duplicate_image_within_split", "training: images[0] 'training0.jpg'"),
        ("validation", 1, "duplicate_image_across_splits", "training: images[1] 'training1.jpg'"),
        ("test", 0, "duplicate_image_across_splits", "validation: images[0] 'validation0.jpg'"),
        ("test", 2, "duplicate_image_within_split", "test: images[1] 'test1.jpg'"),
    ]


def test_broken_files_are_no_copies_of_each_other() -> None:
    broken = Inspection("a", (("image_undecodable", "empty file"),))
    places = [(Place("training", i, f"{i}.jpg"), broken) for i in range(2)]
    assert list(duplicates({"training": places})) == []


def test_memory_does_not_grow_with_the_size_of_the_images(tmp_path: Path) -> None:
    """48 images of 2,500 x 2,500 pixels take 900 MB decoded; one at a time a core takes 19."""
    peaks = []
    for side in (25, 2_500):
        folder = tmp_path / str(side)
        folder.mkdir()
        data = bytes_of(tinyset.picture(0, side, side), "JPEG")
        for i in range(48):
            (folder / f"p{i}.jpg").write_bytes(data)
        code = (
            "import os, sys; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])\n"
            "from pathlib import Path\n"
            "from boxwright.dataset.validation.image_rules import inspect_images\n"
            "from boxwright.dataset.annotations.records import ImageRecord\n"
            f"records = [ImageRecord(i, f'p{{i}}.jpg', {side}, {side}) for i in range(48)]\n"
            f"assert not any(one.problems for one in inspect_images(Path(sys.argv[1]), records, 80))\n"
            # Unlike getrusage's, this peak does not begin with that of the process that started this one.
            "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[3],
        )  # fmt: skip
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 120 * 1024
