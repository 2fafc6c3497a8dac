"""Turns a row that failed an expectation into a finding: which record, which value, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from boxwright.dataset.annotations import file_of
from boxwright.dataset.validation.classes import ClassRow
from boxwright.dataset.validation.findings import Finding, json_safe
from boxwright.dataset.validation.rules import Check, Rule
from boxwright.dataset.validation.tables import SplitData
from boxwright.errors import shorten

_KEYS = {
    "image_known": "image_id",
    "category_known": "category_id",
    "id_copies": "id",
    "listed": "file_name",
    "listed_bytes": "file_name",
}


def describe_record(rule: Rule, check: Check, split: SplitData, index: int) -> Finding:
    """The finding for record `index` of the list that `check` looks at."""
    table = check.table
    record = split.document[table][index]
    problem = split.malformed(table).get(index)
    if problem is not None and problem.rule == rule.name:
        value, advice = problem.value, problem.advice
    else:
        value, advice = record[_key(check)], _advice(rule, check, split, index)
    return Finding(rule.name, rule.severity, split.name, table, index, _file(split, table, index), value, advice)


def describe_class(rule: Rule, row: ClassRow, training: Sequence[ClassRow]) -> Finding:
    """The finding for a class.

    Args:
        rule: that it breaks.
        row: the class.
        training: the classes of training, the most frequent one first.
    """
    value: dict[str, Any] = {"id": row.category_id, "name": row.name, "boxes": row.boxes}
    advice = rule.advice
    if rule.name == "class_names_differ":
        advice = f"training calls it {row.training_name!a}; {advice}"
    elif rule.name == "class_not_in_training" and row.training_name is None:
        known = shorten([other.category_id for other in training[:40]])
        advice = f"training has the ids {known} only; {advice}"
    elif rule.name == "class_imbalance":
        advice = f"{training[0].name!a} has {training[0].boxes} boxes; {advice}"
    return Finding(rule.name, rule.severity, row.split, "categories", row.index, None, value, advice)


def _key(check: Check) -> str:
    if check.column == "name_copies":
        return "file_name" if check.table == "images" else "name"
    return _KEYS.get(check.column, "bbox")


def _advice(rule: Rule, check: Check, split: SplitData, index: int) -> str:
    if check.column in ("id_copies", "name_copies", "copies"):
        first = f"{check.table}[{split.first_twin(check.table, check.column, index)}]"
        what = "it is a copy of" if check.column == "copies" else f"{_key(check)} is that of"
        return f"{what} {first} already; {rule.advice}"
    if rule.name == "category_id_unknown":
        return f"the ids are {split.known_categories}; {rule.advice}"
    if rule.name == "box_outside_image":
        width, height = split.size_of_box(index)
        return f"the image has {width:.0f} x {height:.0f} pixels; {rule.advice}"
    return rule.advice


def _file(split: SplitData, table: str, index: int) -> Any:
    if table == "categories":
        return None
    name = split.file_of_box(index) if table == "annotations" else file_of(split.document[table][index])
    return None if name is None else json_safe(name[:300])
