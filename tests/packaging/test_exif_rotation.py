"""The graph reads the rotation flag that Pillow reads, and turns as Pillow turns."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from boxwright.packaging.exif_rotation import orientation, upright

read = tf.function(orientation, input_signature=[tf.TensorSpec((), tf.string)])


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 50, 3), dtype=np.uint8))


def flagged(value: int | None, kind: str = "PNG", order: str = "<", before: int = 0) -> bytes:
    exif = Image.Exif()
    exif.endian = order
    for tag in range(before):
        exif[0x0100 + tag] = tag
    exif[0x010F] = "a maker whose name does not fit into an entry"
    if value is not None:
        exif[0x0112] = value
    buffer = io.BytesIO()
    picture().save(buffer, kind, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("value", range(1, 9))
def test_every_flag_in_every_form(value: int, kind: str, order: str) -> None:
    assert int(read(flagged(value, kind, order))) == value


@pytest.mark.parametrize("value", range(1, 9))
def test_it_turns_as_pillow_does(value: int) -> None:
    data = flagged(value)
    turned = upright(tf.io.decode_image(data, channels=3, expand_animations=False), data).numpy()
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(turned, np.asarray(expected))


@pytest.mark.parametrize("value", [0, 9, 300, None])
def test_another_value_or_none_leaves_it_as_it_is(value: int | None) -> None:
    assert int(read(flagged(value, "JPEG"))) == 1


def test_bytes_of_any_kind_are_read_without_an_error() -> None:
    plain = io.BytesIO()
    picture().save(plain, "JPEG")
    assert int(read(plain.getvalue())) == 1
    for data in (
        b"",
        b"\xff\xd8",
        b"\xff\xd8Exif\0\0",
        b"eXIf",
        b"\xff\xd8Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40,
    ):
        assert int(read(data)) == 1
    choose, whole = random.Random(0), flagged(6, "JPEG")
    for _ in range(300):
        data = bytearray(whole[: choose.randrange(len(whole))])
        for _ in range(choose.randrange(6)):
            if data:
                data[choose.randrange(min(len(data), 120))] = choose.randrange(256)
        assert 1 <= int(read(bytes(data))) <= 8
