"""Great Expectations: the engine that holds the tables against the rules, and its own result and Data Docs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boxwright.dataset.validation.checks import ClassCheck, Expectation, RecordCheck
from boxwright.dataset.validation.rules import Rule
from boxwright.postgresql import load_psycopg2
from boxwright.quiet import quiet_import, quieten_loggers
from boxwright.storage import write_json

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

RESULT_FILE = "great_expectations.json"
DOCS_FOLDER = "data_docs"
# Great Expectations' own words for how bad a failure is.
_SEVERITIES = {"error": "critical", "warning": "warning"}
_ROWS = ("unexpected_list", "unexpected_index_list")
_KEY = "check"
_SITE = "boxwright"

Failures = dict[tuple[str, Expectation], NDArray[np.int64]]


def expectations_of(rule: Rule) -> list[Expectation]:
    """The checks of a rule that Great Expectations makes."""
    return [*rule.of_kind(RecordCheck), *rule.of_kind(ClassCheck)]


def run_expectations(tables: Mapping[str, pd.DataFrame], rules: Mapping[str, Rule], out_dir: Path | None) -> Failures:
    """Holds each table against the rules that have a check on it.

    Args:
        tables: by name; a column for each rule that asks something of it, rows numbered from 0.
        rules: those of the run.
        out_dir: receives `great_expectations.json` and the site `data_docs/`; None for neither. What is kept there has
            the first 20 failures of each expectation, so that it stays small; the caller gets all of them.

    Returns:
        For each rule and check, the rows that fail it.
    """
    gx = great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("dataset")
    failures: Failures = {}
    results: dict[str, Any] = {}
    for name, table in tables.items():
        checks = {
            f"{name}-{rule.name}": (rule, check)
            for rule in rules.values()
            for check in expectations_of(rule)
            if check.table == name
        }
        if table.empty or not checks:
            continue
        suite = gx.ExpectationSuite(
            name=name, expectations=[_expectation(gx, key, rule, check) for key, (rule, check) in checks.items()]
        )
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        complete = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
        result = batch.get_batch({"dataframe": table}).validate(suite, result_format=complete)
        for outcome in result.results:
            rule, check = checks[outcome.expectation_config.meta[_KEY]]
            failures[rule.name, check] = _failed_rows(outcome, rule)
        results[name] = result
    if out_dir is not None:
        write_json(out_dir / RESULT_FILE, {name: result.to_json_dict() for name, result in results.items()})
        _write_docs(context, results, out_dir / DOCS_FOLDER)
    return failures


def _expectation(gx: Any, key: str, rule: Rule, check: Expectation) -> Any:
    limit = check.limit if rule.threshold is None else rule.threshold
    at_least = {"min_value": limit, "strict_min": check.bound == "above"}
    bounds = {"max_value": limit} if check.bound == "max" else at_least
    return gx.expectations.ExpectColumnValuesToBeBetween(
        column=rule.name,
        **bounds,
        description=f"{rule.name}: {rule.description}",
        severity=_SEVERITIES[rule.severity],
        meta={_KEY: key},
    )


def _failed_rows(outcome: Any, rule: Rule) -> NDArray[np.int64]:
    """The rows that failed; they are taken out of the result, which would be as large as the dataset."""
    if "unexpected_index_list" not in outcome.result:
        raise RuntimeError(f"Great Expectations did not evaluate {rule.name}: {outcome.exception_info}")
    rows = np.array(outcome.result["unexpected_index_list"] or [], np.int64)
    for name in _ROWS:
        outcome.result.pop(name, None)
    return rows


def _write_docs(context: Any, results: Mapping[str, Any], folder: Path) -> None:
    """Builds the Data Docs site, without anything that a browser would fetch from elsewhere."""
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    run = RunIdentifier(run_name="validation", run_time=datetime.now(UTC))
    for name, result in results.items():
        key = ValidationResultIdentifier(ExpectationSuiteIdentifier(name), run, f"dataset-{name}")
        context.validation_results_store.set(key, result)
    shutil.rmtree(folder, ignore_errors=True)
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "show_cta_footer": False},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
    }
    context.add_data_docs_site(_SITE, site)
    context.build_data_docs(site_names=[_SITE])
    for page in (*folder.rglob("*.html"), *folder.rglob("*.css")):
        page.write_text(_without_remote(page.read_text(encoding="utf-8")), encoding="utf-8")
    for tutorial in folder.rglob("*.gif"):
        tutorial.unlink()


def _without_remote(page: str) -> str:
    """A page or style sheet without scripts, styles and pictures of other servers."""
    page = re.sub(r"url\([\"']?(?:https?:)?//[^)]*\)", "none", page)
    page = re.sub(r"<script\b[^>]*\bsrc=[\"']?(?:https?:)?//[^>]*>\s*</script>", "", page, flags=re.IGNORECASE)
    return re.sub(r"<(?:link|img)\b[^>]*[\"'](?:https?:)?//[^>]*>", "", page, flags=re.IGNORECASE)


def great_expectations() -> Any:
    """The library, told before its import that it must not report its use to its makers."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    load_psycopg2()  # before Great Expectations does, after which no TLS connection beside TensorFlow would be safe
    with quiet_import():
        import great_expectations

    # Its import sets both to INFO, whatever was there before.
    quieten_loggers(("great_expectations", "great_expectations.data_context.types.base"))
    return great_expectations
