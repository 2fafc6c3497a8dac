"""The managed models held against the original Object Detection API; writes docs/models.md.

    python -m benchmarks.zoo --results results.json MODEL_ID ... [--stages compare export train]
    python -m benchmarks.zoo --results results.json --page > docs/models.md

Needs the reference that `zoo_reference.py` describes. No trained weights are used: each variable is set by the
reference's rule, written as a checkpoint of the original's layout, and imported from that. Time an image is that of the
exported model, from encoded bytes to boxes, at batch 1. ResNet-152 at 1024 pixels takes 6 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.zoo_reference import Comparison, Reference, image_of, synthetic_outputs, write_checkpoint
from boxwright.model.catalogue import MODELS, ModelSpec

_HEADER = (
    "model id",
    "parameters",
    "variables",
    "equal to the original",
    "a training step",
    "exported",
    "milliseconds",
)
_RUNS = 5
_STAGES = ("compare", "export", "train")


def reference_of(spec: ModelSpec) -> Reference:
    """The reference of the archive that a model starts from."""
    assert spec.weights is not None
    return Reference(spec.weights.name.removesuffix(".tar.gz"))


def set_values(detector: Any, values: dict[str, np.ndarray]) -> None:
    """Puts values by checkpoint key into a detector."""
    from boxwright.model.zoo.checkpoint import variables_by_key

    for key, variable in variables_by_key(detector.checkpoint_objects.layers).items():
        variable.assign(values[key])


def compare(detector: Any, reference: Reference) -> list[Any]:
    """All comparisons with a golden; the detector holds the values of rule A, and of rule B afterwards."""
    import tensorflow as tf

    comparison = Comparison(detector, reference)
    checks = []
    synthetic = synthetic_outputs(*detector.stages["raw"]["class_logits"].shape[1:])
    synthetic = {name: tf.constant(value) for name, value in synthetic.items()}
    for view in ("square", "wide"):
        checks += comparison.run(view)
        checks += comparison.run_detections(view, f"synthetic_predictions/{view}/", synthetic, 4e-6)
    if not reference.archive.startswith("ssd"):
        return checks
    set_values(detector, reference.values("B"))
    for view in ("square", "wide"):
        image, _ = detector.resizing(tf.constant(image_of(view, detector.image_size)))
        raw = detector(image[None], training=False)
        checks += comparison.run_raw(f"ruleB/{view}/", raw)
        checks += comparison.run_detections(view, f"ruleB/{view}/", raw, reference.noise)
    return checks


def measure(spec: ModelSpec, stages: list[str]) -> dict[str, Any]:
    """What the stages find out about one model."""
    from boxwright.model.zoo.architecture import COCO_CLASSES
    from boxwright.model.zoo.detector import ZooDetector

    row: dict[str, Any] = {}
    if "train" in stages:
        row["training_loss"] = _training_step(spec)
    if stages == ["train"]:
        return row
    detector = ZooDetector(spec, COCO_CLASSES, spec.image_size)
    row["parameters"] = detector.count_params()
    row |= _checkpoint(detector, reference_of(spec))
    if "export" in stages:
        row |= _exported(detector, spec)
    if "compare" in stages and reference_of(spec).has_golden:
        checks = compare(detector, reference_of(spec))
        failed = [check for check in checks if not check.holds]
        row["comparisons"] = len(checks)
        row["failed"] = [f"{check.name} {check.difference:.3g} > {check.allowed:.3g}" for check in failed]
    return row


def _checkpoint(detector: Any, reference: Reference) -> dict[str, Any]:
    """Writes the rule's values as a checkpoint of the original's layout, and reads them into the detector."""
    from boxwright.model.zoo.checkpoint import read_checkpoint
    from boxwright.model.zoo.weights import checkpoint_shapes

    used, unused = checkpoint_shapes(detector)
    with TemporaryDirectory() as folder:
        write_checkpoint(Path(folder, "ckpt-0"), reference.values())
        values = read_checkpoint(Path(folder, "ckpt-0"), {**used, **unused})
    set_values(detector, values)
    return {"variables": len(values), "variables_of_archive": len(reference.shapes())}


def _exported(detector: Any, spec: ModelSpec) -> dict[str, Any]:
    """Exports a detector and times the export on one image."""
    import tensorflow as tf

    from boxwright.model.store import ModelCard, save_detector
    from boxwright.packaging.saved_model import export_saved_model

    names = tuple(f"class_{index}" for index in range(detector.num_classes))
    card = ModelCard(
        model_id=spec.model_id, image_size=spec.image_size, classes=names, category_ids=tuple(range(len(names)))
    )
    with TemporaryDirectory() as folder:
        save_detector(detector, card, Path(folder))
        export_saved_model(Path(folder), Path(folder))
        loaded = tf.saved_model.load(str(Path(folder, "saved_model")))
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    encoded = tf.constant([tf.io.encode_jpeg(image).numpy()])
    serve = loaded.signatures["serving_default"]
    seconds = []
    for _ in range(_RUNS + 1):
        started = time.perf_counter()
        found = serve(encoded_images=encoded)
        seconds.append(time.perf_counter() - started)
    exported = bool(np.isfinite(found["detection_boxes"]).all()) and found["detection_boxes"].shape == (1, 100, 4)
    return {"exported": exported, "milliseconds": 1000 * statistics.median(seconds[1:])}


def _training_step(spec: ModelSpec) -> float:
    """The loss of one step of three classes, from the rule's values."""
    import keras

    from boxwright.model.zoo.detector import ZooDetector
    from boxwright.model.zoo.weights import ARRAYS_FILE, checkpoint_shapes, write_arrays

    detector = ZooDetector(spec, 3, spec.image_size)
    values = reference_of(spec).values()
    with TemporaryDirectory() as folder:
        used, _ = checkpoint_shapes(detector)
        write_arrays(Path(folder, ARRAYS_FILE), {key: values[key] for key in used}, detector.architecture.box_scales)
        detector.load_pretrained(Path(folder))
    detector.freeze_batch_norm()
    detector.compile(optimizer=keras.optimizers.SGD(1e-3, global_clipnorm=1.0), jit_compile=False)
    size = spec.image_size
    targets = {"boxes": np.array([[[0.1, 0.1, 0.6, 0.7]]]) * size, "labels": np.array([[1.0]])}
    return float(detector.train_on_batch(image_of("square", size)[None], targets, return_dict=True)["loss"])


_PAGE = """# The managed models

The 13 models of the managed algorithm, under its own ids. Each is the network of the TensorFlow 2 detection zoo's
archive: same input, pyramid, anchors, heads, box code, losses and post-processing. `boxwright weights` brings the zoo's
COCO weights into the store that training starts from; a run whose weights are not there ends with the command to get
them.

| model id | archive | AP on COCO as its publisher states |
| --- | --- | --- |
{archives}

What was measured, by `python -m benchmarks.zoo`, with {machine}:

{table}

- **Variables**: those of the original's checkpoint that the model accounts for, by key and shape, none over.
- **Equal to the original**: comparisons with tensors of the original Object Detection API (pixels, feature maps, raw
  outputs, targets, losses, detections; a square and a wide image), each variable set by a rule from its key. A
  comparison holds within ten times the original's own float noise (what other kernels change in the same network; for
  ResNet-152 measured on the model here, as no number of the original is at hand). There is nothing of the original to
  compare with where it says "-".
- **Milliseconds**: one image of 640 x 480, encoded, through the exported model.
- Weights as published were not at hand where this was measured, so no AP is claimed here; AP and reading are the zoo's.
"""


def page(results: dict[str, dict[str, Any]]) -> str:
    """The page about the managed models, in Markdown."""
    specs = [spec for spec in MODELS.values() if spec.weights and spec.weights.is_imported]
    archives = "\n".join(f"| `{spec.model_id}` | `{spec.weights.name}` | {spec.coco_ap} |" for spec in specs)
    lines = [f"| {' | '.join(_HEADER)} |", f"|{' --- |' * len(_HEADER)}"]
    lines += [f"| {' | '.join(_cells(spec, results.get(spec.model_id, {})))} |" for spec in specs]
    machine = f"{os.cpu_count()} cores and no GPU"
    return _PAGE.format(archives=archives, table="\n".join(lines), machine=machine)


def _cells(spec: ModelSpec, row: dict[str, Any]) -> list[str]:
    def shown(text: str, *needed: str) -> str:
        return text.format(**row) if all(name in row for name in needed) else "not measured"

    holding = row.get("comparisons", 0) - len(row.get("failed", []))
    equal = shown(f"{holding} of {{comparisons}}", "comparisons") if reference_of(spec).has_golden else "-"
    trained = "yes" if np.isfinite(row.get("training_loss", np.nan)) else "no"
    return [
        f"`{spec.model_id.removeprefix('tensorflow-od1-')}`",
        f"{spec.parameters:,}",
        shown("{variables} of {variables_of_archive}", "variables"),
        equal,
        shown(trained, "training_loss"),
        shown("yes" if row.get("exported") else "no", "exported"),
        shown("{milliseconds:.0f}", "milliseconds"),
    ]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--stages", nargs="+", choices=_STAGES, default=list(_STAGES))
    parser.add_argument("model_ids", nargs="*", choices=[[], *MODELS])
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for model_id in arguments.model_ids:
        # Another process may have measured another model meanwhile.
        results = json.loads(arguments.results.read_text()) if arguments.results.exists() else {}
        results[model_id] = results.get(model_id, {}) | measure(MODELS[model_id], arguments.stages)
        print(model_id, json.dumps(results[model_id]), file=sys.stderr, flush=True)
        arguments.results.write_text(json.dumps(results, indent=1))
    if arguments.page:
        print(page(json.loads(arguments.results.read_text())), end="")


if __name__ == "__main__":
    main()
