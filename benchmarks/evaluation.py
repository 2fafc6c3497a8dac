"""How fast a test set of COCO's size is measured, beside what others take: `python -m benchmarks.evaluation`.

5,000 images, 36,000 boxes of ten classes and 100 detections an image, made up. Each subject gets the same ground truth
and detections as Python objects, as a results file gives them, and has a process of its own, one after the other:

- `boxwright`: all that `evaluate` derives from detections: COCO metrics by class, the threshold of the best F1, error
  kinds, confusion, calibration, curves, the worst images and doubtful labels;
- `hotcoco`, `faster-coco-eval` and `pycocotools`: COCO's twelve numbers and nothing else.

Time is from the objects to the result, the median of some rounds; memory is how much the process grew at most, its
objects and libraries not counted. AP must be equal to 1e-6. `--without pycocotools` leaves the slowest out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from boxwright.dataset.annotations.records import Annotations, Box, ImageRecord

IMAGES, BOXES, DETECTIONS, CLASSES = 5_000, 36_000, 100, 10
SIZE = (640, 480)
LIMIT_RATIO = 2.0
ROOT = Path(__file__).resolve().parent.parent

# --- the data ---


def made_up(images: int, boxes: int, seed: int = 0) -> tuple[Annotations, list[dict[str, Any]]]:
    """Random boxes of all sizes; of each four fifths are found, a little beside and sometimes as another class.

    The rest of the detections is clutter with low scores.
    """
    random = np.random.default_rng(seed)
    owner, category = random.integers(0, images, boxes), random.integers(1, CLASSES + 1, boxes)
    truth = _boxes(random, boxes)
    found = np.flatnonzero(random.random(boxes) < 0.8)
    near = truth[found] + random.normal(0, 0.1, (len(found), 4)) * np.tile(truth[found, 2:], 2)
    wrong = random.random(len(found)) < 0.1
    named = np.where(wrong, random.integers(1, CLASSES + 1, len(found)), category[found])
    clutter = np.repeat(np.arange(images), np.maximum(DETECTIONS - np.bincount(owner[found], minlength=images), 0))
    columns = (
        np.concatenate([owner[found], clutter]),
        np.concatenate([named, random.integers(1, CLASSES + 1, len(clutter))]),
        np.concatenate([np.maximum(near, 1), _boxes(random, len(clutter))]),
        np.concatenate([random.uniform(0.2, 1, len(found)), random.uniform(0, 0.7, len(clutter)) ** 2]),
    )
    results = [
        {"image_id": image, "category_id": label, "bbox": box, "score": score}
        for image, label, box, score in zip(*(column.tolist() for column in columns), strict=True)
    ]
    corners = np.concatenate([truth[:, :2], truth[:, :2] + truth[:, 2:]], axis=1).tolist()
    records = tuple(ImageRecord(number, f"{number}.jpg", *SIZE) for number in range(images))
    labelled = tuple(
        Box(number, int(owner[number]), tuple(corners[number]), int(category[number])) for number in range(boxes)
    )
    return Annotations(records, labelled, {key: f"class {key}" for key in range(1, CLASSES + 1)}), results


def _boxes(random: Any, count: int) -> Any:
    size = np.exp(random.uniform(np.log(8), np.log(300), (count, 2)))
    return np.concatenate([random.uniform(0, 1, (count, 2)) * (np.array(SIZE) - size), size], axis=1)


def as_coco(annotations: Annotations) -> dict[str, Any]:
    """The ground truth as a COCO file has it."""
    boxes = []
    for number, box in enumerate(annotations.boxes, start=1):
        xmin, ymin, xmax, ymax = box.bbox
        width, height = xmax - xmin, ymax - ymin
        shape = {"bbox": [xmin, ymin, width, height], "area": width * height, "iscrowd": 0}
        boxes.append({"id": number, "image_id": box.image_id, "category_id": box.category_id} | shape)
    images = [
        {"id": one.id, "file_name": one.file_name, "width": SIZE[0], "height": SIZE[1]} for one in annotations.images
    ]
    categories = [{"id": key, "name": name} for key, name in annotations.categories.items()]
    return {"images": images, "annotations": boxes, "categories": categories}


# --- what is measured, each in its own process ---


def boxwright(annotations: Annotations) -> Callable[[Any], float]:
    """Metrics, errors and all data of the report."""
    from boxwright.evaluation.analysis import analyse
    from boxwright.evaluation.detections import Detections
    from boxwright.evaluation.metrics import Measurement

    def run(results: Any) -> float:
        measurement = Measurement(annotations, Detections.of_results(annotations, results))
        analyse(measurement).model_dump()
        measurement.metrics.model_dump()
        return float(measurement.metrics.AP or 0)

    return run


def hotcoco(annotations: Annotations) -> Callable[[Any], float]:
    """COCO's numbers, by the library that Boxwright uses."""
    library = importlib.import_module("hotcoco")
    document = as_coco(annotations)

    def run(results: Any) -> float:
        truth = library.COCO(document)
        return _summarized(library.COCOeval(truth, truth.load_res(results), "bbox"))

    return run


def faster_coco_eval(annotations: Annotations) -> Callable[[Any], float]:
    """COCO's numbers, by its port to C++."""
    library = importlib.import_module("faster_coco_eval")
    document = as_coco(annotations)

    def run(results: Any) -> float:
        truth = library.COCO(document)
        return _summarized(library.COCOeval_faster(truth, truth.loadRes(results), "bbox"))

    return run


def pycocotools(annotations: Annotations) -> Callable[[Any], float]:
    """COCO's numbers, by the reference."""
    coco = importlib.import_module("pycocotools.coco")
    library = importlib.import_module("pycocotools.cocoeval")
    document = as_coco(annotations)

    def run(results: Any) -> float:
        truth = coco.COCO()
        truth.dataset = document
        truth.createIndex()
        return _summarized(library.COCOeval(truth, truth.loadRes(results), "bbox"))

    return run


def _summarized(evaluation: Any) -> float:
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0])


SUBJECTS: dict[str, tuple[Callable[[Annotations], Callable[[Any], float]], int]] = {
    "boxwright": (boxwright, 9),
    "hotcoco": (hotcoco, 9),
    "faster-coco-eval": (faster_coco_eval, 1),
    "pycocotools": (pycocotools, 1),
}


def part(name: str, images: int, boxes: int) -> dict[str, Any]:
    """One subject: median seconds, megabytes and AP."""
    make, rounds = SUBJECTS[name]
    annotations, results = made_up(images, boxes)
    seconds, ap, before = [], 0.0, 0
    with contextlib.redirect_stdout(io.StringIO()):
        run = make(annotations)
        for number in range(rounds):
            before = before or _peak()
            start = time.perf_counter()
            ap = run(results)
            seconds.append(time.perf_counter() - start)
            if not number:
                grown = _peak() - before
    return {"seconds": median(seconds), "megabytes": grown / 1e6, "AP": ap}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measures all subjects and prints the table; 1 where AP differs or Boxwright takes too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--without", action="append", choices=list(SUBJECTS), default=[])
    parser.add_argument("--part", choices=list(SUBJECTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    boxes = BOXES * options.images // IMAGES
    if options.part:
        print(json.dumps(part(options.part, options.images, boxes)))
        return
    found = {}
    for name in SUBJECTS:
        if name not in options.without:
            command = [sys.executable, "-m", "benchmarks.evaluation", "--part", name, "--images", str(options.images)]
            with tempfile.TemporaryFile() as errors:
                done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, check=False)
                if done.returncode:
                    errors.seek(0)
                    sys.exit(errors.read().decode())
            found[name] = json.loads(done.stdout.splitlines()[-1])
    table = Table(
        "subject",
        "seconds",
        "MB more",
        "AP",
        title=f"{options.images:,} images, {boxes:,} boxes, {os.cpu_count()} cores",
    )
    for name, one in found.items():
        table.add_row(name, f"{one['seconds']:.2f}", f"{one['megabytes']:,.0f}", f"{one['AP']:.6f}")
    Console().print(table)
    values = [one["AP"] for one in found.values()]
    ratio = found["boxwright"]["seconds"] / found["hotcoco"]["seconds"]
    print(f"boxwright / hotcoco: {ratio:.2f} (at most {LIMIT_RATIO:g})")
    sys.exit(max(values) - min(values) > 1e-6 or ratio > LIMIT_RATIO)


if __name__ == "__main__":
    main()
