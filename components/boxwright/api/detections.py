"""The detections on one image, in the forms that people and libraries use."""

from __future__ import annotations

import io
import operator
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from boxwright.api.arguments import kind_of, local_file, score_of, write_error
from boxwright.errors import UsageError
from boxwright.storage import write_atomic

if TYPE_CHECKING:
    from PIL import Image

    from boxwright.serving.engine import Detections as Found
    from boxwright.serving.engine import ModelInfo, Picture


class Detection(NamedTuple):
    """One object.

    Attributes:
        label: name of its class.
        score: in [0, 1].
        box: `(xmin, ymin, xmax, ymax)` in pixels.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects on one image, the surest first; of the image as a person sees it, its rotation flag applied.

    In a notebook it shows itself as the image with its boxes drawn.

    Attributes:
        source: the image's path or URI; `image` for one that came as pixels or bytes.
    """

    source: str
    _picture: Picture = field(repr=False)
    _found: Found = field(repr=False)
    _info: ModelInfo = field(repr=False)

    @property
    def width(self) -> int:
        """Of the image, in pixels."""
        return self._picture.width

    @property
    def height(self) -> int:
        """Of the image, in pixels."""
        return self._picture.height

    @cached_property
    def normalized_boxes(self) -> npt.NDArray[np.float64]:
        """`(n, 4)`, `[xmin, ymin, xmax, ymax]` in [0, 1] of the image."""
        return self._found.boxes[:, [1, 0, 3, 2]].astype(np.float64)

    @cached_property
    def boxes(self) -> npt.NDArray[np.float64]:
        """`(n, 4)`, `[xmin, ymin, xmax, ymax]` in pixels."""
        return self.normalized_boxes * [self.width, self.height, self.width, self.height]

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """`(n,)`, falling, in [0, 1]."""
        return self._found.scores

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """`(n,)`, 0-based indices into `class_names`."""
        return self._found.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of all classes that the model knows."""
        return self._info.classes

    @property
    def labels(self) -> list[str]:
        """Class name of each object."""
        return [self.class_names[row] for row in self.classes.tolist()]

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        for label, score, box in zip(self.labels, self.scores.tolist(), self.boxes.tolist(), strict=True):
            yield Detection(label, score, tuple(box))

    def __repr__(self) -> str:
        counts = {name: self.labels.count(name) for name in dict.fromkeys(self.labels)}
        seen = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
        return f"<Detections on {self.source}: {seen}>"

    def at_least(self, threshold: float) -> Detections:
        """The detections with a score of at least `threshold`.

        Raises:
            UsageError: it is not a score.
        """
        return Detections(self.source, self._picture, self._found.at_least(score_of(threshold)), self._info)

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """COCO results.

        Args:
            image_id: of this image in the dataset that the results are for.

        Returns:
            `image_id`, `category_id` as the training dataset counts it, `bbox` as `[x, y, width, height]` in pixels,
            `score`, and the class name as `label`.

        Raises:
            UsageError: the id is not an integer.
        """
        from boxwright.serving.batch import Looked, record

        try:
            number = operator.index(image_id)  # of numpy's integers, which JSON does not take, Python's own
        except TypeError:
            raise UsageError(f"image_id: expected an integer, got {kind_of(image_id)}") from None
        told = record(Looked(self.source, self._picture, self._found), number, self.source, self._info, 0.0)
        return list(told["detections"])

    def to_supervision(self) -> Any:
        """The same as `supervision.Detections`, with the class names as its `data["class_name"]`.

        Raises:
            UsageError: the library is not installed.
        """
        try:
            supervision = import_module("supervision")  # the caller's, which nothing here needs
        except ImportError:
            raise UsageError("supervision is not installed; `pip install supervision` installs it") from None
        return supervision.Detections(
            xyxy=self.boxes.astype(np.float32),
            confidence=self.scores,
            class_id=self.classes,
            data={"class_name": np.array(self.labels, dtype=str)},
        )

    def image(self) -> Image.Image:
        """The image with boxes, labels and scores drawn."""
        from boxwright.images import open_image

        drawn = open_image(io.BytesIO(self._repr_png_()))
        drawn.load()
        return drawn

    def save(self, path: str | Path) -> Path:
        """Writes the image with its boxes drawn, as a PNG; returns the path, absolute.

        Raises:
            UsageError, StorageError: the name does not end in `.png`, is not one of this machine, or cannot be written.
        """
        expected = "a name that ends in .png, the format that is written"
        target = local_file(path, "path", expected)
        if target.suffix.lower() != ".png":
            raise UsageError(f"{path}: expected {expected}")
        drawn = self._repr_png_()
        try:
            write_atomic(target, drawn)
        except OSError as error:
            raise write_error(error, target, "path") from None
        return target

    def show(self) -> None:
        """Shows the image with its boxes drawn: in a notebook below the cell, else in the system's viewer."""
        if _in_notebook():
            import_module("IPython.display").display(self)
        else:
            self.image().show()

    def _repr_png_(self) -> bytes:
        from boxwright.serving.engine import draw_answer

        return draw_answer(self._picture, self._found, self._info.classes)


def _in_notebook() -> bool:
    """Whether this runs in a kernel, whose machine may have no screen."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
