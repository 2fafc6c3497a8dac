"""Holds splits against the rules: the file as a whole, the format of its boxes, and every record by expectation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boxwright.config import RunConfig
from boxwright.dataset.annotations import evidence_of, judge, raw_id
from boxwright.dataset.validation.checks import ClassCheck, Expectation, FileCheck, FormatCheck, Found
from boxwright.dataset.validation.classes import class_rows
from boxwright.dataset.validation.describe import class_finding, file_finding, record_finding
from boxwright.dataset.validation.dropping import records_to_drop, share_finding, spare_records
from boxwright.dataset.validation.expectations import Failures, expectations_of, run_expectations
from boxwright.dataset.validation.findings import Report
from boxwright.dataset.validation.model_input import ModelInput
from boxwright.dataset.validation.record_measures import Records
from boxwright.dataset.validation.rules import RULES, TOO_FEW_IMAGES, TOO_MUCH_DROPPED, Rule, rules_of
from boxwright.dataset.validation.split_data import SplitData
from boxwright.dataset.validation.tables import class_table, record_table

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

_LISTS = ("images", "annotations", "categories")


def check_splits(
    splits: Sequence[SplitData], config: RunConfig, report: Report, out_dir: Path | None, model_input: ModelInput
) -> None:
    """Adds what the rules find in splits that could be read, and drops records where that is asked for."""
    rules = rules_of(config.data_validation)
    for split in splits:
        _describe_split(split, report)
        _check_file(split, report)
    _check_format(splits, config, report)
    _run_rules(splits, config, report, rules, out_dir, model_input)
    _check_enough(splits, report)
    if config.data_validation.on_invalid == "drop":
        _drop(splits, config.data_validation.max_drop_share, report)
    report.drop(spare_records(report.findings))


def _describe_split(split: SplitData, report: Report) -> None:
    images, boxes = split.document["images"], split.document["annotations"]
    facts = {"images": len(images), "boxes": len(boxes)}
    facts["images_without_boxes"] = int((~np.isin(split.images.ids, split.boxes.image_ids)).sum())
    if split.listing is not None:
        facts["files_in_images"] = len(split.listing)
        facts["unused_files"] = len(split.listing.keys() - set(split.images.names))
    report.splits.setdefault(split.name, {}).update(facts)


def _check_file(split: SplitData, report: Report) -> None:
    for rule in RULES.values():
        for check in rule.of_kind(FileCheck):
            report.checked(rule.name, split.name, 1)
            for found in check.measure(split):
                report.add(file_finding(rule, split.name, found))


def _check_enough(splits: Sequence[SplitData], report: Report) -> None:
    """Whether an image can be held out for validation; copies among the images show only in their bytes, later."""
    if [split.name for split in splits if split.name != "test"] != ["training"]:
        return
    training = splits[0]
    report.checked(TOO_FEW_IMAGES.name, training.name, 1)
    labelled = int(np.isin(training.images.ids, training.boxes.image_ids).sum())
    # A set without any is the matter of another rule.
    if labelled == 1:
        advice = "to hold one out for validation, two images with boxes are needed"
        report.add(file_finding(TOO_FEW_IMAGES, training.name, Found("images", labelled, context=advice)))


def _check_format(splits: Sequence[SplitData], config: RunConfig, report: Report) -> None:
    settings = config.data_validation
    evidence = {split.name: evidence_of(split.boxes.bbox, split.sizes(), settings.box_tolerance) for split in splits}
    verdicts = judge(evidence, settings)
    by_mistake = {check.mistaken_for: rule for rule in RULES.values() for check in rule.of_kind(FormatCheck)}
    for split in splits:
        found, verdict = evidence[split.name], verdicts[split.name]
        split.reading = verdict.reading
        report.splits[split.name] |= {"bbox_format": verdict.reading, "impossible_boxes": found.to_dict()}
        for name, rule in by_mistake.items():
            report.checked(rule.name, split.name, found.boxes)
            if name == verdict.mistaken_for:
                place = Found("annotations", found.to_dict(), context=verdict.counts)
                report.add(file_finding(rule, split.name, place))


def _run_rules(
    splits: Sequence[SplitData],
    config: RunConfig,
    report: Report,
    rules: Mapping[str, Rule],
    out_dir: Path | None,
    model_input: ModelInput,
) -> None:
    import pandas as pd

    if not splits:
        return
    tolerance = config.data_validation.box_tolerance
    parts = {
        name: [Records(split, name, _category_ids(split, splits), model_input, tolerance) for split in splits]
        for name in _LISTS
    }
    # Class rules compare with training: without it they have nothing to say.
    rows = class_rows(splits, parts["annotations"][0]) if splits[0].name == "training" else []
    for split in splits:
        report.splits[split.name]["classes"] = {row.name: row.boxes for row in rows if row.split == split.name}
    tables = {
        name: pd.concat([record_table(records, rules) for records in of_splits], ignore_index=True)
        for name, of_splits in parts.items()
    }
    tables["classes"] = class_table(rows, rules)
    lengths = {name: [len(records) for records in of_splits] for name, of_splits in parts.items()}
    lengths["classes"] = [sum(row.split == split.name for row in rows) for split in splits]
    failures = run_expectations(tables, rules, out_dir)
    _count_checked(tables, lengths, splits, rules, report)
    training = sorted((row for row in rows if row.split == "training"), key=lambda row: -row.boxes)
    for (name, check), failed in _in_order(failures, rules):
        if isinstance(check, ClassCheck):
            for row in failed.tolist():
                report.add(class_finding(rules[name], check, rows[row], training))
            continue
        ends = np.cumsum(lengths[check.table])
        for row, part in zip(failed.tolist(), np.searchsorted(ends, failed, side="right").tolist(), strict=True):
            index = row - int(ends[part]) + lengths[check.table][part]
            report.add(record_finding(rules[name], check, parts[check.table][part], index))


def _in_order(failures: Failures, rules: Mapping[str, Rule]) -> list[tuple[tuple[str, Expectation], NDArray[np.int64]]]:
    order = {name: number for number, name in enumerate(rules)}
    return sorted(failures.items(), key=lambda item: order[item[0][0]])


def _count_checked(
    tables: Mapping[str, pd.DataFrame],
    lengths: Mapping[str, Sequence[int]],
    splits: Sequence[SplitData],
    rules: Mapping[str, Rule],
    report: Report,
) -> None:
    for rule in rules.values():
        for check in expectations_of(rule):
            asked = tables[check.table][rule.name].notna().to_numpy()
            parts = np.split(asked, np.cumsum(lengths[check.table])[:-1])
            for split, part in zip(splits, parts, strict=True):
                report.checked(rule.name, split.name, int(part.sum()))


def _category_ids(split: SplitData, splits: Sequence[SplitData]) -> list[int] | None:
    """The ids that a box of a split may have: its file's, or else those of training's file, or else any."""
    named = split if split.is_named else splits[0] if splits[0].is_named else None
    if named is None:
        return None
    # A malformed category is found once, not again for each of its boxes.
    return [found for record in named.document["categories"] if (found := raw_id(record)) is not None]


def _drop(splits: Sequence[SplitData], most: float, report: Report) -> None:
    report.drop(records_to_drop(report.findings, {split.name: split.document for split in splits}))
    for split in splits:
        report.checked(TOO_MUCH_DROPPED.name, split.name, 1)
        if found := share_finding(split.name, report.dropped, report.splits[split.name], most):
            report.add(found)
