"""Makes findings of what broke a rule: where it stands, which value, and what to do."""

from __future__ import annotations

from typing import Any

from boxwright.dataset.validation.checks import ClassCheck, Found, RecordCheck
from boxwright.dataset.validation.classes import ClassRow
from boxwright.dataset.validation.findings import Finding, json_safe
from boxwright.dataset.validation.record_measures import Records
from boxwright.dataset.validation.rules import Rule


def file_finding(rule: Rule, split: str, found: Found) -> Finding:
    """The finding of a rule about a file, or a list of it, as a whole."""
    advice = rule.advise(found.context)
    return Finding(rule.name, rule.severity, split, found.list, found.index, None, found.value, advice)


def record_finding(rule: Rule, check: RecordCheck, records: Records, index: int) -> Finding:
    """The finding for the record at `index` of a list."""
    split, table = records.split, records.table
    problem = split.malformed(table).get(index)
    if problem is not None and problem.rule == rule.name:
        value, advice = problem.value, problem.advice
    else:
        value = _value(split.document[table][index], check.key)
        advice = rule.advise(check.context(records, index) if check.context else None)
    name = split.file_of_record(table, index)
    file = None if name is None else json_safe(name[:300])
    return Finding(rule.name, rule.severity, split.name, table, index, file, value, advice)


def class_finding(rule: Rule, check: ClassCheck, row: ClassRow, training: list[ClassRow]) -> Finding:
    """The finding for a class.

    Args:
        rule: that it breaks.
        check: the one of the rule.
        row: the class.
        training: the classes of training, the most frequent one first.
    """
    value = {"id": row.category_id, "name": row.name, "boxes": row.boxes}
    advice = rule.advise(check.context(row, training) if check.context else None)
    return Finding(rule.name, rule.severity, row.split, "categories", row.index, None, value, advice)


def _value(record: Any, key: str | None) -> Any:
    """The part of a record that a finding shows: the value at `key`, or the whole record without one."""
    return record[key] if key is not None and isinstance(record, dict) and key in record else record
