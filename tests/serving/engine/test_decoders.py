"""Images that are made to take long: refused by their marks, or given up with the process that decodes them."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator

import pytest
from finder import encoded, scene
from PIL import Image

from boxwright.images.cost import jpeg_scans, png_chunks, without_extras
from boxwright.serving.engine.decoders import Decoders
from boxwright.serving.engine.picture import RefusedImageError, read_picture

PIXELS = 50_000_000


def progressive(scans: int, width: int = 200, height: int = 100) -> bytes:
    """A JPEG that goes over its pixels so many times: its last scan, again and again."""
    data = encoded(scene(width, height), progressive=True)
    last = data.rindex(b"\xff\xda")
    already = jpeg_scans(data, 1000)
    return data[:last] + data[last:-2] * (1 + scans - already) + data[-2:]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunks(*chunks: bytes) -> bytes:
    data = encoded(scene(), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def test_scans_are_those_of_the_picture_alone() -> None:
    assert jpeg_scans(encoded(scene()), 100) == 1
    plain = encoded(scene(), progressive=True)
    assert 3 <= jpeg_scans(plain, 100) <= 12
    # A preview within the EXIF block is a JPEG of its own.
    exif = b"Exif\0\0" + progressive(50)
    flagged = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    assert jpeg_scans(flagged, 100) == jpeg_scans(plain, 100)
    assert jpeg_scans(progressive(3000), 100) == 101
    for broken in (b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xda", b"\xff\xd8\xff\xe1\0", b"\xff" * 100):
        assert jpeg_scans(broken, 100) <= 1


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (progressive(3000), "more than 200 scans"),
        (progressive(201), "more than 200 scans"),
        (encoded(scene())[:2] + b"\xff\xef\0\2" * 100_000 + encoded(scene())[2:], "more than 2,000 segments"),
        (with_chunks(*[chunk(b"prVt", b"")] * 100_000), "more than 20,000 chunks"),
        (with_chunks(*[chunk(b"prVt", b"x" * 10)] * 30_000), "more than 20,000 chunks"),
    ],
)
def test_an_image_that_is_made_to_take_long_is_refused_by_its_marks(data: bytes, what: str) -> None:
    with pytest.raises(RefusedImageError, match=what) as caught:
        read_picture(data, PIXELS)
    assert caught.value.code == "image_too_complex"


def test_a_large_image_may_have_few_scans() -> None:
    pixels = 200 * 100
    assert read_picture(progressive(40), 2 * pixels).width == 200
    with pytest.raises(RefusedImageError, match="more than 20 scans"):
        read_picture(progressive(40), pixels)


def test_texts_that_unpack_to_much_do_not_reach_the_model() -> None:
    packed = zlib.compress(b"x" * 500_000)
    bomb = with_chunks(*[chunk(b"zTXt", b"k\0\0" + packed), chunk(b"eXIf", b"MM\0*" + b"\0" * 20)] * 50)
    picture = read_picture(bomb, PIXELS)
    assert picture.encoded == encoded(scene(), "PNG") and len(bomb) > len(picture.encoded)
    with pytest.raises(RefusedImageError, match="cannot be read"):
        read_picture(with_chunks(chunk(b"zTXt", b"k\0\0" + zlib.compress(b"x" * 100_000_000))), PIXELS)


def test_what_pixels_are_made_of_is_kept() -> None:
    palette = encoded(scene().convert("P", palette=Image.Palette.ADAPTIVE), "PNG", transparency=0)
    assert without_extras(palette) is palette
    assert png_chunks(palette, 10) == 5
    assert png_chunks(b"", 10) == png_chunks(palette[:20], 10) == 0
    animated = encoded(scene(), "PNG", save_all=True, append_images=[Image.new("RGB", (200, 100))] * 3)
    plain = without_extras(animated)
    assert len(plain) < len(animated)
    assert Image.open(io.BytesIO(plain)).convert("RGB").tobytes() == scene().tobytes()


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(1, PIXELS, 20)
    yield made
    made.stop()


def test_a_process_reads_what_this_one_would(decoders: Decoders) -> None:
    for data in (encoded(scene()), encoded(scene(), "PNG"), encoded(scene().convert("CMYK")), progressive(20)):
        assert decoders.read(data) == read_picture(data, PIXELS)
    for data in (b"", b"nothing", encoded(scene())[:200], progressive(500)):
        with pytest.raises(RefusedImageError) as caught:
            decoders.read(data)
        with pytest.raises(RefusedImageError) as expected:
            read_picture(data, PIXELS)
        assert (caught.value.code, str(caught.value)) == (expected.value.code, str(expected.value))


def test_an_image_that_takes_too_long_is_given_up_and_the_next_one_is_read(endless: bytes) -> None:
    decoders = Decoders(1, PIXELS, 0.05)
    with pytest.raises(RefusedImageError, match=r"was not decoded after 0\.05 s") as caught:
        decoders.read(endless)
    assert caught.value.code == "image_too_complex"
    decoders._seconds = 20
    assert decoders.read(encoded(scene())).width == 200
    decoders.stop()


def test_a_process_that_ends_costs_one_image(decoders: Decoders) -> None:
    (one,) = decoders._all
    assert one._process is not None
    decoders.read(encoded(scene()))
    one._process.kill()
    one._process.wait()
    with pytest.raises(RefusedImageError, match="ended the process"):
        decoders.read(encoded(scene()))
    assert decoders.read(encoded(scene())).width == 200


def test_a_stop_does_not_wait_for_an_image(endless: bytes) -> None:
    decoders = Decoders(1, PIXELS, 600)
    refused: list[RefusedImageError] = []

    def read() -> None:
        try:
            decoders.read(endless)
        except RefusedImageError as error:
            refused.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    decoders.stop()
    reader.join(60)
    assert not reader.is_alive() and len(refused) <= 1


def test_an_answer_that_is_none_ends_its_process_and_not_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a broken image made of its decoder may answer anything."""
    decoders = Decoders(1, PIXELS, 10)
    (decoder,) = decoders._all
    decoder._wait_until_ready()
    before = decoder._process
    for answer in (b"not JSON", b"[1]", b"{}"):
        monkeypatch.setattr(decoder._connection, "recv_bytes", lambda *_, answer=answer: answer)
        with pytest.raises(RefusedImageError, match="ended the process"):
            decoders.read(encoded(scene()))
        assert decoders.read(encoded(scene())).width == 200 and decoder._process is not before
    decoders.stop()
