"""The formats: what each is called, how it is recognised, and what reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from boxwright.dataset.importing.readers import (
    coco,
    create_ml,
    csv_tables,
    cvat,
    ground_truth,
    label_studio,
    labelme,
    open_images,
    tf_records,
    voc,
    yolo,
)
from boxwright.dataset.importing.readers.others import told
from boxwright.dataset.importing.source import Reading, SourceSet, shown
from boxwright.errors import UsageError


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        title: its name in sentences.
        recognise: why the files of a source look like it, or None.
        read: reads a set.
        loosely: whether a name that differs from its image's in case or extension is taken as meant.
    """

    title: str
    recognise: Callable[[Reading], str | None]
    read: Callable[[Reading], SourceSet]
    loosely: bool = False


# In the order in which they are tried: what is told by its very files before what any text file may look like.
FORMATS: dict[str, Format] = {
    "coco": Format("COCO", coco.recognise, coco.read),
    "voc": Format("Pascal VOC", voc.recognise, voc.read, loosely=True),
    "yolo": Format("YOLO", yolo.recognise, yolo.read),
    "ground-truth": Format("SageMaker Ground Truth", ground_truth.recognise, ground_truth.read),
    "csv": Format("the CSV of TensorFlow's tutorials", csv_tables.recognise, csv_tables.read),
    "tfrecord": Format("the Object Detection API's TFRecord", tf_records.recognise, tf_records.read),
    "cvat": Format("CVAT's XML", cvat.recognise, cvat.read, loosely=True),
    "label-studio": Format("Label Studio's JSON", label_studio.recognise, label_studio.read),
    "labelme": Format("LabelMe", labelme.recognise, labelme.read, loosely=True),
    "createml": Format("Create ML", create_ml.recognise, create_ml.read),
    "open-images": Format("Open Images", open_images.recognise, open_images.read, loosely=True),
}


def recognise(reading: Reading) -> tuple[str, str]:
    """The format of a source, and why.

    Raises:
        UsageError: it is none of them, or several.
    """
    found = {name: reason for name, form in FORMATS.items() if (reason := form.recognise(reading)) is not None}
    if len(found) == 1:
        return next(iter(found.items()))
    if not found and (other := told(reading)) is not None:
        raise UsageError(f"{reading.source}: {other}; what is read: {', '.join(FORMATS)}")
    if not found:
        raise UsageError(
            f"{reading.source}: not recognised as any of {', '.join(FORMATS)}; {_content(reading)}{_packed(reading)}; "
            "give --from, or another folder"
        )
    reasons = "; ".join(f"{name}: {reason}" for name, reason in found.items())
    raise UsageError(f"{reading.source}: more than one format in it; say with --from which to read ({reasons})")


def _packed(reading: Reading) -> str:
    """What is packed inside of a source, in words."""
    packed = [place for remark in reading.account.losses for place in remark.places] or reading.tree.packed
    return f", and {', '.join(map(shown, packed[:3]))}: unpack what the set is in first" if packed else ""


def _content(reading: Reading) -> str:
    """What a source has, in words: the endings of its files and their numbers."""
    if reading.file is not None:
        return f"it is one {PurePosixPath(reading.file).suffix or 'file'}"
    found = Counter(PurePosixPath(name).suffix.lower() or "no ending" for name in reading.tree.files)
    if found and len(reading.tree.pictures) == found.total():
        return f"it has pictures ({found.total()}) and no file of labels"
    return f"it has {', '.join(f'{number} {suffix}' for suffix, number in found.most_common(5)) or 'no file'}"
