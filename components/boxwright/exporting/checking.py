"""Whether a written file answers as the network that it was made from: by numbers, on several pictures."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.config import DYNAMIC_INT8, FLOAT16, FLOAT32, INT8
from boxwright.errors import DataError
from boxwright.exporting.calibrating import Calibration, calibration_inputs
from boxwright.exporting.facts import Differences, ExportFacts
from boxwright.exporting.pixels import fit, read_image
from boxwright.exporting.runtimes import Arrays, open_runtime
from boxwright.exporting.selecting import overlaps
from boxwright.packaging import read_sample

# Largest difference of a score, and of a box's side in shares of the input, by precision.
TOLERANCES = {FLOAT32: 1e-3, FLOAT16: 2e-2, DYNAMIC_INT8: 0.2, INT8: 0.3}
_GENERATED = 3
# Places with a lower score say little, and their boxes nothing.
_COUNTS = 0.05


def check_export(
    network: Any, folder: Path, facts: ExportFacts, model_dir: Path, calibration: Calibration | None = None
) -> Differences:
    """Runs a written file in its runtime, beside TensorFlow.

    Args:
        network: the `ExportNetwork` that it was made from.
        folder: of the file.
        facts: about it.
        model_dir: of the detector; its sample image is looked at, where it has one.
        calibration: of a file in whole numbers, which knows no others than such images bring.

    Raises:
        DataError: an answer is not finite, or differs by more than the precision's tolerance.
    """
    runtime, reference = open_runtime(folder, facts, exact=True), network.function(facts.outputs)
    compare = _compare_candidates if facts.outputs == "candidates" else _compare_detections
    worst_box = worst_score = 0.0
    pictures = list(_pictures(model_dir, facts, calibration))
    for pixels in pictures:
        expected = {name: value.numpy() for name, value in reference(pixels).items()}
        found = runtime(pixels)
        _check_finite(found, expected, facts)
        box, score = compare(found, expected)
        worst_box, worst_score = max(worst_box, box), max(worst_score, score)
    tolerance = TOLERANCES[facts.precision]
    if max(worst_box, worst_score) > tolerance:
        raise DataError(
            f"{facts.reference} as {facts.format} in {facts.precision} differs from the model: scores by up to "
            f"{worst_score:.2g} and boxes by up to {worst_box:.2g} of the input on {len(pictures)} pictures, more than "
            f"{tolerance:g}; nothing is kept, choose another precision or format"
        )
    return Differences(pictures=len(pictures), boxes=worst_box, scores=worst_score, tolerance=tolerance)


def _pictures(model_dir: Path, facts: ExportFacts, calibration: Calibration | None) -> Any:
    """Inputs `(1, size, size, 3)`: the model's sample, and smooth noise, which has edges and colours of all kinds.

    In place of noise, a calibrated network looks at images of its calibration.
    """
    from PIL import Image

    side = facts.input.image_size
    if (sample := read_sample(model_dir)) is not None:
        yield fit(read_image(sample.image), facts.input)[0][None]
    if calibration is not None:
        yield from islice(calibration_inputs(calibration.folder, facts.input, facts.tiling), _GENERATED)
        return
    for seed in range(_GENERATED):
        coarse = np.random.default_rng(seed).integers(0, 256, (4 << seed, 4 << seed, 3), dtype=np.uint8)
        yield np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))[None]


def _check_finite(found: Arrays, expected: Arrays, facts: ExportFacts) -> None:
    for name, values in expected.items():
        if name not in found or found[name].shape != values.shape:
            told = found[name].shape if name in found else "missing"
            raise DataError(f"{facts.format}: the output {name} is {told}, expected {values.shape}")
        if not np.isfinite(values).all():
            raise DataError(f"{facts.reference} answers with numbers that are not finite ({name}); train it again")
        if not np.isfinite(found[name]).all():
            raise DataError(f"{facts.reference} as {facts.format}: the output {name} has numbers that are not finite")


def _compare_candidates(found: Arrays, expected: Arrays) -> tuple[float, float]:
    """Largest differences of boxes, where a score counts, and of scores."""
    score = float(np.abs(found["scores"] - expected["scores"]).max())
    best = expected["scores"].max(axis=-1)
    counting = best >= min(_COUNTS, float(best.max()))
    return float(np.abs(found["boxes"] - expected["boxes"])[counting].max()), score


def _compare_detections(found: Arrays, expected: Arrays) -> tuple[float, float]:
    """The same over each expected detection and the one that is most like it: order may change where scores tie."""
    worst_box = worst_score = 0.0
    wanted = expected["detection_scores"][0] >= min(_COUNTS, float(expected["detection_scores"].max()))
    for box, score, number in zip(
        *(expected[f"detection_{name}"][0][wanted] for name in ("boxes", "scores", "classes")), strict=True
    ):
        same = found["detection_classes"][0] == number
        if not same.any():
            return 1.0, 1.0
        boxes, scores = found["detection_boxes"][0][same], found["detection_scores"][0][same]
        nearest = int(_likeness(boxes, scores, box, score).argmax())
        worst_box = max(worst_box, float(np.abs(boxes[nearest] - box).max()))
        worst_score = max(worst_score, float(abs(scores[nearest] - score)))
    return worst_box, worst_score


def _likeness(boxes: NDArray[Any], scores: NDArray[Any], box: NDArray[Any], score: float) -> NDArray[Any]:
    likeness: NDArray[Any] = overlaps(boxes, box[None])[:, 0] - np.abs(scores - score)
    return likeness
