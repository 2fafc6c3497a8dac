"""The models and their defaults, as Python code asks for them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from boxwright.api.arguments import name_of
from boxwright.config import RunConfig, parse_config
from boxwright.errors import BoxwrightError
from boxwright.model import MODELS, ModelSpec, hyperparameters_of
from boxwright.model.weights import weights_ready


def models(weights_uri: str | None = None) -> list[dict[str, Any]]:
    """The models of the catalogue.

    Args:
        weights_uri: store of published weights: folder or s3:// prefix; that of the environment if unset.

    Returns:
        For each `model_id`, `family`, `image_size` (input, in pixels), `parameters`, `coco_ap` as published, `defaults`
        (hyperparameters of its own), and `weights`: what they were trained on and cover, and whether they are `there`;
        None where the store does not answer.
    """
    store = name_of(weights_uri, "weights_uri")
    return [_described(spec, store) for spec in MODELS.values()]


def hyperparameters(model_id: str = RunConfig.model_fields["model_id"].default) -> dict[str, Any]:
    """The hyperparameters of a model by name, each with the value that it has where a run sets none.

    Raises:
        UsageError: there is no such model; the message lists them.
    """
    config = parse_config({"training": "unused", "output": "unused", "model_id": model_id})
    return hyperparameters_of(config).model_dump()


def _described(spec: ModelSpec, weights_uri: str | None) -> dict[str, Any]:
    shown = ("model_id", "family", "image_size", "parameters", "coco_ap", "defaults")
    weights = None
    if spec.weights is not None:
        weights = asdict(spec.weights) | {
            "is_imported": spec.weights.is_imported,
            "there": _there(spec, weights_uri),
        }
    return {name: getattr(spec, name) for name in shown} | {"weights": weights}


def _there(spec: ModelSpec, weights_uri: str | None) -> bool | None:
    """None where the weights store does not answer."""
    try:
        return weights_ready(spec, weights_uri)
    except BoxwrightError:
        return None
