"""The size at which a model sees boxes: through its square input, of the whole image or of tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from boxwright.config import Hyperparameters
from boxwright.dataset.annotations import Numbers
from boxwright.images import Tiling, windows

INPUT_SIZE = 320  # of the default model
# Pixels of the input across: below it an object is found much less surely than a larger one.
SMALL = 16
_TILE_STEP = 32
_OVERLAP = 0.2


@dataclass(frozen=True)
class ModelInput:
    """A model's input, as far as it says how large boxes are in it.

    Attributes:
        size: height and width in pixels.
        keep_aspect: whether images keep their shape; else they are stretched.
        tile_size: height and width in pixels of the image of the tiles that go in; None where only the whole does.
    """

    size: int = INPUT_SIZE
    keep_aspect: bool = False
    tile_size: int | None = None

    @classmethod
    def of(cls, settings: Hyperparameters, size: int | None = None) -> ModelInput:
        """The input as a run sets it; what it leaves to an earlier model is taken as the default has it."""
        keep_aspect = settings.resize == "letterbox"
        return cls(size or settings.image_size or INPUT_SIZE, keep_aspect, settings.tile_size or None)

    def scales(self, sizes: Numbers) -> Numbers:
        """Pixels of the input for one of the image, across and down; `sizes` are `(n, 2)`, width and height."""
        shown = np.minimum(sizes, self.tile_size) if self.tile_size else sizes
        if self.keep_aspect:
            shown = np.repeat(shown.max(axis=1, keepdims=True), 2, axis=1)
        scales: Numbers = self.size / shown
        return scales

    def __str__(self) -> str:
        tiles = f" of tile_size={self.tile_size}" if self.tile_size else ""
        return f"image_size={self.size}{tiles}"


@dataclass(frozen=True)
class TileAdvice:
    """Tiles that would help.

    Attributes:
        tile_size: to set.
        views: what would be looked at of a middling image: its tiles and the whole.
    """

    tile_size: int
    views: int


def tiles_for(sides: Numbers, sizes: Numbers, model_input: ModelInput) -> TileAdvice | None:
    """The largest tiles in which three quarters of a split's small boxes are large enough; None where none help.

    Args:
        sides: `(n,)`, shorter side in pixels of the image of the boxes that are small at the input.
        sizes: `(n, 2)`, width and height of their images.
        model_input: as the run sets it.
    """
    if not len(sides):
        return None
    fitting = model_input.size * float(np.quantile(sides, 0.25)) / SMALL
    # A tile that is enlarged much shows no more than one at its own size, and makes many more.
    smallest = model_input.size / 2
    tile = max(_TILE_STEP, math.floor(max(fitting, smallest) / _TILE_STEP) * _TILE_STEP)
    width, height = (int(side) for side in np.median(sizes, axis=0))
    if tile >= (model_input.tile_size or max(width, height)):
        return None
    return TileAdvice(tile, len(windows(height, width, Tiling(size=tile, overlap=_OVERLAP))))
