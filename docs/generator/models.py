"""The page of the models, from their catalogue."""

from __future__ import annotations

from boxwright.model import MODELS, ModelSpec
from docs.generator.markdown import code, page, table

_INTRO = """
`boxwright models` lists them at a terminal, and whether their weights are there. `--set model_id=...` chooses one; own
defaults replace those of [the settings](settings.md). COCO AP is what the publisher states of the published weights, in
percent; [the managed models](../models.md) has what was measured here.
"""
_HEADER = ("model id", "family", "input", "parameters", "COCO AP", "starts from", "own defaults")


def models_page() -> str:
    """Every model id: family, input size, parameters, published accuracy, weights and defaults."""
    return page("Models", _INTRO, table(_HEADER, [_row(spec) for spec in MODELS.values()]))


def _row(spec: ModelSpec) -> tuple[str, ...]:
    parameters = f"{spec.parameters:,}" if spec.parameters else ""
    defaults = ", ".join(code(f"{name}={value}") for name, value in spec.defaults.items())
    size = f"{spec.image_size}, a multiple of {spec.size_step}"
    return code(spec.model_id), code(spec.family), size, parameters, f"{spec.coco_ap or ''}", _weights(spec), defaults


def _weights(spec: ModelSpec) -> str:
    if spec.weights is None:
        return "random weights"
    place = {"package": "an installed package", "store": "the weights store"}[spec.weights.source]
    return f"{spec.weights.trained_on} ({spec.weights.covers}): {code(spec.weights.name)} in {place}"
