"""Holds a zoo detector against numbers that the original TensorFlow 2 Object Detection API computed.

The reference is a folder with, for each archive, `<archive>.json` (configuration and checkpoint variables) and, for
some, `<archive>.golden.npz`: tensors of every stage, with each variable set by a rule from its checkpoint key. Its own
README says how they were made. `BOXWRIGHT_ODAPI` names it; else it is `shared/reference/odapi` beside the repository.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_BOOKKEEPING = ("meta", "counter")
# Float noise that the reference states (same code, oneDNN's kernels on instead of off), in shares of the largest value,
# by family; of the families' other members it states none. Ten times as much is accepted. Noise grows with depth: that
# of ResNet-152 was measured in the same way on the model here, at 1024 pixels. (For ResNet-50 that way gives 5.3e-5 of
# 12, where the reference states 4.9e-5 of 12.)
_NOISE = {
    "efficientdet": 1.6e-6 / 2.1,
    "ssd_mobilenet_v1": 1.7e-5 / 4.5,
    "ssd_mobilenet_v2": 3.7e-4 / 22,
    "ssd_resnet152": 4.0e-4 / 9.3,
    "ssd_resnet": 4.9e-5 / 12,
}
_ACCEPTED = 10
# Of what is computed without a network.
_EXACT = 4e-6
_SLOTS_OF_HEAD = (
    "model/_box_predictor/_box_prediction_head/",
    "model/_box_predictor/_prediction_heads/class_predictions_with_background/",
)


def reference_folder() -> Path:
    """Where the reference is, whether it is there or not."""
    default = Path(__file__).resolve().parents[2] / "shared" / "reference" / "odapi"
    return Path(os.environ.get("BOXWRIGHT_ODAPI", default))


class Check(NamedTuple):
    """One comparison: what, how far apart, and how far it may be."""

    name: str
    difference: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether the two agree."""
        return self.difference <= self.allowed


@dataclass(frozen=True)
class Reference:
    """What is known of one archive."""

    archive: str

    @cached_property
    def facts(self) -> dict[str, Any]:
        return json.loads((reference_folder() / f"{self.archive}.json").read_text())

    @property
    def has_golden(self) -> bool:
        return self._golden_path.exists()

    @property
    def _golden_path(self) -> Path:
        return reference_folder() / f"{self.archive}.golden.npz"

    @cached_property
    def golden(self) -> Any:
        return np.load(self._golden_path, allow_pickle=False)

    @property
    def noise(self) -> float:
        """Accepted noise, as a share of the largest value."""
        return _ACCEPTED * next(share for family, share in _NOISE.items() if self.archive.startswith(family))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every variable of the checkpoint by key, without `SUFFIX`."""
        rows = self.facts["checkpoint_variables"]
        return {key.removesuffix(SUFFIX): tuple(shape) for key, shape, _, kind, _ in rows if kind not in _BOOKKEEPING}

    def values(self, rule: str = "A") -> dict[str, np.ndarray]:
        """Every variable's value by the reference's rule A or B, by key without `SUFFIX`."""
        rows = self.facts["checkpoint_variables"]
        return {
            key.removesuffix(SUFFIX): _rule_value(key, tuple(shape), kind, rule)
            for key, shape, _, kind, _ in rows
            if kind not in _BOOKKEEPING
        }


def write_checkpoint(prefix: Path, values: dict[str, np.ndarray]) -> None:
    """Writes a checkpoint with values by key, and the bookkeeping entries that TensorFlow writes beside them."""
    import tensorflow as tf

    prefix.parent.mkdir(parents=True, exist_ok=True)
    names = [*(key + SUFFIX for key in values), "_CHECKPOINTABLE_OBJECT_GRAPH", f"save_counter{SUFFIX}"]
    tensors = [*map(tf.constant, values.values()), tf.constant(b""), tf.constant(1, tf.int64)]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)


def _rule_value(key: str, shape: tuple[int, ...], kind: str, rule: str) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    noise = rng.standard_normal(shape)
    if kind in ("kernel", "depthwise_kernel"):
        fan_in = np.prod(shape[:2] if kind == "depthwise_kernel" else shape[:-1])
        value = noise * np.sqrt(2 / fan_in)
    elif kind == "moving_variance":
        value = 1 + 0.1 * abs(noise)
    else:
        value = (1 if kind in ("gamma", "bifpn_weight") else 0) + 0.1 * noise
    value = value.astype(np.float32)
    if rule == "B" and kind == "kernel" and key.startswith(_SLOTS_OF_HEAD):
        return value * np.float32(0.25)
    if rule == "B" and kind == "bias" and key.startswith(_SLOTS_OF_HEAD[1]):
        return value + np.float32(-4.6)
    return value


GROUND_TRUTH = np.array(
    [
        [0.10, 0.12, 0.45, 0.50],
        [0.30, 0.35, 0.90, 0.80],
        [0.05, 0.60, 0.20, 0.75],
        [0.02, 0.02, 0.98, 0.97],
    ],
    np.float32,
)
_CLASSES = np.array([0, 16, 43, 61], np.float32)


def image_of(view: str, size: int) -> np.ndarray:
    """The input of a golden, `square` or `wide`: `(height, width, 3)`."""
    seed, shape = (0, (1, size, size, 3)) if view == "square" else (1, (1, 300, 500, 3))
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)[0]


def synthetic_outputs(anchors: int, slots: int) -> dict[str, np.ndarray]:
    """The random raw outputs that the reference's losses and detections are also given for."""
    rng = np.random.default_rng(7)
    boxes = (0.5 * rng.standard_normal((1, anchors, 4))).astype(np.float32)
    logits = (1.5 * rng.standard_normal((1, anchors, slots)) - 6.0).astype(np.float32)
    return {"box_encodings": boxes, "class_logits": logits}


class Comparison:
    """One detector, with the rule's values in it, against one golden.

    Args:
        detector: a `ZooDetector` with the zoo's own classes and input size.
        reference: its archive.
    """

    def __init__(self, detector: Any, reference: Reference) -> None:
        import keras

        self.detector, self.reference, self.golden = detector, reference, reference.golden
        outputs = {"pixels": detector.get_layer("normalised").output, **detector.stages}
        self.network = keras.Model(detector.inputs, outputs)

    def run(self, view: str) -> list[Check]:
        """Every stage of one view under rule A."""
        import tensorflow as tf

        image, extent = self.detector.resizing(tf.constant(image_of(view, self.detector.image_size)))
        found = self.network(image[None], training=False)
        return [
            *self._pixels(view, found["pixels"].numpy()),
            *self._maps(view, found),
            *self.run_raw(f"{view}/", found["raw"], with_levels=True),
            *self._losses(f"{view}/", found["raw"], self.reference.noise),
        ]

    def _pixels(self, view: str, pixels: np.ndarray) -> list[Check]:
        golden, (height, width) = self.golden, self.golden[f"{view}/true_shapes"][0][:2]
        crops = {
            "top_left": pixels[0, :8, :8],
            "end_of_image": pixels[0, height - 4 : height + 4, width - 8 : width],
            "bottom_right": pixels[0, -8:, -8:],
        }
        # The original normalises before it resizes: the same up to rounding.
        checks = [
            Check(
                f"{view}/preprocessed/{name}",
                _apart(crop, golden[f"{view}/preprocessed_crop_{name}"]),
                3e-7 * abs(pixels).max(),
            )
            for name, crop in crops.items()
        ]
        total = float(golden[f"{view}/preprocessed_abs_sum"])
        return [
            *checks,
            Check(f"{view}/preprocessed/sum", abs(float(abs(pixels).sum(dtype="f8")) - total), 1e-6 * total),
        ]

    def _maps(self, view: str, found: dict[str, Any]) -> list[Check]:
        checks = []
        # Of ResNet and MobileNet the reference has the map at stride 4 too.
        for index, values in enumerate(found["backbone"]):
            checks.append(self._map(f"{view}/backbone_endpoint_{index}", values.numpy()))
        for level, values in enumerate(found["pyramid"], start=3):
            checks.append(self._map(f"{view}/fpn_level_{level}", values.numpy()))
        return checks

    def _map(self, name: str, values: np.ndarray) -> Check:
        golden, middle = self.golden, tuple(side // 2 for side in values.shape[1:3])
        stats = golden[f"{name}/stats"]
        own = [
            values.mean(dtype="f8"),
            values.std(dtype="f8"),
            values.min(),
            values.max(),
            abs(values).mean(dtype="f8"),
        ]
        channels = golden[f"{name}/centre"].shape[0]
        apart = max(
            _apart(values[0, :3, :3, :8], golden[f"{name}/slice"]),
            _apart(values[0, middle[0], middle[1], :channels], golden[f"{name}/centre"]),
            _apart(values[0, -1, -1, :channels], golden[f"{name}/corner_end"]),
            _apart(own, stats),
        )
        if tuple(golden[f"{name}/shape"]) != values.shape:
            apart = np.inf
        return Check(name, apart, self.reference.noise * max(abs(stats[2]), abs(stats[3])))

    def run_raw(self, prefix: str, raw: dict[str, Any], with_levels: bool = False) -> list[Check]:
        """Raw outputs against those at `prefix` of the golden."""
        checks = []
        pairs = (("box_encodings", "box_encodings"), ("class_logits", "class_predictions_with_background"))
        for column, (name, golden_name) in enumerate(pairs):
            values = raw[name].numpy()
            index_name = f"{prefix.removeprefix('ruleB/')}{golden_name.replace('_with_background', '')}_index"
            expected, index = self.golden[prefix + golden_name], self.golden[index_name]
            if prefix.startswith("ruleB"):
                index = index[:: _stride_ratio(len(index), len(expected))]
            noise = self.reference.noise * abs(values).max()
            checks.append(Check(prefix + name, _apart(values[0][index], expected), noise))
            if with_levels:
                checks.append(Check(f"{prefix}{name}/levels", self._levels(values, prefix, column), noise))
        return checks

    def _levels(self, values: np.ndarray, prefix: str, column: int) -> float:
        counts = self.reference.facts["anchors_per_level"]
        parts = np.split(values[0], np.cumsum(counts)[:-1])
        stats = [[v.mean(dtype="f8"), v.std(dtype="f8"), v.min(), v.max(), abs(v).mean(dtype="f8")] for v in parts]
        return _apart(stats, self.golden[f"{prefix}raw_stats_per_level"][:, column])

    def targets(self) -> dict[str, np.ndarray]:
        """The reference's ground truth as `fit` gives it to a detector."""
        boxes = GROUND_TRUTH[:, [1, 0, 3, 2]] * self.detector.image_size
        return {"boxes": boxes[None], "labels": _CLASSES[None]}

    def _losses(self, prefix: str, raw: dict[str, Any], share: float) -> list[Check]:
        name = f"{prefix}{self._named('loss_gt4')}"
        targets = self.targets()
        expected = self.detector.targets(targets)
        *sums, count = self.detector.loss_sums(None, targets, raw)
        localization, classification = (float(loss / count) for loss in sums)
        anchors = np.flatnonzero(expected.matched[0].numpy() >= 0)
        golden = {
            key: self.golden[f"{name}/{key}"] for key in ("matched_anchor_index", "matched_gt", "cls_target_nonzero")
        }
        same = (
            np.array_equal(anchors, golden["matched_anchor_index"])
            and np.array_equal(expected.matched[0].numpy()[anchors], golden["matched_gt"])
            and np.array_equal(np.argwhere(expected.classes[0].numpy()), golden["cls_target_nonzero"])
        )
        checks = [Check(f"{name}/matches", 0.0 if same else np.inf, 0.0)]
        if same:
            codes = self.golden[f"{name}/reg_targets_of_matched"]
            checks.append(Check(f"{name}/codes", _apart(expected.boxes[0].numpy()[anchors], codes), 1e-5))
        for kind, loss in (("localization_loss", localization), ("classification_loss", classification)):
            value = float(self.golden[f"{name}/{kind}"])
            checks.append(Check(f"{name}/{kind}", abs(loss - value), share * abs(value)))
        return checks

    def run_detections(self, view: str, prefix: str, raw: dict[str, Any], allowed: float) -> list[Check]:
        """Detections and losses of given raw outputs.

        Args:
            view: `square` or `wide`.
            prefix: of the golden's names, as `ruleB/square/`.
            raw: the outputs.
            allowed: largest difference of scores and boxes.
        """
        height, width = self.golden[f"{view}/true_shapes"][0][:2]
        size = self.detector.image_size
        found = self.detector.decode_within(raw, np.array([[height / size, width / size]], np.float32))
        name = f"{prefix}{self._named('detections')}"
        return [
            _same_detections(name, {key: value[0].numpy() for key, value in found.items()}, self.golden, allowed),
            *self._losses(prefix, raw, max(self.reference.noise, _EXACT)),
        ]

    def _named(self, name: str) -> str:
        """With the box code's scales, where the golden has two."""
        if f"square/{name}/{'num' if name == 'detections' else 'localization_loss'}" in self.golden.files:
            return name
        scales = "_".join(str(int(scale)) for scale in self.detector.box_code.scales.numpy())
        return f"{name}_box_coder_{scales}"


def _stride_ratio(have: int, want: int) -> int:
    return max(1, round(have / want))


def _apart(own: Any, expected: Any) -> float:
    own, expected = np.asarray(own, np.float64), np.asarray(expected, np.float64)
    return float(abs(own - expected).max(initial=0.0)) if own.shape == expected.shape else np.inf


def _same_detections(name: str, found: dict[str, np.ndarray], golden: Any, allowed: float) -> Check:
    """Compares them as sets: rows whose scores are closer than `allowed` may change places."""
    boxes, scores, classes = (golden[f"{name}/{key}"] for key in ("boxes", "scores", "classes_zero_based"))
    count = int(golden[f"{name}/num"][0])
    if count != int(found["num_detections"]):
        return Check(name, np.inf, allowed)
    worst = _apart(found["detection_scores"][:count], scores[:count])
    free = np.ones(count, bool)
    for box, score, label in zip(boxes[:count], scores[:count], classes[:count], strict=True):
        if score <= scores[count - 1] + allowed and count == len(scores):
            continue  # another one may have taken the last places
        apart = abs(found["detection_boxes"][:count] - box).max(axis=1)
        apart = np.maximum(apart, abs(found["detection_scores"][:count] - score))
        apart[(found["detection_classes"][:count] - 1 != label) | ~free] = np.inf
        row = int(apart.argmin())
        free[row] = False
        worst = max(worst, float(apart[row]))
    return Check(name, worst, allowed)
