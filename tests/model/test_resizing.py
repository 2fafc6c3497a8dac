from __future__ import annotations

import numpy as np
import pytest

from boxwright.model.resizing import Resizing


def _picture(height, width):
    image = np.full((height, width, 3), 50.0, np.float32)
    image[height // 4 : height // 2, width // 4 : width // 2] = 250.0
    return image


@pytest.mark.parametrize(
    ("keep_aspect", "pixels", "extent"),
    [
        (False, (50, 100), (1, 1)),
        (True, (50, 100), (0.5, 1)),
        (True, (100, 25), (1, 0.25)),
        (True, (33, 100), (21 / 64, 1)),
        (True, (1, 1000), (1 / 64, 1)),
    ],
)
def test_an_extent_times_a_box_of_the_image_is_the_box_in_the_square(keep_aspect, pixels, extent):
    resized, found = Resizing(64, keep_aspect)(_picture(*pixels))
    assert resized.shape == (64, 64, 3)
    np.testing.assert_allclose(found, extent)
    if min(pixels) < 8:
        return
    bright = np.argwhere(resized[..., 0].numpy() > 150) / 64
    np.testing.assert_allclose(bright.min(0), found * 0.25, atol=0.02)
    np.testing.assert_allclose(bright.max(0) + 1 / 64, found * 0.5, atol=0.02)


def test_what_the_image_does_not_cover_has_the_fill_colour():
    resized, _ = Resizing(64, keep_aspect=True, fill=(10.0, 20.0, 30.0))(_picture(16, 32))
    np.testing.assert_allclose(resized[32:], np.broadcast_to([10.0, 20.0, 30.0], (32, 64, 3)))
    assert resized[31].numpy().max() == pytest.approx(50)
