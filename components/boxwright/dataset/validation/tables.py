"""The tables that Great Expectations holds against the rules: one row a record or class, one column a rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from boxwright.dataset.annotations import Numbers
from boxwright.dataset.validation.checks import ClassCheck, RecordCheck
from boxwright.dataset.validation.classes import ClassRow
from boxwright.dataset.validation.record_measures import Records
from boxwright.dataset.validation.rules import Rule

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]


def record_table(records: Records, rules: Mapping[str, Rule]) -> pd.DataFrame:
    """The table of one list of one split: a column, named after it, for each rule that has a check on that list."""
    import pandas as pd

    columns = {
        rule.name: _column(records, rule, check)
        for rule in rules.values()
        for check in rule.of_kind(RecordCheck)
        if check.table == records.table
    }
    return pd.DataFrame(columns, index=range(len(records)))


def class_table(rows: Sequence[ClassRow], rules: Mapping[str, Rule]) -> pd.DataFrame:
    """The table of classes: a column, named after it, for each rule that has a check on classes."""
    import pandas as pd

    columns = {
        rule.name: np.array([check.measure(row) for row in rows], np.float64)
        for rule in rules.values()
        for check in rule.of_kind(ClassCheck)
    }
    return pd.DataFrame(columns, index=range(len(rows)))


def _column(records: Records, rule: Rule, check: RecordCheck) -> Numbers:
    column = np.array(check.measure(records) if check.measure else np.zeros(len(records)), np.float64)
    # On the wrong side of the bound, as the record could not even be read.
    failing = max(1.0, check.limit + 1) if check.bound == "max" else min(0.0, check.limit - 1)
    for index, problem in records.split.malformed(records.table).items():
        if problem.rule == rule.name:
            column[index] = failing
    return column
