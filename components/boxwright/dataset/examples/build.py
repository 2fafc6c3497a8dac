"""Turns a dataset folder into TFRecord shards of the TF Object Detection API's features."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

from boxwright.config import SPLITS
from boxwright.dataset.annotations import Annotations, ImageRecord, load_annotations, save_annotations
from boxwright.dataset.examples.beam import SharedPlace, write_shards_by_beam
from boxwright.dataset.examples.engines import Progress, write_shards
from boxwright.dataset.examples.shards import ShardTask
from boxwright.dataset.examples.split import split_by_content
from boxwright.dataset.examples.summary import ExamplesSummary, SplitCounts
from boxwright.dataset.snapshot import IMAGES, MANIFEST_FILE, DatasetImages, DatasetSummary, read_images
from boxwright.dataset.validation import REPORT_FILE, Dropped, Report

SHARD_BYTES = 64_000_000


def build_examples(
    dataset_dir: Path,
    out_dir: Path,
    validation_split: float,
    seed: int = 0,
    beam_args: str | None = None,
    on_progress: Progress | None = None,
    place: SharedPlace | None = None,
) -> ExamplesSummary:
    """Writes the shards of each split; the same dataset and seed give the same bytes, whatever writes them.

    Writes `<split>/examples-00000-of-0000N.tfrecord`, `<split>/annotations.json` with the ground truth of the split
    as it ended up and, last, `examples.json`. Boxes are normalised to [0, 1] and cut at the image's edge.

    Args:
        dataset_dir: what `download_dataset` wrote.
        out_dir: the examples folder.
        validation_split: share of the training images held out where the dataset has no validation split, in (0, 1).
        seed: the images' order is drawn from it, and from their content.
        beam_args: arguments for Beam, as on a command line ("--runner=FlinkRunner ..."); processes of this machine
            if unset.
        on_progress: called with (shards done, shards in all); Beam's runners have pages of their own for that.
        place: where Beam's workers put the shards, if they share no disk with this machine; the images need not be in
            `dataset_dir` then.

    Raises:
        DataError: the folder is not a dataset, or has too few images to hold any out.
        UsageError, StorageError: see `write_shards` and `write_shards_by_beam`.
    """
    dataset = DatasetSummary.read(dataset_dir)
    sources = {split: dataset_dir / split for split in SPLITS if split in dataset.splits}
    parts = {split: load_annotations(folder / "annotations.json") for split, folder in sources.items()}
    images = read_images(dataset_dir / MANIFEST_FILE)
    if "validation" not in parts:
        training, held_out = split_by_content(parts["training"], images["training"].digests, validation_split)
        parts |= {"training": training, "validation": held_out}
        sources["validation"], images["validation"] = sources["training"], images["training"]
    parts = {split: parts[split] for split in SPLITS if split in parts}
    tasks = {
        split: _tasks(part, sources[split], images[split], out_dir / split, f"{dataset.fingerprint}:{seed}")
        for split, part in parts.items()
    }
    if beam_args:
        made = [(task, images[split]) for split, of_split in tasks.items() for task in of_split]
        normalised = write_shards_by_beam(made, out_dir, beam_args, place)
    else:
        normalised = write_shards([task for of_split in tasks.values() for task in of_split], on_progress)
    return _write(dataset_dir, out_dir, parts, tasks, normalised)


def build_evaluation_examples(dataset_dir: Path, out_dir: Path) -> ExamplesSummary:
    """Writes every image of a dataset without splits as the split `test`, as `build_examples` does.

    Args:
        dataset_dir: what `download_dataset` wrote, with the one split `training`.
        out_dir: the examples folder.

    Raises:
        DataError: the folder is not a dataset.
    """
    dataset, source = DatasetSummary.read(dataset_dir), dataset_dir / "training"
    annotations = load_annotations(source / "annotations.json")
    images = read_images(dataset_dir / MANIFEST_FILE)["training"]
    test = _tasks(annotations, source, images, out_dir / "test", dataset.fingerprint)
    return _write(dataset_dir, out_dir, {"test": annotations}, {"test": test}, write_shards(test))


def _write(
    dataset_dir: Path,
    out_dir: Path,
    parts: Mapping[str, Annotations],
    tasks: Mapping[str, list[ShardTask]],
    normalised: Mapping[str, int],
) -> ExamplesSummary:
    dataset = DatasetSummary.read(dataset_dir)
    for split, part in parts.items():
        save_annotations(part, out_dir / split / "annotations.json")
    summary = ExamplesSummary(
        fingerprint=dataset.fingerprint,
        classes=dataset.classes,
        category_ids=dataset.category_ids,
        splits={
            split: SplitCounts(images=len(part.images), boxes=len(part.boxes), shards=len(tasks[split]))
            for split, part in parts.items()
        },
        dropped=dropped_records(dataset_dir),
        normalised=dict(sorted(normalised.items())),
    )
    summary.write(out_dir)
    return summary


def dropped_records(dataset_dir: Path) -> tuple[Dropped, ...]:
    """The records that the report in a dataset folder lists as dropped; empty without a report."""
    path = dataset_dir / REPORT_FILE
    return tuple(Report.read(path).dropped) if path.exists() else ()


def _tasks(annotations: Annotations, source: Path, listed: DatasetImages, target: Path, order: str) -> list[ShardTask]:
    """The shards of a split, of about the same size.

    Args:
        annotations: the split's images and boxes.
        source: folder of the split that the images are in.
        listed: its images as they were listed and checked.
        target: folder of the shards.
        order: what the order of the images is drawn from, with their content.
    """

    def place(image: ImageRecord) -> tuple[str, int]:
        return hashlib.sha256(f"{order}:{listed.digests[image.file_name]}".encode()).hexdigest(), image.id

    images = sorted(annotations.images, key=place)
    size = sum(listed.entries[image.file_name].size for image in images)
    shards = max(1, math.ceil(size / SHARD_BYTES))
    boxes = annotations.boxes_by_image
    labels = {category_id: label for label, category_id in enumerate(annotations.category_ids, start=1)}
    return [
        ShardTask(
            source=str(source / IMAGES),
            target=str(target / f"examples-{number:05d}-of-{shards:05d}.tfrecord"),
            images=tuple(
                (image, tuple(box for box in boxes[image.id] if not box.crowd), listed.digests[image.file_name])
                for image in images[number::shards]
            ),
            labels=labels,
            names=annotations.categories,
        )
        for number in range(shards)
    ]
