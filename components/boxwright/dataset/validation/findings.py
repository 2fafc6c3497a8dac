"""The report of a validation: every bad record, the outcome of each rule, and the dropped records."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from boxwright.dataset.validation.rules import Rule
from boxwright.errors import DataError, shorten
from boxwright.storage import write_json

REPORT_FILE = "validation_report.json"
SHOWN = 10
_LONGEST_NAME = 300


@dataclass(frozen=True, slots=True)
class Finding:
    """One record that breaks one rule.

    Attributes:
        rule: name of the rule, a key of `boxwright.dataset.validation.rules.RULES`.
        severity: "error" or "warning".
        split: "training", "validation" or "test".
        list: list of the annotations file ("images", "annotations", "categories"), or "file" for the whole.
        index: position in that list; None for the whole file.
        file: file name of the image it belongs to, where there is one.
        value: what was found, as JSON can hold it.
        advice: what was expected and what to do.
    """

    rule: str
    severity: str
    split: str
    list: str
    index: int | None
    file: str | None
    value: Any
    advice: str

    def __str__(self) -> str:
        place = self.list if self.index is None else f"{self.list}[{self.index}]"
        of_image = f" of {shorten(self.file, 260)}" if self.file else ""
        return f"{self.split}: {place}{of_image}: {self.rule}, got {shorten(self.value)}; {self.advice}"


@dataclass(frozen=True, slots=True)
class Dropped:
    """One record that was left out; `reason` has the rules it broke, or the record that took it along."""

    split: str
    list: str
    index: int
    file: str | None
    reason: str


@dataclass
class RuleOutcome:
    """The outcome of one rule over all splits: records checked, and records that broke it."""

    severity: str
    threshold: float | None
    checked: int = 0
    failed: int = 0


@dataclass
class Report:
    """Collects findings; rules that are off are not collected.

    Attributes:
        settings: the validation settings of the run.
        fingerprint: of the dataset; None until its images were read.
        splits: facts of each split: `annotations` (URI), `images`, `boxes`, `files_in_images`, `unused_files`,
            `images_without_boxes`, `images_checked` (those that were opened), `bbox_format` (as it was read), `classes`
            (boxes by class name).
        rules: outcome of each rule that is on.
        findings: in the order they were found.
        dropped: the records left out.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, RuleOutcome] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)

    @classmethod
    def start(cls, rules: Mapping[str, Rule], settings: Mapping[str, Any]) -> Report:
        """An empty report over `rules`, as `boxwright.dataset.validation.rules.rules_of` gives them for a run."""
        return cls(
            settings=dict(settings),
            rules={name: RuleOutcome(rule.severity, rule.threshold) for name, rule in rules.items()},
        )

    def add(self, finding: Finding) -> None:
        """Takes a finding up, unless its rule is off."""
        if outcome := self.rules.get(finding.rule):
            outcome.failed += 1
            self.findings.append(replace(finding, severity=outcome.severity, value=json_safe(finding.value)))

    def checked(self, rule: str, split: str, count: int) -> None:
        """Counts records of `split` that `rule` looked at, broken or not."""
        if outcome := self.rules.get(rule):
            outcome.checked += count

    def drop(self, records: Iterable[Dropped]) -> None:
        """Notes records as left out; a record is noted once."""
        known = self.dropped_keys
        for record in records:
            if (key := (record.split, record.list, record.index)) not in known:
                known.add(key)
                self.dropped.append(record)

    @property
    def dropped_keys(self) -> set[tuple[str, str, int]]:
        """(split, list, index) of every record left out."""
        return {(record.split, record.list, record.index) for record in self.dropped}

    @property
    def errors(self) -> list[Finding]:
        """The findings that stop a run: errors whose record was not dropped."""
        gone = self.dropped_keys
        return [
            found
            for found in self.findings
            if found.severity == "error" and (found.index is None or (found.split, found.list, found.index) not in gone)
        ]

    @property
    def warnings(self) -> list[Finding]:
        """The findings that a run goes on with."""
        return [found for found in self.findings if found.severity == "warning"]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return {
            "ok": not self.errors,
            "fingerprint": self.fingerprint,
            "settings": self.settings,
            "splits": self.splits,
            "rules": {name: asdict(outcome) for name, outcome in self.rules.items()},
            "findings": [_plain(found) for found in self.findings],
            "dropped": [_plain(record) for record in self.dropped],
        }

    def write(self, path: Path) -> None:
        """Writes the report, atomically."""
        write_json(path, self.to_dict())

    @classmethod
    def read(cls, path: Path) -> Report:
        """Reads what `write` wrote.

        Raises:
            DataError: there is no report, or it is not one.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path}: expected a validation report ({type(error).__name__}); run validate_annotations"
            ) from error
        return cls.parse(data, str(path))

    @classmethod
    def parse(cls, data: bytes, name: str) -> Report:
        """Reads the content of a report's file.

        Args:
            data: the content.
            name: what to call the file in the error.

        Raises:
            DataError: it is not a report.
        """
        try:
            # Not by pydantic's own JSON reader, which takes no half surrogate pair; a class may be named so.
            content = json.loads(data)
            if isinstance(content, dict) and (missing := _NEEDED - content.keys()):
                raise DataError(
                    f"{name}: expected a validation report, {', '.join(sorted(missing))} missing; run "
                    "validate_annotations"
                )
            return _REPORT.validate_python(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            problem = f"{shorten('.'.join(str(part) for part in first['loc']))}: {first['msg']}"
        except (ValueError, RecursionError) as error:
            problem = f"it is no JSON ({type(error).__name__})"
        raise DataError(f"{name}: expected a validation report: {problem}; run validate_annotations")

    def raise_if_errors(self, path: Path | None) -> None:
        """Ends the step where there are errors.

        Args:
            path: where the whole report is, for the message; None where it was not written.

        Raises:
            DataError: one line with ten of the errors, and their count.
        """
        if found := self.errors:
            shown = " | ".join(str(finding) for finding in foremost(found, SHOWN))
            more = f" | and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            records = f"{len(found)} bad record{'s' * (len(found) != 1)}"
            where = f" (all of them in {path})" if path else ""
            raise DataError(f"dataset: {records}: {shown}{more}{where}")


def foremost(findings: Sequence[Finding], count: int) -> list[Finding]:
    """So many findings, errors before warnings, so that a rule that thousands of records break hides no other one.

    Of each rule the first finding comes before the second of any. The order is that in which they were found.
    """
    seen: Counter[str] = Counter()
    ranks = []
    for place, found in enumerate(findings):
        ranks.append((found.severity != "error", seen[found.rule], place))
        seen[found.rule] += 1
    chosen = sorted(ranks)[:count]
    return [findings[place] for _, _, place in sorted(chosen, key=lambda rank: (rank[0], rank[2]))]


# What a file may lack has its default.
_NEEDED = {"splits", "findings"}
_REPORT = TypeAdapter(Report)


def _plain(record: Finding | Dropped) -> dict[str, Any]:
    # `asdict` copies deeply, which is slow for as many findings as a broken set may have.
    return {name: getattr(record, name) for name in record.__slots__}


def json_safe(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinity become text, as does whatever is large."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str) and len(value) <= _LONGEST_NAME and value.isprintable():
        return value
    if isinstance(value, list) and len(value) <= 16:
        return [json_safe(item) if not isinstance(item, list | dict) else shorten(item, 200) for item in value]
    if isinstance(value, dict) and len(value) <= 16:
        return {shorten_key(key): _flat(item) for key, item in value.items()}
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return shorten_integer(value)
    return value if isinstance(value, int | float | None) else shorten(value, 200)


def _flat(value: Any) -> Any:
    return shorten(value, 200) if isinstance(value, dict) else json_safe(value)


def shorten_key(key: object) -> str:
    """A JSON object's key as printable text of bounded length."""
    text = str(key)
    return text if len(text) <= 80 and text.isprintable() else shorten(text)


def shorten_integer(value: int) -> str:
    """An integer that is too large to print, by its size."""
    return f"an integer of {value.bit_length()} bits"
