"""`sample.json`: an image of the evaluation and what the model saw on it; a server checks by it what it loaded."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from boxwright.config import Frozen
from boxwright.dataset.annotations import load_annotations
from boxwright.dataset.examples import shards_of
from boxwright.evaluation import DETECTIONS_FILE
from boxwright.storage import StoredRecord

SAMPLE_FILE = "sample.json"
_LOOKED_AT = 12
_LARGEST = 2_000_000  # bytes
_KEPT = 20


class SampleDetection(Frozen):
    """A detection as the evaluation wrote it.

    Attributes:
        category_id: the dataset's own id of the class.
        bbox: `[x, y, width, height]` in pixels.
        score: in [0, 1].
    """

    category_id: int
    bbox: tuple[float, float, float, float]
    score: float = Field(ge=0, le=1)


def _decoded(value: Any) -> Any:
    """A file has the bytes as base64."""
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


class Sample(StoredRecord):
    """An image and the best detections on it.

    Attributes:
        image: JPEG or PNG bytes.
        width: in pixels.
        height: in pixels.
        detections: best first.
    """

    FILE = SAMPLE_FILE
    ADVICE = "package the model again"
    # Images are as large as a dataset has them.
    LIMIT = 200_000_000

    image: Annotated[
        bytes, BeforeValidator(_decoded), PlainSerializer(lambda data: base64.b64encode(data).decode(), str)
    ]
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    detections: tuple[SampleDetection, ...]


def write_sample(examples_dir: Path, evaluation_dir: Path, out_dir: Path) -> None:
    """Writes `sample.json` from the evaluation's images: of the first few, the one with the surest detection.

    Where none of them has a detection, the first one stands without; where all are large, the smallest.
    """
    from boxwright.evaluation import EvaluationSummary, first_images

    split = EvaluationSummary.read(evaluation_dir).split
    records = {image.id: image for image in load_annotations(examples_dir / split / "annotations.json").images}
    looked_at = dict(first_images(shards_of(examples_dir, split), _LOOKED_AT))
    images = {key: data for key, data in looked_at.items() if len(data) <= _LARGEST}
    if not images:
        images = dict([min(looked_at.items(), key=lambda one: len(one[1]))])
    found: dict[int, list[dict[str, Any]]] = {key: [] for key in images}
    for detection in json.loads((evaluation_dir / DETECTIONS_FILE).read_text()):
        if detection["image_id"] in images:
            found[detection["image_id"]].append(detection)
    for detections in found.values():
        detections.sort(key=lambda detection: -detection["score"])
    chosen = max(found, key=lambda key: (found[key][0]["score"] if found[key] else -1.0, -key))
    shown = ("category_id", "bbox", "score")
    Sample(
        image=images[chosen],
        width=records[chosen].width,
        height=records[chosen].height,
        detections=tuple(SampleDetection(**{name: one[name] for name in shown}) for one in found[chosen][:_KEPT]),
    ).write(out_dir)


def read_sample(folder: Path) -> Sample | None:
    """The sample of an unpacked archive; None where it has none.

    Raises:
        DataError: the file is not what `write_sample` writes.
    """
    return Sample.read(folder) if (folder / SAMPLE_FILE).exists() else None
