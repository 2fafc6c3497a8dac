"""The page of the rules that a dataset has to keep."""

from __future__ import annotations

from boxwright.dataset.validation import RULES, Rule
from docs.generator.markdown import code, page, table

_INTRO = """
`boxwright rules` lists them at a terminal. A rule that is an error ends the run, unless
`validation_on_invalid=drop`; a warning does not. `--set validation_severities=RULE=off` (or `error`, `warning`) changes
one, `--set SETTING=VALUE` a threshold. See [the dataset](../dataset.md#validation).
"""


def rules_page() -> str:
    """Every rule by what it looks at: severity, threshold, what holds, what to do."""
    scopes = dict.fromkeys(rule.scope for rule in RULES.values())
    parts = [_INTRO]
    for scope in scopes:
        rows = [_row(rule) for rule in RULES.values() if rule.scope == scope]
        parts += [f"## {scope.capitalize()}", table(("rule", "severity", "threshold", "what holds", "advice"), rows)]
    return page("Rules of validation", *parts)


def _row(rule: Rule) -> tuple[str, ...]:
    threshold = "" if rule.threshold is None else f"{rule.threshold:g} ({code(f'validation_{rule.setting}')})"
    return code(rule.name), rule.severity, threshold, rule.description, rule.advice
