"""D-FINE (arxiv.org/abs/2410.13842) over KerasHub's `DFineBackbone`, with a loss that fits batches.

KerasHub's own `DFineObjectDetector` takes padding rows for objects, looks up the targets of every image of a batch
among those of the first one, and draws its denoising queries from labels given once, at construction. Here targets are
those of their own image, matched by SciPy, and there are no denoising queries.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
import tensorflow as tf
from keras_hub.src.models.d_fine import d_fine_loss
from numpy.typing import NDArray

from boxwright.config import MAX_DETECTIONS
from boxwright.model import (
    IOU_THRESHOLD,
    SCORE_THRESHOLD,
    ClassWeights,
    Detector,
    ModelSpec,
    Resizing,
    Selection,
    as_detections,
    load_weights,
    suppress,
)
from boxwright.model.dfine.preset import preset_weights

_QUERIES = 300
_ALPHA, _GAMMA = 0.25, 2.0
# Of the matching's costs and of the losses, as the paper has them.
_CLASS_COST, _L1_COST, _IOU_COST = 2.0, 5.0, 2.0
_L1_WEIGHT, _IOU_WEIGHT, _FINE_WEIGHT, _DISTILL_WEIGHT, _TEMPERATURE = 5.0, 2.0, 0.15, 1.5, 5.0
_COCO_CLASSES = 80
_OUTPUTS = (
    "intermediate_logits",
    "intermediate_reference_points",
    "intermediate_predicted_corners",
    "initial_reference_points",
    "enc_topk_logits",
    "enc_topk_bboxes",
)


class DFine(Detector):
    """A transformer that refines its queries' boxes layer by layer; no anchors and no suppression.

    Its raw outputs hold, of the decoder's layers, `intermediate_logits` `(batch, layers, queries, classes)` and
    `intermediate_reference_points` `(..., 4)`, boxes as centre and size in [0, 1]; and of the encoder, whose best
    proposals become the queries, `enc_topk_logits` and `enc_topk_bboxes`.
    """

    def __init__(self, spec: ModelSpec, num_classes: int, image_size: int) -> None:
        images = keras.Input((image_size, image_size, 3), name="images")
        backbone = _backbone(spec, num_classes, image_size, denoising=0)
        raw = backbone(keras.layers.Rescaling(1 / 255)(images))
        outputs = {name: raw[name] for name in _OUTPUTS}
        super().__init__(images, outputs, spec, num_classes, Resizing(image_size))
        self.backbone = backbone

    def decode(self, outputs: Any) -> dict[str, Any]:
        """The best pairs of query and class: `per_class` suppresses nothing here, for queries learn to be one each."""
        scores = tf.sigmoid(tf.cast(outputs["intermediate_logits"][:, -1], tf.float32))
        boxes = tf.cast(outputs["intermediate_reference_points"][:, -1], tf.float32)
        if self.nms != "per_class":
            shares, scores = self.candidates(outputs)
            return as_detections(
                suppress(self.nms, shares, scores, MAX_DETECTIONS, IOU_THRESHOLD, SCORE_THRESHOLD, clips=False)
            )
        pairs = int(scores.shape[1]) * self.num_classes
        best, index = tf.math.top_k(tf.reshape(scores, (-1, pairs)), min(MAX_DETECTIONS, pairs))
        centre, size = tf.split(tf.gather(boxes, index // self.num_classes, batch_dims=1)[..., ::1], 2, axis=-1)
        corners = tf.concat([(centre - size / 2)[..., ::-1], (centre + size / 2)[..., ::-1]], axis=-1)
        kept = best > SCORE_THRESHOLD
        rows = [[0, 0], [0, MAX_DETECTIONS - int(index.shape[1])]]
        labels = tf.where(kept, tf.cast(index % self.num_classes, tf.float32) + 1.0, 0.0)
        return {
            "detection_boxes": tf.pad(tf.where(kept[..., None], corners, 0.0), [*rows, [0, 0]]),
            "detection_scores": tf.pad(tf.where(kept, best, 0.0), rows),
            "detection_classes": tf.pad(labels, rows),
            "num_detections": tf.reduce_sum(tf.cast(kept, tf.int32), axis=1),
        }

    def candidates(self, outputs: Any) -> tuple[Any, Any]:
        """See `Detector`; one a query."""
        scores = tf.sigmoid(tf.cast(outputs["intermediate_logits"][:, -1], tf.float32))
        boxes = tf.cast(outputs["intermediate_reference_points"][:, -1], tf.float32)
        centres, sides = boxes[..., :2], boxes[..., 2:]
        return tf.concat([(centres - sides / 2)[..., ::-1], (centres + sides / 2)[..., ::-1]], axis=-1), scores

    @property
    def selection(self) -> Selection:
        """See `Detector`."""
        return Selection("none" if self.nms == "per_class" else self.nms, candidates=None)

    def class_weights(self) -> list[ClassWeights]:
        """Kernel and bias of the class layer of each decoder layer and of the encoder."""
        layers = [*self.backbone.decoder.class_embed, self.backbone.enc_score_head]
        return [
            ClassWeights(layer, variable, self.num_classes, fresh)
            for layer in layers
            for variable, fresh in ((layer.kernel, layer.kernel_initializer), (layer.bias, layer.bias_initializer))
        ]

    def encoder_variables(self) -> list[Any]:
        """See `Detector`."""
        return list(self.backbone.backbone.trainable_variables)

    def load_pretrained(self, folder: Path) -> None:
        """COCO weights of a KerasHub preset; the class layers stay fresh.

        Raises:
            DataError: when there is no preset, or one of another size.
        """
        donor = _backbone(self.spec, _COCO_CLASSES, self.image_size, denoising=100)
        with preset_weights(folder) as path:
            load_weights(donor, path, self.spec.model_id)
        top = {id(weights.variable) for weights in self.class_weights()}
        values = [variable for variable in donor.weights if "denoising_class_embed" not in variable.path]
        for variable, value in zip(self.backbone.weights, values, strict=True):
            if id(variable) not in top:
                variable.assign(value)

    def loss_sums(self, images: Any, targets: dict[str, Any], outputs: Any) -> tuple[Any, Any, Any]:
        """Box losses and varifocal loss over all decoder layers and the encoder; the number of boxes."""
        del images
        objects = _Objects(targets, float(self.image_size))
        logits = tf.unstack(tf.cast(outputs["intermediate_logits"], tf.float32), axis=1)
        boxes = tf.unstack(tf.cast(outputs["intermediate_reference_points"], tf.float32), axis=1)
        corners = tf.unstack(tf.cast(outputs["intermediate_predicted_corners"], tf.float32), axis=1)
        points = tf.unstack(tf.cast(outputs["initial_reference_points"], tf.float32), axis=1)
        encoder = self._layer_losses(outputs["enc_topk_logits"], outputs["enc_topk_bboxes"], objects, None)
        sums = [encoder]
        for layer in range(len(logits)):
            local = {"pred_corners": corners[layer], "ref_points": points[layer]}
            if layer < len(logits) - 1:
                local |= {"teacher_corners": corners[-1], "teacher_logits": logits[-1]}
            sums.append(self._layer_losses(logits[layer], boxes[layer], objects, local))
        localization, classification = (tf.add_n(list(part)) for part in zip(*sums, strict=True))
        return localization, classification, objects.count

    def _layer_losses(
        self, logits: Any, boxes: Any, objects: _Objects, local: dict[str, Any] | None
    ) -> tuple[Any, Any]:
        """Localization and classification loss of one layer, as sums over the boxes."""
        logits, boxes = tf.cast(logits, tf.float32), tf.clip_by_value(tf.cast(boxes, tf.float32), 0.0, 1.0)
        matched = objects.match(logits, boxes)
        # All images of the batch as one: KerasHub's losses want the same number of matches for each.
        flat = {"logits": _as_one(logits), "pred_boxes": _as_one(boxes)}
        count = tf.shape(matched)[0]
        indices = (matched[None], tf.range(count)[None], tf.ones((1, count), tf.bool))
        found = d_fine_loss.compute_vfl_loss(flat, [objects.targets], indices, 1.0, self.num_classes, _ALPHA, _GAMMA)
        found |= d_fine_loss.compute_box_losses(flat, [objects.targets], indices, 1.0)
        localization = _L1_WEIGHT * found["loss_bbox"] + _IOU_WEIGHT * found["loss_ciou"]
        if local is not None:
            flat |= {name: _as_one(value) for name, value in local.items()}
            fine = d_fine_loss.compute_local_losses(
                flat, [objects.targets], indices, 1.0, self.backbone, _TEMPERATURE, compute_ddf="teacher_logits" in flat
            )
            # The distillation is a mean, and is divided by the boxes like the rest.
            localization += _FINE_WEIGHT * fine["loss_fgl"] + _DISTILL_WEIGHT * fine["loss_ddf"] * objects.count
        return localization, found["loss_vfl"]


class _Objects:
    """The objects of a batch, one after the other, without padding."""

    def __init__(self, targets: dict[str, Any], image_size: float) -> None:
        real = targets["labels"] >= 0
        corners = tf.boolean_mask(targets["boxes"], real) / image_size
        centre, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
        self.targets = {
            "labels": tf.cast(tf.boolean_mask(targets["labels"], real), tf.int32),
            "boxes": tf.concat([centre, size], axis=-1),
        }
        self.per_image = tf.reduce_sum(tf.cast(real, tf.int32), axis=1)
        self.count = tf.cast(tf.reduce_sum(self.per_image), tf.float32)

    def match(self, logits: Any, boxes: Any) -> Any:
        """The query of each object, counted through the batch: `(objects,)`."""
        arguments = [logits, boxes, self.targets["labels"], self.targets["boxes"], self.per_image]
        matched = tf.numpy_function(_match, [tf.stop_gradient(one) for one in arguments], tf.int32, stateful=False)
        matched.set_shape((None,))
        return matched


def _match(
    logits: NDArray[Any], boxes: NDArray[Any], labels: NDArray[Any], truth: NDArray[Any], per_image: NDArray[Any]
) -> NDArray[np.int32]:
    from scipy.optimize import linear_sum_assignment  # only training has it

    matched, start, queries = np.zeros(len(labels), np.int32), 0, logits.shape[1]
    for image, count in enumerate(per_image):
        part = slice(start, start + count)
        cost = _cost(logits[image], boxes[image], labels[part], truth[part])
        # Not a number is diverging, which is said elsewhere.
        rows, columns = linear_sum_assignment(np.nan_to_num(cost, nan=1e9, posinf=1e9, neginf=-1e9))
        matched[start + columns] = image * queries + rows
        start += count
    return matched


def _cost(logits: NDArray[Any], boxes: NDArray[Any], labels: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
    """`(queries, objects)`: focal cost of the class, distance of the boxes, generalized IoU."""
    chance = 1 / (1 + np.exp(-logits[:, labels].astype(np.float64)))
    found = _ALPHA * (1 - chance) ** _GAMMA * -np.log(chance + 1e-8)
    missed = (1 - _ALPHA) * chance**_GAMMA * -np.log(1 - chance + 1e-8)
    distance = np.abs(boxes[:, None] - truth[None]).sum(-1)
    cost: NDArray[Any] = _CLASS_COST * (found - missed) + _L1_COST * distance
    return cost - _IOU_COST * _generalized_iou(boxes, truth)


def _generalized_iou(boxes: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
    (low, high), (true_low, true_high) = (
        (one[..., :2] - one[..., 2:] / 2, one[..., :2] + one[..., 2:] / 2) for one in (boxes[:, None], truth[None])
    )
    shared = np.prod(np.clip(np.minimum(high, true_high) - np.maximum(low, true_low), 0, None), axis=-1)
    hull = np.prod(np.maximum(high, true_high) - np.minimum(low, true_low), axis=-1)
    union = np.prod(high - low, axis=-1) + np.prod(true_high - true_low, axis=-1) - shared
    overlap: NDArray[Any] = shared / np.maximum(union, 1e-12)
    empty: NDArray[Any] = (hull - union) / np.maximum(hull, 1e-12)
    gain: NDArray[Any] = overlap - empty
    return gain


def _as_one(values: Any) -> Any:
    """`(batch, queries, ...)` as `(1, batch * queries, ...)`."""
    return tf.reshape(values, (1, -1, *values.shape[2:]))


def _backbone(spec: ModelSpec, num_classes: int, image_size: int, denoising: int) -> Any:
    arguments = spec.architecture["detector"]
    shape = (image_size, image_size, 3)
    proposals = sum(math.ceil(image_size / stride) ** 2 for stride in arguments["feat_strides"])
    return keras_hub.models.DFineBackbone(
        backbone=keras_hub.models.HGNetV2Backbone(**spec.architecture["encoder"], image_shape=shape, name="encoder"),
        num_labels=num_classes,
        num_denoising=denoising,
        num_queries=min(_QUERIES, proposals),
        anchor_image_size=(image_size, image_size),
        image_shape=shape,
        **arguments,
    )
