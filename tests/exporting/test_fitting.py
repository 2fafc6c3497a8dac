from __future__ import annotations

import io

import numpy as np
import pytest
from tinyset import picture

from boxwright.exporting.facts import Fitting
from boxwright.exporting.pixels import fit, read_image
from boxwright.model.resizing import Resizing
from boxwright.model.zoo.pixels import ZooResizing
from boxwright.training.input import decode_image

# The model's own input is rounded too, but for the zoo's.
ZOO_LEVELS, DIFFERENT = 0.51, 1e-4


@pytest.mark.parametrize("size", [(300, 150), (256, 192), (40, 97), (128, 128)], ids=str)
@pytest.mark.parametrize(
    "resizing",
    [Resizing(128), Resizing(128, True), ZooResizing(128, False), ZooResizing(128, True, (124.0, 117.0, 104.0))],
    ids=["stretched", "padded", "zoo-stretched", "zoo-padded"],
)
def test_pillow_makes_the_input_that_tensorflow_makes(resizing: Resizing, size: tuple[int, int]) -> None:
    image = picture(7, *size)
    fitting = Fitting(
        image_size=128, keep_aspect=resizing.keep_aspect, fill=resizing.fill, antialias=resizing.antialias
    )
    pixels, extent = fit(image, fitting)
    expected, expected_extent = resizing(np.asarray(image, np.float32))
    assert pixels.shape == (128, 128, 3) and pixels.dtype == np.uint8
    apart = np.abs(pixels - expected.numpy())
    assert (apart > 0).mean() <= DIFFERENT if resizing.rounds else apart.max() <= ZOO_LEVELS
    assert extent == pytest.approx(expected_extent.numpy())


def test_an_image_is_read_as_a_person_sees_it() -> None:
    image, buffer = picture(3, 40, 30), io.BytesIO()
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(buffer, "PNG", exif=exif)
    seen = read_image(buffer.getvalue())
    assert seen.size == (30, 40)
    assert np.array_equal(np.asarray(seen), np.asarray(image.rotate(-90, expand=True)))


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 60}), ("JPEG", {"subsampling": 0}), ("PNG", {})])
def test_tensorflow_decodes_an_image_as_pillow_does(kind: str, options: dict[str, int]) -> None:
    """So that what is measured by the one is what the other serves."""
    buffer = io.BytesIO()
    picture(9, 97, 61).save(buffer, kind, **options)
    decoded = decode_image(buffer.getvalue()).numpy()
    assert np.array_equal(decoded, np.asarray(read_image(buffer.getvalue())))
