"""The steps of a run by name: nodes of the pipeline, and tasks of the Airflow DAG."""

from __future__ import annotations

# One of the two runs.
SEED_NODES = ("fetch_pretrained", "resolve_parent")
# Runs instead of both and of all that follows, where a finished run has made the same model.
REUSE_NODE = "reuse_version"
NODES = (
    "validate_annotations",
    "download_dataset",
    "build_examples",
    *SEED_NODES,
    REUSE_NODE,
    "fine_tune",
    "evaluate",
    "export_label_map",
    "package_model",
    "quality_gate",
    "register_model",
)
