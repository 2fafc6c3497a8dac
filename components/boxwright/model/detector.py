"""The contract of a model family: one class, `Detector`, that training, evaluation, export and the store know.

A family is a subclass and a line in `families.py`. It builds its network in `__init__`, and says how raw outputs
become losses (`loss_sums`) and boxes (`decode`, and `candidates` where suppression is left out), which variables belong
to classes (`class_weights`) and how published weights are read (`load_pretrained`). The rest of this module works for
all of them, and nothing outside of `components/boxwright/model` asks which family a detector is of.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from boxwright.images import Tiling
from boxwright.model.catalogue import ModelSpec
from boxwright.model.postprocess import Selection
from boxwright.model.resizing import Resizing


@dataclass(frozen=True)
class ClassWeights:
    """A variable of the top layer: its last axis runs over `groups * (background + num_classes)` values.

    Attributes:
        layer: the Keras layer that owns it.
        variable: kernel or bias.
        num_classes: classes, without background.
        fresh: gives values of the shape that it is handed, as an untrained variable has them.
        background: values of each group, before its classes, that stand for no class.
    """

    layer: Any
    variable: Any
    num_classes: int
    fresh: Callable[[tuple[int, ...]], Any]
    background: int = 0

    def rows(self) -> NDArray[Any]:
        """The values of each class: `(num_classes, groups, ...)`, the variable's other axes last."""
        return np.moveaxis(self._grouped()[..., self.background :], (-1, -2), (0, 1))

    def assign_rows(self, rows: NDArray[Any]) -> None:
        """Puts values of the shape of `rows()` back; those of the background stay."""
        grouped = self._grouped()
        grouped[..., self.background :] = np.moveaxis(rows, (0, 1), (-1, -2))
        self.variable.assign(grouped.reshape(self.variable.shape))

    def reinitialize(self) -> None:
        """Gives the whole variable fresh values."""
        self.variable.assign(self.fresh(tuple(self.variable.shape)))

    def inherit(self, parent: ClassWeights, kept: Mapping[int, int]) -> None:
        """Takes the values of the background and of the classes that stay; see `Detector.inherit`."""
        values, known = self._grouped(), parent._grouped()
        values[..., : self.background] = known[..., : self.background]
        for index, source in kept.items():
            values[..., self.background + index] = known[..., self.background + source]
        self.variable.assign(values.reshape(self.variable.shape))

    def _grouped(self) -> NDArray[Any]:
        values = np.array(keras.ops.convert_to_numpy(self.variable))
        return values.reshape(*values.shape[:-1], -1, self.background + self.num_classes)


class Detector(keras.Model):
    """A detector of any family: a functional model from float RGB images `(batch, size, size, 3)` in [0, 255].

    It trains on `{"boxes": (batch, n, 4), "labels": (batch, n)}`: xyxy in pixels of the model's input and 0-based
    classes, padded with -1. A subclass takes `(spec, num_classes, image_size)`, reads what it needs from
    `spec.architecture` and hands its network to this `__init__`. Normalisation of the pixels is part of the network.

    Args:
        inputs: symbolic images.
        outputs: symbolic raw outputs, a dictionary.
        spec: the catalogue's row.
        num_classes: classes, without background.
        resizing: how an image becomes the model's input.

    Attributes:
        spec, num_classes, resizing: as above.
        image_size: input height and width in pixels.
        nms: how overlapping boxes are suppressed: `per_class`, `agnostic` or `soft`; set before the first `detect`.
        tiling: the tiles that `look` goes through beside the whole image; None for the whole alone.
    """

    nms = "per_class"
    tiling: Tiling | None = None

    def __init__(self, inputs: Any, outputs: Any, spec: ModelSpec, num_classes: int, resizing: Resizing) -> None:
        super().__init__(inputs, outputs, name=spec.family)
        self.spec = spec
        self.num_classes = num_classes
        self.resizing = resizing
        self.image_size = resizing.image_size
        self.localization_loss = keras.metrics.Mean(name="localization_loss")
        self.classification_loss = keras.metrics.Mean(name="classification_loss")

    @abstractmethod
    def loss_sums(self, images: Any, targets: dict[str, Any], outputs: Any) -> tuple[Any, Any, Any]:
        """Losses of a batch before they are normalised.

        Returns:
            Localization loss and classification loss as sums, and the number that both are divided by (matched
            anchors, or boxes), all scalars. They are added up over all devices before the division.
        """

    @abstractmethod
    def decode(self, outputs: Any) -> dict[str, Any]:
        """Raw outputs to detections as `detect` returns them, but in shares of the model's square input."""

    @abstractmethod
    def candidates(self, outputs: Any) -> tuple[Any, Any]:
        """All boxes that raw outputs stand for, before any is suppressed: what exported networks put out.

        Returns:
            Boxes `(batch, n, 4)` as `[ymin, xmin, ymax, xmax]` in shares of the model's square input, not cut at its
            edge, and scores `(batch, n, classes)` in [0, 1].
        """

    @property
    def selection(self) -> Selection:
        """The rule by which `decode` selects detections from `candidates`."""
        return Selection(self.nms)

    @abstractmethod
    def class_weights(self) -> list[ClassWeights]:
        """The variables of the top layer: the last ones on the way to the class scores."""

    @abstractmethod
    def encoder_variables(self) -> list[Any]:
        """The trainable variables of the image encoder: what pretraining on ImageNet covers."""

    @abstractmethod
    def load_pretrained(self, folder: Path) -> None:
        """Puts published weights into the network.

        Args:
            folder: holds the files that the row's `weights` name.

        Raises:
            DataError: when they do not fit.
        """

    # One graph for batches of any number of images, the smaller last one of a split too.
    @tf.function(
        input_signature=(tf.TensorSpec((None, None, None, 3), tf.float32), tf.TensorSpec((None, 2), tf.float32)),
        autograph=False,
    )
    def detect(self, images: Any, extents: Any) -> dict[str, Any]:
        """At most `MAX_DETECTIONS` boxes an image, best first.

        Args:
            images: `(batch, size, size, 3)`, as `resizing` makes them.
            extents: `(batch, 2)`, their extents, as `resizing` returns them.

        Returns:
            Under the TensorFlow Object Detection API's names: `detection_boxes` `(batch, 100, 4)` as
            `[ymin, xmin, ymax, xmax]` in [0, 1] of the original image, `detection_scores` and `detection_classes`
            `(batch, 100)`, classes 1-based as in the label map and 0 in rows without a detection, `num_detections`
            `(batch,)`.
        """
        square = tf.ensure_shape(images, (None, self.image_size, self.image_size, 3))
        return self.decode_within(self(square, training=False), extents)

    def decode_within(self, outputs: Any, extents: Any) -> dict[str, Any]:
        """Raw outputs to detections in shares of the images, which cover `extents` `(batch, 2)` of the input."""
        found, share = self.decode(outputs), tf.tile(extents, (1, 2))[:, None, :]
        return found | {"detection_boxes": tf.clip_by_value(found["detection_boxes"] / share, 0.0, 1.0)}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """This device's part of the loss of the whole batch: the parts of all devices add up to it."""
        *sums, count = self.loss_sums(x, y, y_pred)
        replicas, count = _over_all_devices(tf.cast(count, tf.float32))
        localization, classification = (loss / tf.maximum(count, 1.0) for loss in sums)
        # A metric takes the mean over the devices.
        self.localization_loss.update_state(localization * replicas)
        self.classification_loss.update_state(classification * replicas)
        return localization + classification

    def train_step(self, data: Any) -> dict[str, Any]:
        """Keras's step on one device's part of a batch."""
        return self._for_all_machines(super().train_step(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        """Keras's step on one device's part of a batch."""
        return self._for_all_machines(super().test_step(data))

    def _for_all_machines(self, metrics: dict[str, Any]) -> dict[str, Any]:
        # Keras takes the mean of what several machines measured over a first axis, which its own metrics have not.
        return {name: value[None] for name, value in metrics.items()} if self._on_several_machines else metrics

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # A detector is built, and its optimizer can be. Keras would leave that to the first step, which it would then
        # trace a second time, or with several devices would first trace a step for the shapes alone.
        del iterator, data_batch
        optimizer = getattr(self, "optimizer", None)
        if optimizer is not None and not optimizer.built:
            with self.distribute_strategy.scope():
                optimizer.build(self.trainable_variables)

    @property
    def _on_several_machines(self) -> bool:
        return isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy)

    def freeze_batch_norm(self) -> None:
        """Keeps all batch statistics as they are, in training too."""
        for layer in self._flatten_layers(include_self=False):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False

    def train_only_on_top_layer(self) -> None:
        """Leaves nothing trainable but the variables of `class_weights`."""
        for layer in self._flatten_layers(include_self=False):
            layer.trainable = False
        for weights in self.class_weights():
            weights.layer.trainable = True

    def inherit(self, parent: Detector, kept: Mapping[int, int]) -> None:
        """Takes all weights of a detector of the same architecture; those of classes that it lacks stay fresh.

        Args:
            parent: may know other classes, in another order.
            kept: the parent's index of each class that stays, by this detector's index.
        """
        own, theirs = self.class_weights(), parent.class_weights()
        of_classes = {id(weights.variable) for weights in own}
        for variable, source in zip(self.weights, parent.weights, strict=True):
            if id(variable) not in of_classes:
                variable.assign(source)
        for weights, known in zip(own, theirs, strict=True):
            weights.inherit(known, kept)

    def reinitialize_top_layer(self) -> None:
        """Gives the variables of `class_weights` fresh values."""
        for weights in self.class_weights():
            weights.reinitialize()


def _over_all_devices(count: Any) -> tuple[float, Any]:
    """The number of devices that train together, and the sum of their `count`."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 1.0, count
    return float(context.num_replicas_in_sync), context.all_reduce(tf.distribute.ReduceOp.SUM, count)
