"""Turns a dataset folder into TFRecord shards of the TF Object Detection API's features."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.config import SPLITS
from components.dataset.annotations import load_annotations, save_annotations
from components.dataset.download import content_hash
from components.dataset.findings import REPORT_FILE, Report
from components.dataset.images import encoded_image
from components.dataset.records import Annotations, Box, ImageRecord
from components.dataset.split import split_by_content
from components.errors import DataError
from components.storage import replacing, write_json

SHARD_IMAGES = 256


@dataclass(frozen=True)
class ExamplesSummary:
    """The content of `examples.json`.

    Attributes:
        fingerprint: of the dataset that they were made from.
        classes: names; label i (from 1) is `classes[i - 1]`.
        category_ids: the annotations' own id of each class.
        splits: counts of `images`, `boxes` and `shards` of each split.
        dropped: records that validation left out, as its report has them.
    """

    fingerprint: str
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    splits: dict[str, dict[str, int]]
    dropped: tuple[dict[str, Any], ...] = ()


def build_examples(dataset_dir: Path, out_dir: Path, validation_split: float) -> ExamplesSummary:
    """Writes the shards of each split; the same dataset gives the same bytes.

    Writes `<split>/examples-00000-of-0000N.tfrecord`, `<split>/annotations.json` with the ground truth of the split
    as it ended up and, last, `examples.json`. Boxes are normalised to [0, 1] and cut at the image's edge.

    Args:
        dataset_dir: what `download_dataset` wrote.
        out_dir: the examples folder.
        validation_split: share of the training images held out where the dataset has no validation split, in (0, 1).

    Raises:
        DataError: the folder is no dataset, or has too few images to hold any out.
    """
    manifest = _read_manifest(dataset_dir)
    sources = {split: dataset_dir / split for split in SPLITS if split in manifest["splits"]}
    parts = {split: load_annotations(folder / "annotations.json") for split, folder in sources.items()}
    digests = {split: _digests(sources[split], part) for split, part in parts.items()}
    if "validation" not in parts:
        training, held_out = split_by_content(parts["training"], digests["training"], validation_split)
        parts |= {"training": training, "validation": held_out}
        sources["validation"], digests["validation"] = sources["training"], digests["training"]
    counts = {
        split: _write_split(parts[split], sources[split], digests[split], out_dir / split)
        for split in SPLITS
        if split in parts
    }
    summary = ExamplesSummary(
        manifest["fingerprint"],
        tuple(manifest["classes"]),
        tuple(manifest["category_ids"]),
        counts,
        dropped_records(dataset_dir),
    )
    write_json(out_dir / "examples.json", asdict(summary))
    return summary


def build_evaluation_examples(dataset_dir: Path, out_dir: Path) -> ExamplesSummary:
    """Writes every image of a dataset without splits as the split `test`, as `build_examples` does.

    Args:
        dataset_dir: what `download_dataset` wrote, with the one split `training`.
        out_dir: the examples folder.

    Raises:
        DataError: the folder is no dataset.
    """
    manifest = _read_manifest(dataset_dir)
    source = dataset_dir / "training"
    annotations = load_annotations(source / "annotations.json")
    counts = {"test": _write_split(annotations, source, _digests(source, annotations), out_dir / "test")}
    classes, category_ids = tuple(manifest["classes"]), tuple(manifest["category_ids"])
    summary = ExamplesSummary(manifest["fingerprint"], classes, category_ids, counts, dropped_records(dataset_dir))
    write_json(out_dir / "examples.json", asdict(summary))
    return summary


def _read_manifest(dataset_dir: Path) -> dict[str, Any]:
    path = dataset_dir / "dataset.json"
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a dataset folder ({type(error).__name__}); run download_dataset") from error
    return content


def dropped_records(dataset_dir: Path) -> tuple[dict[str, Any], ...]:
    """The records that the report in a dataset folder has as dropped; none where there is no report."""
    path = dataset_dir / REPORT_FILE
    return tuple(asdict(record) for record in Report.read(path).dropped) if path.exists() else ()


def _digests(folder: Path, annotations: Annotations) -> dict[str, str]:
    return {image.file_name: content_hash(folder / "images" / image.file_name) for image in annotations.images}


def _write_split(annotations: Annotations, source: Path, digests: Mapping[str, str], out_dir: Path) -> dict[str, int]:
    import tensorflow as tf

    # The order of the hashes is as good as random, and the same everywhere.
    images = sorted(annotations.images, key=lambda image: (digests[image.file_name], image.id))
    shards = max(1, math.ceil(len(images) / SHARD_IMAGES))
    for number in range(shards):
        name = f"examples-{number:05d}-of-{shards:05d}.tfrecord"
        with replacing(out_dir / name) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
            for image in images[number::shards]:
                data, kind = encoded_image(source / "images" / image.file_name, image)
                boxes = [box for box in annotations.boxes_by_image[image.id] if not box.crowd]
                writer.write(_example(image, data, kind, boxes, annotations))
            writer.flush()
    save_annotations(annotations, out_dir / "annotations.json")
    return {"images": len(images), "boxes": len(annotations.boxes), "shards": shards}


def _example(image: ImageRecord, data: bytes, kind: str, boxes: list[Box], annotations: Annotations) -> bytes:
    """One serialized tf.train.Example; see the TF Object Detection API's tf_example_decoder for the names."""
    import tensorflow as tf

    def floats(values: list[float], size: int) -> Any:
        normalised = [min(max(value / size, 0.0), 1.0) for value in values]
        return tf.train.Feature(float_list=tf.train.FloatList(value=normalised))

    def ints(*values: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def texts(*values: str | bytes) -> Any:
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))

    labels = {category_id: label for label, category_id in enumerate(annotations.category_ids, start=1)}
    xmin, ymin, xmax, ymax = ([box.bbox[side] for box in boxes] for side in range(4))
    features = {
        "image/encoded": texts(data),
        "image/format": texts(kind),
        "image/filename": texts(image.file_name),
        "image/source_id": texts(str(image.id)),
        "image/height": ints(image.height),
        "image/width": ints(image.width),
        "image/object/bbox/xmin": floats(xmin, image.width),
        "image/object/bbox/ymin": floats(ymin, image.height),
        "image/object/bbox/xmax": floats(xmax, image.width),
        "image/object/bbox/ymax": floats(ymax, image.height),
        "image/object/class/label": ints(*(labels[box.category_id] for box in boxes)),
        "image/object/class/text": texts(*(annotations.categories[box.category_id] for box in boxes)),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))
