"""Validates a whole dataset from its annotations and object listings, before any image is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.config import RunConfig
from boxwright.dataset.annotations import SIZE_LIMIT, annotations_uri, read_document
from boxwright.dataset.validation.checking import check_splits
from boxwright.dataset.validation.checks import Found
from boxwright.dataset.validation.describe import file_finding
from boxwright.dataset.validation.findings import REPORT_FILE, Report
from boxwright.dataset.validation.model_input import ModelInput
from boxwright.dataset.validation.rules import FILE_UNREADABLE, rules_of
from boxwright.dataset.validation.split_data import SplitData
from boxwright.errors import DataError
from boxwright.storage import is_leftover, join, list_files, read_bytes

REPORT = REPORT_FILE
_ABOUT_UNLABELLED = ("class_too_few_boxes", "class_not_in_training")


@dataclass(frozen=True)
class ValidationSummary:
    """The outcome of a validation.

    Attributes:
        splits: facts of each split, as in the report.
        checked: checks made, over all rules and records.
        failed: records that broke a rule and were neither dropped nor only worth a warning; 0 where this is returned.
        report: path of the report.
    """

    splits: dict[str, dict[str, Any]]
    checked: int
    failed: int
    report: str


def validate_annotations(config: RunConfig, out_dir: Path, input_size: int | None = None) -> ValidationSummary:
    """Checks every record of every split and writes the report, and Great Expectations' own result and Data Docs.

    Reads the annotations files and lists the objects below images/; no image is read. With `on_invalid` drop, records
    with errors are listed in the report as dropped, for `boxwright.dataset.validation.dropping.read_cleaned`.

    Args:
        config: names the splits, the annotations file and how strict validation is.
        out_dir: folder that receives `validation_report.json`, `great_expectations.json` and `data_docs/`.
        input_size: height and width of the model's input in pixels.

    Raises:
        DataError: a record is bad. The report is written before; the message has the first ten and their count.
        UsageError, StorageError: storage could not be read; see `boxwright.storage`.
    """
    report = examine(config, out_dir, input_size)
    report.write(out_dir / REPORT_FILE)
    report.raise_if_errors(out_dir / REPORT_FILE)
    checked = sum(outcome.checked for outcome in report.rules.values())
    return ValidationSummary(report.splits, checked, 0, str(out_dir / REPORT_FILE))


def examine(config: RunConfig, out_dir: Path | None, input_size: int | None = None) -> Report:
    """The report of `validate_annotations`, good or bad; it is not written.

    Args:
        config: as there.
        out_dir: receives Great Expectations' result and Data Docs; None for neither.
        input_size: as there.

    Raises:
        UsageError, StorageError: storage could not be read; see `boxwright.storage`.
    """
    config = _with_classes_kept(config)
    rules = rules_of(config.data_validation)
    model_input = ModelInput.of(config.hyperparameters, input_size)
    report = Report.start(rules, {**config.data_validation.model_dump(), "image_size": model_input.size})
    splits = []
    for name, uri in config.datasets.items():
        if split := _read(name, uri, config.annotations_file, report):
            splits.append(split)
    check_splits(splits, config, report, out_dir, model_input)
    return report


def _with_classes_kept(config: RunConfig) -> RunConfig:
    """Classes without boxes are no error where a run keeps old classes that its images do not label."""
    if config.on_class_change != "keep":
        return config
    severities = {**dict.fromkeys(_ABOUT_UNLABELLED, "warning"), **config.data_validation.severities}
    settings = config.data_validation.model_copy(update={"severities": severities})
    return config.model_copy(update={"data_validation": settings})


def _read(name: str, uri: str, file_name: str, report: Report) -> SplitData | None:
    source = None
    report.checked(FILE_UNREADABLE.name, name, 1)
    try:
        source = annotations_uri(uri, file_name)
        document = read_document(read_bytes(source, SIZE_LIMIT), source)
    except DataError as error:
        report.add(file_finding(FILE_UNREADABLE, name, Found("file", source or uri, context=str(error))))
        report.splits[name] = {"annotations": source or uri, "images": 0, "boxes": 0, "bbox_format": None}
        return None
    report.splits[name] = {"annotations": source}
    listing = {entry.key: entry.size for entry in list_files(join(uri, "images")) if not _is_leftover(entry.key)}
    return SplitData(name, document, listing)


def _is_leftover(key: str) -> bool:
    return any(map(is_leftover, key.split("/")))
