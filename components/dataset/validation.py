"""Validates a whole dataset from its annotations and object listings, before any image is downloaded."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.config import RunConfig
from components.dataset.annotations import SIZE_LIMIT, adopt_classes, annotations_uri, class_faults, faults_error
from components.dataset.parse import RULE, scan_annotations
from components.dataset.records import Annotations, Fault, shorten
from components.dataset.rules import RuleResult, check_rules
from components.errors import DataError
from components.storage import join, list_files, read_bytes, write_json

REPORT = "validation_report.json"


@dataclass(frozen=True)
class ValidationSummary:
    """What was checked.

    Attributes:
        splits: for each split its `annotations` URI and the counts of `images` and `boxes`.
        checked: checks made, over all rules and records.
        failed: records that broke a rule; 0 where this is returned.
        report: path of the report.
    """

    splits: dict[str, dict[str, Any]]
    checked: int
    failed: int
    report: str


@dataclass
class _Split:
    """One split as far as it could be read."""

    name: str
    uri: str
    source: str = ""
    annotations: Annotations | None = None
    faults: list[Fault] = field(default_factory=list)
    rules: list[RuleResult] = field(default_factory=list)
    listed: int = 0


def validate_annotations(config: RunConfig, out_dir: Path) -> ValidationSummary:
    """Checks every record of every split and writes `validation_report.json`.

    Reads the annotations files and lists the objects below images/; no image is read. The report has, for each split
    and rule, how many records were checked and failed, and every bad record with its index, value and advice.

    Args:
        config: names the splits and the annotations file.
        out_dir: folder that receives the report.

    Raises:
        DataError: a record is bad. The report is written before; the message has the first ten and their count.
        UsageError, StorageError: storage could not be read; see `components.storage`.
    """
    splits = [_read(name, uri, config.annotations_file) for name, uri in config.datasets.items()]
    _compare_classes([split for split in splits if split.annotations])
    for split in splits:
        _apply_rules(split)
    bad = {split.name: _bad_records(split) for split in splits}
    report = out_dir / REPORT
    write_json(report, _report(splits, bad))
    named = [f"{name}: {record['text']}" for name, records in bad.items() for record in records]
    if named:
        raise faults_error("dataset", named, f" (all of them in {report})")
    counts = {split.name: _counts(split) for split in splits}
    return ValidationSummary(counts, sum(rule.checked for split in splits for rule in split.rules), 0, str(report))


def _compare_classes(splits: list[_Split]) -> None:
    known = {split.name: split.annotations for split in splits if split.annotations}
    if "training" not in known:
        return
    adopted = adopt_classes(known)
    faults = class_faults(adopted)
    for split in splits:
        split.annotations = adopted[split.name]
        split.faults += [fault for fault in faults if fault.value["split"] == split.name]


def _read(name: str, uri: str, file_name: str) -> _Split:
    split = _Split(name, uri)
    try:
        split.source = annotations_uri(uri, file_name)
        split.annotations, split.faults = scan_annotations(read_bytes(split.source, SIZE_LIMIT), split.source)
    except DataError as error:
        split.faults = [Fault("annotations file is readable", "file", None, split.source or uri, str(error))]
        return split
    if not split.annotations.images and not split.faults:
        split.faults.append(Fault("dataset is not empty", "images", None, [], "expected at least one image"))
    elif not split.annotations.boxes and name == "training" and not split.faults:
        split.faults.append(Fault("dataset is not empty", "annotations", None, [], "expected at least one box"))
    return split


def _apply_rules(split: _Split) -> None:
    if split.annotations is None:
        return
    listing = {entry.key: entry.size for entry in list_files(join(split.uri, "images"))}
    split.listed = len(listing)
    split.rules = check_rules(split.annotations, listing)


def _bad_records(split: _Split) -> list[dict[str, Any]]:
    """One entry a record, with all the rules it breaks."""
    grouped: dict[tuple[str, int | None, Any], list[Fault]] = defaultdict(list)
    for number, fault in enumerate([*split.faults, *(fault for rule in split.rules for fault in rule.faults)]):
        # Faults of the file as a whole have no index and stay apart.
        grouped[fault.where, fault.index, number if fault.index is None else None].append(fault)
    return [_record(split.name, faults) for faults in grouped.values()]


def _record(split: str, faults: list[Fault]) -> dict[str, Any]:
    first = faults[0]
    return {
        "split": split,
        "list": first.where,
        "index": first.index,
        "file": first.file and first.file[:300],
        "value": _json_safe(first.value),
        "rule": "; ".join(fault.rule for fault in faults),
        "advice": "; ".join(dict.fromkeys(fault.advice for fault in faults)),
        "text": str(first),
    }


def _json_safe(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinity become text, as does whatever is large."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list) and len(value) <= 16:
        return [_json_safe(item) for item in value]
    if isinstance(value, dict) and len(value) <= 16:
        return {str(key): _json_safe(item) for key, item in value.items()}
    return value if isinstance(value, int | float | None) else shorten(value, 200)


def _counts(split: _Split) -> dict[str, Any]:
    images = split.annotations.images if split.annotations else ()
    boxes = split.annotations.boxes if split.annotations else ()
    return {"annotations": split.source, "images": len(images), "boxes": len(boxes)}


def _report(splits: list[_Split], bad: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "ok": not any(bad.values()),
        "splits": {split.name: _split_report(split) for split in splits},
        "bad_records": [
            {key: value for key, value in record.items() if key != "text"}
            for records in bad.values()
            for record in records
        ],
    }


def _split_report(split: _Split) -> dict[str, Any]:
    rules = {result.rule: {"checked": result.checked, "failed": len(result.faults)} for result in split.rules}
    for fault in split.faults:
        rules.setdefault(fault.rule, {"checked": _checked(split, fault.rule), "failed": 0})["failed"] += 1
    return {**_counts(split), "files_in_images": split.listed, "rules": rules}


def _checked(split: _Split, rule: str) -> int:
    if rule != RULE or split.annotations is None:
        return 1
    return len(split.annotations.images) + len(split.annotations.boxes) + len(split.faults)
