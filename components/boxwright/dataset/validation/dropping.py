"""Going on without bad records: which ones to leave out, whether too many would go, and reading what is left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from boxwright.config import RunConfig
from boxwright.dataset.annotations import SIZE_LIMIT, Annotations, Box, annotations_of, file_of, raw_id, read_document
from boxwright.dataset.validation.checks import Found
from boxwright.dataset.validation.describe import file_finding
from boxwright.dataset.validation.findings import Dropped, Finding, Report, json_safe
from boxwright.dataset.validation.rules import RULES, TOO_MUCH_DROPPED
from boxwright.storage import read_bytes

_RECORDS = ("images", "annotations")
_SPARE = frozenset(rule.name for rule in RULES.values() if rule.is_spare)


def records_to_drop(findings: Iterable[Finding], documents: Mapping[str, dict[str, Any]]) -> list[Dropped]:
    """The records that have errors; a dropped image takes its boxes along.

    Of images that share an id or a file none is kept: nobody knows which of them the boxes belong to.

    Args:
        findings: of a report. Errors of the file as a whole, or of a class, drop nothing.
        documents: each split's annotations file, as `read_document` gives it.
    """
    reasons: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    files: dict[tuple[str, str, int], str | None] = {}
    for found in findings:
        if found.severity == "error" and found.list in _RECORDS and found.index is not None:
            key = (found.split, found.list, found.index)
            reasons[key].append(found.rule)
            files[key] = found.file
    dropped = [Dropped(*key, files[key], ", ".join(dict.fromkeys(rules))) for key, rules in reasons.items()]
    for split, document in documents.items():
        own = {key[2]: rules for key, rules in reasons.items() if key[:2] == (split, "images")}
        if own:
            dropped += _taken_along(split, document, own)
    return dropped


def spare_records(findings: Iterable[Finding]) -> list[Dropped]:
    """The copies of records that are there already, which a warning leaves out; not those that have errors as well."""
    found_all = list(findings)
    broken = {(found.split, found.list, found.index) for found in found_all if found.severity == "error"}
    return [
        Dropped(found.split, found.list, found.index, found.file, found.rule)
        for found in found_all
        if RULES[found.rule].is_spare and found.severity == "warning" and found.index is not None
        and (found.split, found.list, found.index) not in broken
    ]  # fmt: skip


def share_finding(split: str, dropped: Iterable[Dropped], facts: Mapping[str, Any], most: float) -> Finding | None:
    """The finding that too many records of a split would go, or that none would be left.

    Args:
        split: its name.
        dropped: the records of all splits.
        facts: the split's counts of `images` and `boxes`.
        most: largest share of each to drop.
    """
    # What is lost with a copy is nothing.
    lost = [record for record in dropped if record.split == split and record.reason not in _SPARE]
    for name, total in (("images", facts["images"]), ("boxes", facts["boxes"])):
        of_list = "annotations" if name == "boxes" else name
        gone = len({record.index for record in lost if record.list == of_list})
        if gone and (gone > most * total or gone == total):
            value = {"list": name, "dropped": gone, "of": total, "max_drop_share": most}
            return file_finding(TOO_MUCH_DROPPED, split, Found("file", value))
    return None


def read_cleaned(config: RunConfig, report: Report) -> dict[str, Annotations]:
    """The annotations of each split as training takes them: corners in pixels, without what the report dropped.

    A box's `index` stays its position in the annotations file of the dataset.

    Args:
        config: names the splits.
        report: of `validate_annotations` over the same dataset.

    Raises:
        DataError: the file changed since it was validated, so that it has bad records again.
        UsageError, StorageError: see `boxwright.storage`.
    """
    gone: dict[tuple[str, str], set[int]] = defaultdict(set)
    for record in report.dropped:
        gone[record.split, record.list].add(record.index)
    cleaned = {}
    for split in config.datasets:
        facts = report.splits[split]
        document = read_document(read_bytes(facts["annotations"], SIZE_LIMIT), facts["annotations"])
        cleaned[split] = clean(
            document, facts["annotations"], facts["bbox_format"], gone[split, "images"], gone[split, "annotations"]
        )
    return cleaned


def clean(document: Mapping[str, Any], source: str, bbox_format: str, images: set[int], boxes: set[int]) -> Annotations:
    """Records of a document without the images and boxes at these indices, with boxes as corners.

    Raises:
        DataError: what is left has bad records.
    """
    kept = [index for index in range(len(document["annotations"])) if index not in boxes]
    left = {
        **document,
        "images": [image for index, image in enumerate(document["images"]) if index not in images],
        "annotations": [document["annotations"][index] for index in kept],
    }
    found = annotations_of(left, source)
    read = _from_coco if bbox_format == "coco" else _as_it_is
    return replace(found, boxes=tuple(read(replace(box, index=kept[box.index])) for box in found.boxes))


def _as_it_is(box: Box) -> Box:
    return box


def _from_coco(box: Box) -> Box:
    x, y, width, height = box.bbox
    return replace(box, bbox=(x, y, x + width, y + height))


def _taken_along(split: str, document: Mapping[str, Any], bad: Mapping[int, list[str]]) -> list[Dropped]:
    """The records dropped with bad images: those that share a file or an id with them, and the boxes of all."""
    images = document["images"]
    names = {images[index]["file_name"] for index, rules in bad.items() if _share_a_file(rules)}
    gone = {index for index, image in enumerate(images) if names and file_of(image) in names} | set(bad)
    owners: dict[int, int] = {}
    for index in sorted(gone):
        if (found := raw_id(images[index])) is not None:
            owners.setdefault(found, index)
    dropped = []
    for index, image in enumerate(images):
        if index in gone or raw_id(image) in owners:
            dropped.append(
                Dropped(split, "images", index, _shown(file_of(image)), "shares its id or file with another")
            )
    for index, box in enumerate(document["annotations"]):
        image_id = box.get("image_id") if isinstance(box, dict) else None
        if type(image_id) is int and image_id in owners:
            owner = owners[image_id]
            dropped.append(
                Dropped(split, "annotations", index, _shown(file_of(images[owner])), f"images[{owner}] is dropped")
            )
    return dropped


def _share_a_file(rules: Iterable[str]) -> bool:
    return any(RULES[rule].shares_file for rule in rules)


def _shown(name: str | None) -> str | None:
    return None if name is None else str(json_safe(name[:300]))
