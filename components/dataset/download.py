"""Brings a dataset to a local folder, checks every image in it, and gives it a fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from components.config import RunConfig
from components.dataset.annotations import (
    annotations_uri,
    class_faults,
    faults_error,
    read_annotations,
    save_annotations,
)
from components.dataset.images import check_image
from components.dataset.records import Annotations, ImageRecord
from components.errors import DataError
from components.storage import download, join, list_files, write_json
from components.storage.transfer import Progress


@dataclass(frozen=True)
class DatasetSummary:
    """The content of `dataset.json`.

    Attributes:
        fingerprint: SHA-256 over split names, file names, image contents and annotations; the same for the same
            dataset wherever it lies.
        splits: counts of `images` and `boxes` of each split.
        classes: names, in the order of `category_ids`.
        category_ids: the ids of the training annotations, rising.
    """

    fingerprint: str
    splits: dict[str, dict[str, int]]
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]


def download_dataset(config: RunConfig, out_dir: Path, on_progress: Progress | None = None) -> DatasetSummary:
    """Fetches the images that the annotations name, checks them, and writes the dataset folder.

    Writes `<split>/images/<file_name>`, `<split>/annotations.json` (the same categories in all splits),
    `manifest.json` (SHA-256 of each image) and, last, `dataset.json`. What a killed call left is used again.

    Args:
        config: names the splits and the annotations file.
        out_dir: the dataset folder.
        on_progress: called with (images done, images in all) for each split.

    Raises:
        DataError: images are missing, broken or of another size than declared (naming the first ten and their
            count), classes differ between splits, or there is no box to train on.
        UsageError, StorageError: see `components.storage`.
    """
    annotations = _read_splits(config)
    problems: list[str] = []
    manifest: dict[str, dict[str, str]] = {}
    for split, uri in config.datasets.items():
        folder = out_dir / split / "images"
        problems += _fetch(split, join(uri, "images"), annotations[split], folder, on_progress)
        if not problems:
            manifest[split] = _digests(annotations[split], folder)
    if problems:
        raise faults_error("images", problems)
    for split, of_split in annotations.items():
        save_annotations(of_split, out_dir / split / "annotations.json")
    write_json(out_dir / "manifest.json", manifest)
    training = annotations["training"]
    summary = DatasetSummary(
        fingerprint=_fingerprint(annotations, manifest),
        splits={name: {"images": len(split.images), "boxes": len(split.boxes)} for name, split in annotations.items()},
        classes=training.classes,
        category_ids=training.category_ids,
    )
    write_json(out_dir / "dataset.json", asdict(summary))
    return summary


def _read_splits(config: RunConfig) -> dict[str, Annotations]:
    read = {
        split: read_annotations(annotations_uri(uri, config.annotations_file)) for split, uri in config.datasets.items()
    }
    if faults := class_faults(read):
        raise faults_error("dataset", faults)
    training = read["training"]
    if not training.boxes:
        raise DataError(f"{config.training}: the annotations have no box; expected at least one to train on")
    return {split: replace(found, categories=training.categories) for split, found in read.items()}


def _fetch(split: str, uri: str, annotations: Annotations, folder: Path, on_progress: Progress | None) -> list[str]:
    """Downloads and checks the images of a split; returns what is wrong with which."""
    listed = {entry.key: entry for entry in list_files(uri)}
    present = [image for image in annotations.images if image.file_name in listed]
    download(uri, [listed[image.file_name] for image in present], folder, on_progress)

    def check(image: ImageRecord) -> str | None:
        if image.file_name not in listed:
            return "does not exist; put it into images/ or take it out of the annotations"
        return check_image(folder / image.file_name, image)

    # Decoding runs outside Python's lock; a few threads bound the memory that large pictures take.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        reasons = list(pool.map(check, annotations.images))
    return [
        f"{split}: {image.file_name!a} (images[{index}]) {reason}"
        for index, (image, reason) in enumerate(zip(annotations.images, reasons, strict=True))
        if reason
    ]


def _digests(annotations: Annotations, folder: Path) -> dict[str, str]:
    return {image.file_name: content_hash(folder / image.file_name) for image in annotations.images}


def content_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(annotations: Mapping[str, Annotations], manifest: dict[str, dict[str, str]]) -> str:
    content = {
        split: {"annotations": found.to_dict(), "images": manifest[split]} for split, found in annotations.items()
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
