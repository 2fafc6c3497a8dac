"""Every parser of bytes that somebody else may have written, with a valid example of each.

`with_atheris.py` beside it lets a fuzzer look for what breaks them, guided by the code that is covered.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from boxwright.config import ModelReference, parse_config
from boxwright.dataset.annotations.reading import parse_annotations
from boxwright.dataset.examples.summary import ExamplesSummary
from boxwright.dataset.examples.tfrecord import BrokenRecordError, decode_example, encode_example, read_records
from boxwright.dataset.examples.tfrecord import write_record as write_tfrecord
from boxwright.dataset.snapshot.download import DatasetSummary
from boxwright.dataset.snapshot.manifest import read_images
from boxwright.dataset.validation.findings import Report
from boxwright.errors import BoxwrightError
from boxwright.evaluation.gate_records import GateReport
from boxwright.evaluation.records import EvaluationSummary, parse_gallery
from boxwright.model.seeds import SEED_FILE, read_seed
from boxwright.model.store import MODEL_FILE, load_card
from boxwright.model.weights.store import MANIFEST_FILE, find_manifest
from boxwright.model.weights_file import check_weights
from boxwright.packaging.run_facts import RunFacts
from boxwright.packaging.sample import Sample
from boxwright.pipeline.local_runs import LocalRun
from boxwright.registry import training_state
from boxwright.registry.mlflow_client import MlflowRun
from boxwright.registry.registration import ReusedVersion
from boxwright.registry.tags import read_version
from boxwright.serving.engine.contract import check_content_type, parse_accept
from boxwright.storage.location import parse_uri, unsafe_key
from boxwright.training.history import HISTORY_FILE, TrainingFacts, read_history

# What a parser may say of bytes that are not its own.
EXPECTED = (BoxwrightError, BrokenRecordError)


@dataclass(frozen=True)
class Parser:
    """One parser.

    Attributes:
        parse: reads bytes, and raises one of `EXPECTED` or nothing.
        example: bytes that it takes, or begins to take.
    """

    parse: Callable[[bytes], Any]
    example: bytes


@cache
def _folder() -> Path:
    """One for the process: a fuzzer comes thousands of times a second."""
    return Path(tempfile.mkdtemp(prefix="boxwright-fuzz-"))


def _file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    def parse(data: bytes) -> Any:
        path = _folder() / name
        path.write_bytes(data)
        return read(path)

    return parse


def _text(read: Callable[[str], Any]) -> Callable[[bytes], Any]:
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def _records(path: Path) -> None:
    with path.open("rb") as file:
        for record in read_records(file):
            decode_example(record)


def _tags(data: bytes) -> None:
    """A version and a run whose tags somebody has written over, as pages and steps see them."""
    text = data.decode("utf-8", "replace")
    version = read_version(
        "detector", "3", text, len(data) * 10**15, dict.fromkeys(("boxwright.as_of", "boxwright.run_id"), text)
    )
    assert version.as_of.tzinfo is not None
    run = MlflowRun("r", "1", "RUNNING", 0, "", {"boxwright.training": text}, {})
    training_state.is_silent(training_state.read(run), 0.0)


def _tfrecord() -> bytes:
    example = encode_example({"image/height": ("int64_list", [3]), "image/filename": ("bytes_list", ["a.jpg"])})
    path = _folder() / "example.tfrecord"
    with path.open("wb") as file:
        write_tfrecord(file, example)
        write_tfrecord(file, example)
    return path.read_bytes()


def _weights() -> bytes:
    import h5py
    import numpy as np

    path = _folder() / "example.h5"
    with h5py.File(path, "w") as file:
        file["layers/conv/vars/0"] = np.ones((3, 3, 2, 2), "float32")
    return path.read_bytes()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_ANNOTATIONS = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
    "annotations": [{"image_id": 1, "bbox": [1, 2, 9.5, 8], "category_id": 0, "id": 4, "iscrowd": 0}],
    "categories": [{"id": 0, "name": "bolt"}],
}
_METRICS = {"AP": 0.5, "AP50": 0.7, "images": 3}
_CARD = {
    "model_id": "tiny", "image_size": 64, "classes": ["bolt"], "category_ids": [0], "dataset_fingerprint": "sha256:a",
}  # fmt: skip
_MANIFEST = (
    b'{"split": "training", "source": "/data", "unused": 0}\n'
    b'{"split": "training", "key": "images/a.jpg", "size": 3, "etag": "", "version": null, '
    b'"modified": null, "sha256": "ab"}\n'
)
_RUN = {
    "run": {"run_id": "r", "as_of": "2026-01-01T00:00:00Z"},
    "config": json.loads(parse_config({"training": "/data", "output": "/out"}).to_json()),
}
_RECORDS = {
    "run.json of an archive": (RunFacts, {"run_id": "r", "model_id": "tiny", "metrics": _METRICS, "classes": ["a"]}),
    "metrics.json": (EvaluationSummary, {"split": "test", "images": 3, "metrics": _METRICS, "per_class": {}}),
    "gate.json": (GateReport, {"passed": True, "checks": [{"name": "AP50", "value": 0.7, "bound": 0.1}]}),
    "sample.json": (Sample, {"image": "aGVsbG8=", "detections": [{"box": [0, 0, 1, 1], "score": 0.5}]}),
    "training.json": (TrainingFacts, {"epochs": 3, "steps": 4}),
    "dataset.json": (DatasetSummary, {"fingerprint": "sha256:a", "splits": {}}),
    "examples.json": (ExamplesSummary, {"classes": ["bolt"], "splits": {"training": {"images": 3, "shards": 1}}}),
    "run.json of a local run": (LocalRun, _RUN),
    "reused.json": (ReusedVersion, {"version": "models:/a/1", "archive": "/a", "run_id": "r"}),
}

PARSERS: dict[str, Parser] = {
    "annotations.json": Parser(lambda data: parse_annotations(data, "annotations.json"), _json(_ANNOTATIONS)),
    "manifest.jsonl": Parser(_file("manifest.jsonl", read_images), _MANIFEST),
    "model.json": Parser(_file(MODEL_FILE, lambda path: load_card(path.parent)), _json(_CARD)),
    **{
        name: Parser(lambda data, kind=kind: kind.parse(data, kind.FILE), _json(example))
        for name, (kind, example) in _RECORDS.items()
    },
    "history.json": Parser(
        _file(HISTORY_FILE, lambda path: read_history(path.parent)), _json([{"epoch": 0, "loss": 1.5}])
    ),
    "gallery.json": Parser(lambda data: parse_gallery(data, "gallery.json"), _json([{"file": "a.png", "image_id": 1}])),
    "validation_report.json": Parser(lambda data: Report.parse(data, "report"), _json({"findings": [], "rules": {}})),
    "seed.json": Parser(_file(SEED_FILE, lambda path: read_seed(path.parent)), _json({"kind": "pretrained"})),
    "manifest of weights": Parser(
        _file(MANIFEST_FILE, lambda path: find_manifest(str(path.parent))), _json({"model_id": "tiny", "files": []})
    ),
    "weights.h5": Parser(_file("model.weights.h5", check_weights), _weights()),
    "TFRecord": Parser(_file("examples.tfrecord", _records), _tfrecord()),
    "Accept": Parser(_text(parse_accept), b'*/*;q=0.5;verbose;n_predictions=5, image/png;box_order="xyxy"'),
    "Content-Type": Parser(_text(check_content_type), b"image/jpeg; charset=x"),
    "URI": Parser(_text(parse_uri), b"s3://bucket/a/b.json"),
    "key": Parser(_text(unsafe_key), b"images/a.jpg"),
    "model reference": Parser(_text(ModelReference.parse), b"models:/detector@champion"),
    "tags": Parser(_tags, _json({"state": "running", "at": 5.0, "epoch": 3})),
}
