"""The images on which a network in whole numbers is calibrated: they set the ranges of its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boxwright.config import Frozen
from boxwright.dataset.examples import decode_example, read_records, shards_of
from boxwright.errors import DataError
from boxwright.exporting.facts import Fitting
from boxwright.exporting.pixels import fit, read_image
from boxwright.images import Tiling, windows

IMAGES = 100


class Calibration(Frozen):
    """The way in which a network becomes whole numbers.

    Attributes:
        folder: of images like those that it will see; the first `IMAGES` by name are looked at.
        level: how much of it stays in floats; see `quantising.IN_FLOATS`.
    """

    folder: Path
    level: int = 0


def calibration_inputs(folder: Path, fitting: Fitting, tiling: Tiling | None) -> Iterator[NDArray[np.uint8]]:
    """The images of a folder as inputs of a network; of one in tiles, the whole of some images and a tile of others.

    Raises:
        DataError: there are none, or one cannot be decoded.
    """
    paths = sorted(path for path in folder.iterdir() if path.is_file())[:IMAGES] if folder.is_dir() else []
    if not paths:
        raise DataError(f"{folder} has no images to calibrate on; name a folder of JPEG or PNG files")
    for number, path in enumerate(paths):
        try:
            image = read_image(path.read_bytes())
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"{path} is not an image to calibrate on: {error}; leave it out of the folder") from None
        places = windows(image.height, image.width, tiling)
        ymin, xmin, ymax, xmax = places[number % len(places)].tolist()
        yield fit(image.crop((xmin, ymin, xmax, ymax)), fitting)[0][None]


def write_calibration(examples_dir: Path, folder: Path) -> None:
    """Writes the first images that a model was trained on, as files of a new folder.

    Args:
        examples_dir: folder of `build_examples`.
        folder: for the images.
    """
    folder.mkdir()
    count = 0
    for shard in shards_of(examples_dir, "training"):
        with shard.open("rb") as file:
            for record in read_records(file):
                (encoded,) = decode_example(record)["image/encoded"]
                assert isinstance(encoded, bytes)
                (folder / f"{count:04d}").write_bytes(encoded)
                count += 1
                if count == IMAGES:
                    return
