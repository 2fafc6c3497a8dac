"""The settings of a run that takes a minute, whatever its model is worth: for what measures a stack, and no model."""

from __future__ import annotations

from typing import Any

QUICK: dict[str, Any] = {
    "output": "s3://boxwright/runs",
    "model_id": "tiny",
    "image_size": 64,
    "epochs": 2,
    "augmentation": "none",
    "gate_min_ap50": 0,
    "gate_classes_told_apart": False,
    "export_formats": ["saved_model"],
    "force": True,
}
