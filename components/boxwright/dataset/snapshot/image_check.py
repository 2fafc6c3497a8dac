"""The check of the images of a dataset whose annotations have errors, so that one pass names the faults of both."""

from __future__ import annotations

from pathlib import Path

from boxwright.config import RunConfig
from boxwright.dataset.annotations import SIZE_LIMIT, ImageRecord, Malformed, read_document, read_image
from boxwright.dataset.report import PAGE_FILE, SplitBoxes, write_page
from boxwright.dataset.snapshot.manifest import list_split
from boxwright.dataset.validation import (
    REPORT_FILE,
    Inspected,
    Place,
    Report,
    add_image_findings,
    inspect_images,
)
from boxwright.storage import download, read_bytes

_Records = list[tuple[Place, ImageRecord]]


def check_images(config: RunConfig, report: Report, out_dir: Path) -> None:
    """Inspects every image whose record can be read and whose file is there, and adds what is wrong to the report.

    Args:
        config: names the splits.
        report: of `examine` over the same dataset; its errors may be any.
        out_dir: receives the images, the report and its page.

    Raises:
        UsageError, StorageError: see `boxwright.storage`.
    """
    add_image_findings(report, {split: _inspect(config, split, report, out_dir) for split in config.datasets})
    report.write(out_dir / REPORT_FILE)
    boxes = {
        split: SplitBoxes.of_file(split, facts["annotations"], facts.get("bbox_format"))
        for split, facts in report.splits.items()
        if facts["images_checked"]
    }
    write_page(out_dir / PAGE_FILE, report, boxes, folders={split: out_dir / split / "images" for split in boxes})


def _inspect(config: RunConfig, split: str, report: Report, out_dir: Path) -> Inspected:
    facts = report.splits[split]
    records = _sound_records(split, facts["annotations"]) if facts["images"] else []
    listed = list_split(config.datasets[split], facts["annotations"], (place.file for place, _ in records))
    # The listing has told of those without a file, and of empty ones.
    there = [(place, record) for place, record in records if place.file in listed.used and listed.used[place.file].size]
    folder = out_dir / split / "images"
    download(listed.images, listed.used.values(), folder)
    inspections = inspect_images(folder, [record for _, record in there], config.data_validation.max_megapixels)
    return [(place, inspection) for (place, _), inspection in zip(there, inspections, strict=True)]


def _sound_records(split: str, annotations: str) -> _Records:
    """The image records that can be read; of several for one file the first."""
    found: dict[str, tuple[Place, ImageRecord]] = {}
    for index, raw in enumerate(read_document(read_bytes(annotations, SIZE_LIMIT), annotations)["images"]):
        try:
            record = read_image(index, raw)
        except Malformed:
            continue  # the report has it
        found.setdefault(record.file_name, (Place(split, index, record.file_name), record))
    return list(found.values())
