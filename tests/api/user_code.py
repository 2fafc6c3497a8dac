"""A user's program, which lint type-checks strictly against the Python interface; it is not run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

import boxwright


def train() -> str:
    run: boxwright.Run = boxwright.train(
        "cells/training",
        Path("cells/validation"),
        model_id="gfl-efficientnet-lite0-320",
        hyperparameters={"epochs": 30},
        model_name="cells",
        wait=False,
    )
    run = run.wait()
    ap: float | None = run.metrics["AP"]
    each: dict[str, float | None] = {name: found.AP50 for name, found in run.per_class.items()}
    print(run.status, ap, each, run.report.uri, run.logs(), run.facts.hyperparameters["epochs"])
    print(f"{run.folder}/learning_curves.png")
    run.stop()
    return boxwright.resume(run.run_id).model


def look(pixels: npt.NDArray[np.uint8]) -> list[tuple[str, float]]:
    detector = boxwright.Detector("models:/cells@champion")
    one: boxwright.Detections = detector.detect("photo.jpg", threshold=0.5)
    for image in (b"", Path("photo.jpg"), Image.new("RGB", (8, 8)), pixels):
        one = detector.detect(image)
    several: list[boxwright.Detections] = detector.detect([Path("a.jpg"), Path("b.jpg")])
    boxes: npt.NDArray[np.float64] = one.boxes
    print(len(several), boxes.shape, one.normalized_boxes, one.classes, one.scores, one.to_coco(7), one.width)
    one.image().save("drawn.jpg")
    found: list[boxwright.Detection] = list(one.at_least(0.9))
    exported: Path = boxwright.Detector("model.tar.gz", runtime="auto", threads=2).export("exported", "onnx")
    print(exported)
    trusted = boxwright.Detector("s3://bucket/job/output/model.tar.gz", trust_saved_model=True)
    print(trusted.detect(b"").labels)
    with detector.serve(port=0) as server:
        print(server.url)
    summary = detector.evaluate("cells/test", voc=True)
    against = detector.compare("models:/cells@previous", "cells/test").comparison
    print(summary.metrics["AP"], against and against.metrics["AP"].difference)
    for seen in detector.detect_all("s3://bucket/photos"):
        print(seen.source, seen.labels)
    return [(thing.label, thing.score) for thing in found]


def ask() -> bool:
    validation: boxwright.Validation = boxwright.validate("cells", images=True, on_invalid="drop")
    print(validation.to_dataframe(), [finding.rule for finding in validation.findings])
    print([model["model_id"] for model in boxwright.models()], boxwright.hyperparameters()["epochs"])
    registry = boxwright.open_registry()
    print([version.reference for version in registry.versions("cells")], registry.promote("models:/cells/3"))
    return validation.usable
