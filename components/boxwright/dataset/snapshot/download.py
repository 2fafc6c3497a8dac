"""Brings a dataset to a local folder, checks every image in it, and gives it a fingerprint."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from boxwright.config import RunConfig
from boxwright.dataset.annotations import Annotations, annotations_uri, class_faults, faults_error, save_annotations
from boxwright.dataset.report import PAGE_FILE, Anchors, SplitBoxes, images_to_draw, write_page
from boxwright.dataset.snapshot.manifest import IMAGES, MANIFEST_FILE, SplitManifest, list_split, write_manifest
from boxwright.dataset.snapshot.parts import Known, inspect_part, read_parts, still_known
from boxwright.dataset.validation import (
    REPORT_FILE,
    Inspected,
    Report,
    add_image_findings,
    drop_images,
    inspect_images,
    places_of,
    read_cleaned,
    rules_of,
)
from boxwright.errors import DataError
from boxwright.storage import Progress, StoredRecord, download

_log = logging.getLogger("boxwright")


class DatasetSummary(StoredRecord):
    """The content of `dataset.json`.

    Attributes:
        fingerprint: SHA-256 over split names, file names, image contents and annotations; the same for the same
            dataset wherever it lies.
        splits: counts of `images` and `boxes` of each split.
        classes: names, in the order of `category_ids`.
        category_ids: the ids of the training annotations, rising.
    """

    FILE = "dataset.json"
    ADVICE = "run download_dataset again"

    fingerprint: str
    splits: dict[str, dict[str, int]]
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]


def download_dataset(
    config: RunConfig,
    out_dir: Path,
    validated: Path | None = None,
    anchors: Anchors | None = None,
    on_progress: Progress | None = None,
    parts_uri: str | None = None,
) -> DatasetSummary:
    """Fetches the images that the annotations name, checks them, and writes the dataset folder.

    Writes `validation_report.json` and `validation_report.html`, good or bad; then `<split>/images/<file_name>`,
    `<split>/annotations.json` (corners, the same categories in all splits), `manifest.jsonl` (each file of the prefix,
    as it was listed, with the SHA-256 of what came) and, last, `dataset.json`. What earlier runs fetched, or a killed
    call left, is used again. With `on_invalid` drop, records with errors are left out.

    Args:
        config: names the splits, the annotations file and how strict validation is.
        out_dir: the dataset folder.
        validated: the report of `validate_annotations`, which this one goes on from. If unset, the annotations must
            be flawless, and `bbox_format` must not be auto.
        anchors: of the model that will be trained, for the report's pictures.
        on_progress: called with (images done, images in all) for each split.
        parts_uri: where `check_part` has left what it found: these images are not fetched.

    Raises:
        DataError: images break rules (naming the first ten and their count), or, where the annotations were not
            validated or have changed since: records are bad, classes differ, or there is no box to train on.
        UsageError, StorageError: see `boxwright.storage`.
    """
    report = Report.read(validated) if validated else _unvalidated(config)
    annotations = _read_splits(config, report)
    listed = _list(config, report, annotations)
    known = read_parts(parts_uri) if parts_uri else {}
    inspected = {
        split: _inspect(
            config, split, listed[split], annotations[split], out_dir, report, known.get(split, {}), on_progress
        )
        for split in annotations
    }
    add_image_findings(report, inspected)
    settings, kept = config.data_validation, annotations
    if settings.on_invalid == "drop":
        kept = drop_images(report, annotations, inspected, settings.max_drop_share)
    digests = _digests(kept, inspected)
    report.fingerprint = None if report.errors else _fingerprint(kept, digests)
    _write_report(report, config, annotations, anchors, out_dir, listed)
    report.raise_if_errors(out_dir / REPORT_FILE)
    write_manifest(out_dir / MANIFEST_FILE, listed, digests)
    return _write(kept, str(report.fingerprint), out_dir)


def check_part(config: RunConfig, validated: Path, number: int, parts: int, parts_uri: str, scratch: Path) -> int:
    """Fetches and checks a part of the images, for the `download_dataset` that follows; see `inspect_part`.

    Args:
        config: as of `download_dataset`.
        validated: the report of `validate_annotations`.
        number: of the part, from 0 on.
        parts: into which the dataset is divided.
        parts_uri: where to leave what was found.
        scratch: a folder for images while they are looked at.

    Returns:
        The number of images.

    Raises:
        DataError, UsageError, StorageError: as `download_dataset`, but for what is wrong with images.
    """
    report = Report.read(validated)
    annotations = _read_splits(config, report)
    listed = _list(config, report, annotations)
    images = {split: part.images for split, part in annotations.items()}
    return inspect_part(config, listed, images, number, parts, parts_uri, scratch)


def _list(config: RunConfig, report: Report, annotations: Mapping[str, Annotations]) -> dict[str, SplitManifest]:
    return {
        split: list_split(uri, report.splits[split]["annotations"], (i.file_name for i in annotations[split].images))
        for split, uri in config.datasets.items()
    }


def _unvalidated(config: RunConfig) -> Report:
    settings = config.data_validation
    report = Report.start(rules_of(settings), settings.model_dump())
    for split, uri in config.datasets.items():
        source = annotations_uri(uri, config.annotations_file)
        report.splits[split] = {"annotations": source, "bbox_format": settings.bbox_format}
    return report


def _read_splits(config: RunConfig, report: Report) -> dict[str, Annotations]:
    read = read_cleaned(config, report)
    if faults := class_faults(read):
        raise faults_error("dataset", faults)
    for split, found in read.items():
        counts = {"images": len(found.images), "boxes": len(found.boxes)}
        report.splits[split] = counts | report.splits[split]
    training = read["training"]
    if not training.boxes:
        raise DataError(f"{config.training}: the annotations have no box; expected at least one to train on")
    return {split: replace(found, categories=training.categories) for split, found in read.items()}


def _inspect(
    config: RunConfig,
    split: str,
    listed: SplitManifest,
    annotations: Annotations,
    out_dir: Path,
    report: Report,
    known: Mapping[str, Known],
    progress: Progress | None,
) -> Inspected:
    """Fetches and inspects the images of a split that no other machine has inspected as they are."""
    folder = out_dir / split / IMAGES
    found = still_known(known, listed, annotations.images)
    left = [image for image in annotations.images if image.file_name not in found]
    names = {image.file_name for image in left}
    download(listed.images, [entry for name, entry in listed.used.items() if name in names], folder, progress)
    if listed.unused:
        _log.info("%s: %d files that no annotation names were left where they are", listed.images, len(listed.unused))
    own = inspect_images(folder, left, config.data_validation.max_megapixels)
    found |= {image.file_name: inspection for image, inspection in zip(left, own, strict=True)}
    places = places_of(split, annotations, report)
    return [(place, found[image.file_name]) for place, image in zip(places, annotations.images, strict=True)]


def _write_report(
    report: Report,
    config: RunConfig,
    annotations: Mapping[str, Annotations],
    anchors: Anchors | None,
    out_dir: Path,
    listed: Mapping[str, SplitManifest],
) -> None:
    report.write(out_dir / REPORT_FILE)
    boxes = {split: SplitBoxes.of_records(part) for split, part in annotations.items()}
    if report.dropped:  # what was dropped is in the files only, and the page shows it
        facts = {split: report.splits[split] for split in annotations}
        boxes = {split: SplitBoxes.of_file(split, of["annotations"], of["bbox_format"]) for split, of in facts.items()}
    folders = {split: out_dir / split / IMAGES for split in annotations}
    for split, name in images_to_draw(report.findings, boxes):
        if name in listed[split].used and not (folders[split] / name).exists():
            download(listed[split].images, [listed[split].used[name]], folders[split])
    write_page(out_dir / PAGE_FILE, report, boxes, anchors, folders)


def _write(annotations: Mapping[str, Annotations], fingerprint: str, out_dir: Path) -> DatasetSummary:
    for split, of_split in annotations.items():
        save_annotations(of_split, out_dir / split / "annotations.json")
    training = annotations["training"]
    summary = DatasetSummary(
        fingerprint=fingerprint,
        splits={name: {"images": len(split.images), "boxes": len(split.boxes)} for name, split in annotations.items()},
        classes=training.classes,
        category_ids=training.category_ids,
    )
    summary.write(out_dir)
    return summary


def _digests(annotations: Mapping[str, Annotations], inspected: Mapping[str, Inspected]) -> dict[str, dict[str, str]]:
    kept = {split: {image.file_name for image in part.images} for split, part in annotations.items()}
    return {
        split: {place.file: found.digest for place, found in images if place.file in kept[split] and found.digest}
        for split, images in inspected.items()
    }


def _fingerprint(annotations: Mapping[str, Annotations], digests: dict[str, dict[str, str]]) -> str:
    content = {
        split: {"annotations": found.to_dict(), "images": digests[split]} for split, found in annotations.items()
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
