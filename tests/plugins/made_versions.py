"""Versions as runs register them, with the results that pages read."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measured_formats import KEPT, LOST, UNWRITTEN, formats

ORIGIN = "http://airflow.example"


def register_version(
    registry: Any, folder: Path, run_id: str, as_of: str = "2026-03-01", ap: float = 0.4, **changes: Any
) -> Any:
    """Registers a version of a run whose results it writes below `folder`; `changes` are fields of its release."""
    from boxwright.registry.port import Release

    output = folder / run_id / "output"
    facts: dict[str, Any] = {
        "model_name": "detector",
        "run_id": run_id,
        "archive_uri": f"{output}/model.tar.gz",
        "as_of": datetime.fromisoformat(as_of).replace(tzinfo=UTC),
        "metrics": {"AP": ap, "AP50": ap + 0.1, "images": 72.0},
        "fingerprint": "f" * 64,
        "parent": None,
        "model_id": "tiny",
        "classes": ["bolt", "nut"],
        "category_ids": [7, 9],
        "config_json": '{"training": "s3://data/train"}',
        "hyperparameters": {"epochs": 3, "learning_rate": 0.003},
        "code_version": "0.1.0",
        "run_url": f"{ORIGIN}/dags/object_detection_training/runs/{run_id}",
        "pictures": [],
    }
    release = Release(**(facts | changes))
    _write_results(output, release)
    return registry.register(release)


def _write_results(folder: Path, release: Any) -> None:
    """What a run publishes beside its archive, as far as pages read it."""
    from boxwright.dataset.validation import Report
    from boxwright.evaluation.gate_records import GateCheck, GateReport
    from boxwright.evaluation.records import CocoMetrics, EvaluationSummary, Speed
    from boxwright.model.seeds import Seed
    from boxwright.packaging.run_facts import RunFacts

    (folder / "gallery").mkdir(parents=True, exist_ok=True)
    # What is not a number in the registry, by another tool's doing, is a number in the files of the run.
    ap = 0.0 if math.isnan(release.metrics["AP"]) else release.metrics["AP"]
    per_class = {
        name: CocoMetrics(AP=ap - place / 10, AP50=ap, boxes=10 + place) for place, name in enumerate(release.classes)
    }
    speed = Speed(
        latency_ms=12.0, latency_p95_ms=14.0, images_per_second=None, batch_size=8, size_bytes=9, device="CPU"
    )
    metrics = release.metrics | {"AP": ap, "F1": 0.5}
    EvaluationSummary(split="test", threshold=0.5, metrics=metrics, per_class=per_class, speed=speed).write(folder)
    check = GateCheck(name="AP50", value=ap, bound=0.1, passed=True, verdict="passed")
    GateReport(checks=(check,)).write(folder)
    if release.formats is not None:
        formats(KEPT, LOST, UNWRITTEN).write(folder)
    RunFacts(
        run_id=release.run_id,
        model_name=release.model_name,
        model_id=release.model_id,
        classes=release.classes,
        dataset_fingerprint=release.fingerprint,
        images={"training": 16, "test": 4},
        seed=Seed(kind="pretrained", model_id=release.model_id, origin="random", reason="nothing came before"),
        parent=None,
        split="test",
        metrics=metrics,
        hyperparameters=release.hyperparameters,
        config={},
        code_version=release.code_version,
    ).write(folder)
    split = {"images": 16, "boxes": 60, "classes": dict.fromkeys(release.classes, 30)}
    Report(fingerprint=release.fingerprint, splits={"training": split}).write(folder / "validation_report.json")
    gallery = [
        {"picture": 0, "file": "shared.jpg", "caption": "3 of 4 right, 1 missed", "galleries": ["sample"]},
        {"picture": 1, "file": f"{release.run_id}.jpg", "caption": "1 of 4 right", "galleries": ["worst"]},
    ]
    (folder / "gallery.json").write_text(json.dumps(gallery))
    (folder / "report.html").write_text("<!doctype html><title>Evaluation</title><h1>Evaluation</h1>")
    (folder / "validation_report.html").write_text("<!doctype html><title>Validation</title>")
    (folder / "model.tar.gz").write_bytes(b"an archive")
    for number in range(2):
        (folder / "gallery" / f"{number:04d}.jpg").write_bytes(b"\xff\xd8\xff picture")
