"""The text for a person who decides about a model: the candidate's metrics beside the champion's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boxwright.config import CHAMPION, RunConfig, RunInfo
from boxwright.evaluation import PREDICTIONS_PICTURE, EvaluationSummary
from boxwright.packaging import output_uri
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Version

# The metrics that a model is chosen by; its report has all.
_DECIDING = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "precision", "recall", "F1")


def question(config: RunConfig, run: RunInfo, evaluation_dir: Path) -> str:
    """Markdown with a table of metrics and links.

    Args:
        config: the run's configuration.
        run: whose model it is.
        evaluation_dir: folder of `evaluate`.
    """
    measured = EvaluationSummary.read(evaluation_dir)
    registry = open_registry()
    champion = registry.named(config.model_name, CHAMPION)
    links = [f"[run in Airflow]({run.url})"] if run.url else []
    if champion and (page := registry.version_page(champion)):
        links.append(f"[champion in MLflow]({page})")
    picture = output_uri(config, run.run_id, PREDICTIONS_PICTURE)
    return "\n".join(
        [
            " · ".join([f"Model `{config.model_id}`, measured on the {measured.split} images", *links]),
            "",
            *metric_table(measured.metrics, champion),
            "",
            f"Predictions on {measured.split} images: `{picture}`",
        ]
    ).strip()


def metric_table(candidate: Mapping[str, float | None], champion: Version | None) -> list[str]:
    """The lines of a Markdown table, a metric a line: those that decide, so that the buttons below stay in sight."""
    theirs = champion.metrics if champion else {}
    title = f"champion (version {champion.version})" if champion else "champion (none yet)"
    rows = [f"| metric | candidate | {title} | difference |", "| --- | ---: | ---: | ---: |"]
    for name in _DECIDING:
        if name not in candidate:
            continue
        value = candidate[name]
        other = theirs.get(name)
        change = f"{value - other:+.4g}" if value is not None and other is not None else ""
        rows.append(f"| {name} | {_shown(value)} | {_shown(other)} | {change} |")
    return rows


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}"
