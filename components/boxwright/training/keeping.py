"""Old classes that new data does not label: what the parent finds of them is learnt, so that they are not unlearnt.

An image without a label of a class teaches that there is none of it. Where a dataset labels new classes alone, an old
model would learn that its own classes are background. So it looks at the images first, and what it is sure of becomes a
label (pseudo-labels, as arxiv.org/abs/1708.06977 distils detectors).
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.examples import CheckedShards, write_record
from boxwright.model import load_card, load_detector, look
from boxwright.training.input import decode_image
from boxwright.training.records import LABELS, TEXTS, Example, boxes_of, encoded, examples_of, with_boxes

log = logging.getLogger("boxwright.training")
# What the parent finds where a label of the dataset overlaps it by more is that object.
_SAME_OBJECT = 0.5


def unlabelled(shards: Sequence[Path], classes: Sequence[str], parents: Sequence[str]) -> tuple[str, ...]:
    """The classes of a parent that a dataset has among its own and labels nowhere."""
    seen = {int(label) for example in examples_of(shards) for label in example.get(LABELS, [])}
    return tuple(name for label, name in enumerate(classes, start=1) if name in parents and label not in seen)


class Parent:
    """An earlier model that labels what a dataset leaves out.

    Args:
        folder: of the model.
        classes: the dataset's class names, by index.
        threshold: score from which what the model finds is a label.
    """

    def __init__(self, folder: Path, classes: Sequence[str], threshold: float) -> None:
        import tensorflow as tf

        detector, card = load_detector(folder)
        self._known, self._classes, self._threshold = card.classes, classes, threshold
        self._look = tf.function(
            lambda data: look(detector, decode_image(data)), [tf.TensorSpec((), tf.string)], autograph=False
        )

    def label(self, shards: Sequence[Path], missing: Sequence[str], out_dir: Path) -> tuple[list[Path], Counter[str]]:
        """Writes the records of shards with the boxes of missing classes that it adds, a file for a file.

        Returns:
            The files, and how many boxes of each class it added.
        """
        out_dir.mkdir(parents=True, exist_ok=True)
        labels = {place: self._classes.index(name) + 1 for place, name in enumerate(self._known) if name in missing}
        added: Counter[str] = Counter()
        for path in shards:
            with (out_dir / path.name).open("wb") as file:
                for example in examples_of([path]):
                    boxes, found = self._found(example, labels)
                    texts = [self._classes[label - 1] for label in found]
                    added.update(texts)
                    write_record(file, encoded(_with_more(example, boxes, found, texts)))
        return [out_dir / path.name for path in shards], added

    def _found(self, example: Example, labels: Mapping[int, int]) -> tuple[NDArray[np.float64], list[int]]:
        """Boxes and labels of what it is sure of, where no label of the example is the same object."""
        found = {name: value.numpy() for name, value in self._look(example["image/encoded"][0]).items()}
        count = int(found["num_detections"])
        names = found["detection_classes"][:count].astype(int) - 1
        is_sure = (found["detection_scores"][:count] >= self._threshold) & np.isin(names, list(labels))
        boxes, names = found["detection_boxes"][:count][is_sure].astype(np.float64), names[is_sure]
        is_new = ~(_overlaps(boxes, boxes_of(example)) > _SAME_OBJECT).any(axis=1)
        return boxes[is_new], [labels[name] for name in names[is_new].tolist()]


def _with_more(example: Example, boxes: NDArray[np.float64], labels: Sequence[int], texts: Sequence[str]) -> Example:
    every = np.concatenate([boxes_of(example), boxes])
    known = [*example.get(TEXTS, []), *(text.encode() for text in texts)]
    return with_boxes(example, every, [*example.get(LABELS, []), *labels], known)


def _overlaps(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union, `(n, m)`."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    common = np.clip(np.minimum(one[:, None, 2:], other[None, :, 2:]) - low, 0, None).prod(axis=-1)
    areas, others = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other))
    shares: NDArray[np.float64] = common / np.maximum(areas[:, None] + others[None] - common, 1e-12)
    return shares


def keep_labels(
    shards: Mapping[str, CheckedShards], classes: Sequence[str], parent_dir: Path, threshold: float, out_dir: Path
) -> dict[str, CheckedShards]:
    """The shards of each split with the parent's labels of what neither training nor that split itself labels.

    Args:
        shards: by split.
        classes: the dataset's class names, by index.
        parent_dir: folder of the parent's model.
        threshold: score from which what it finds is a label.
        out_dir: folder for what is written.
    """
    missing = unlabelled(shards["training"], classes, load_card(parent_dir).classes)
    if not missing:
        log.info("on_class_change=keep: the training images have labels of every class that the parent knows")
        return dict(shards)
    parent = Parent(parent_dir, classes, threshold)
    out_dir.mkdir(parents=True, exist_ok=True)
    # One that was cut off is written again.
    folder = Path(tempfile.mkdtemp(dir=out_dir))
    kept, added = {}, {}
    for name, part in shards.items():
        # A split that labels such a class itself has all of it.
        own = unlabelled(part, classes, missing)
        files, added[name] = parent.label(part, own, folder / name)
        kept[name] = CheckedShards(files, part.images)
    learnt = added["training"]
    told = ", ".join(f"{learnt[name]} of {name}" for name in missing)
    log.info(
        "on_class_change=keep: no training image is labelled with %s; what the parent finds with a score of at least "
        "%g is learnt as labels: %s",
        ", ".join(missing), threshold, told,
    )  # fmt: skip
    if nothing := [name for name in missing if not learnt[name]]:
        log.warning(
            "the parent finds nothing of %s on these images with a score of at least %g, so that it may be unlearnt; "
            "lower keep_threshold, or add images of it",
            ", ".join(nothing), threshold,
        )  # fmt: skip
    return kept
