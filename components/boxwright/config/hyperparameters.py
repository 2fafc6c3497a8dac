"""The hyperparameters of fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from boxwright.config.fields import Fraction, Positive, Switch, UserSettings

Optimizer = Literal["adam", "sgd", "nesterov", "rmsprop", "adagrad", "adadelta"]
# The settings that each optimizer uses; all others are without effect with it.
OPTIMIZER_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "adam": ("beta_1", "beta_2", "epsilon"),
    "sgd": ("momentum",),
    "nesterov": ("momentum",),
    "rmsprop": ("rho", "epsilon"),
    "adagrad": ("initial_accumulator_value", "epsilon"),
    "adadelta": ("rho", "epsilon"),
}


Suppression = Literal["per_class", "agnostic", "soft"]
Resize = Literal["stretch", "letterbox"]


# Boxes that a model finds in an image at most, of all classes together.
MAX_DETECTIONS = 100
SMALLEST_TILE = 32
# With more, most of an image would be looked at more than four times.
LARGEST_OVERLAP = 0.5


def _tile(value: int | None) -> int | None:
    if value is not None and 0 < value < SMALLEST_TILE:
        raise ValueError(f"expected at least {SMALLEST_TILE} pixels, or 0 for no tiles")
    return value


class Hyperparameters(UserSettings):
    """Settings of fine-tuning.

    The first 15 carry the names, ranges and defaults of the managed algorithm. A model id may bring better
    defaults of its own (`boxwright models`); what a user sets always wins.
    """

    batch_size: Positive = Field(3, description="Images per training step.")
    beta_1: Fraction = Field(0.9, description="Decay rate of Adam's first moment.")
    beta_2: Fraction = Field(0.999, description="Decay rate of Adam's second moment.")
    early_stopping: bool = Field(False, description="Stop training when early_stopping_metric no longer improves.")
    early_stopping_min_delta: Fraction = Field(
        0.0, description="Minimum change of early_stopping_metric that counts as an improvement."
    )
    early_stopping_patience: Positive = Field(
        5, description="Number of epochs without improvement before training stops."
    )
    epochs: Positive = Field(5, description="Passes over the training images.")
    epsilon: Fraction = Field(
        1e-7, description="Constant for numerical stability in adam, rmsprop, adadelta and adagrad."
    )
    initial_accumulator_value: Fraction = Field(0.1, description="Initial value of Adagrad's accumulators.")
    learning_rate: Fraction = Field(0.001, description="Peak learning rate, reached at the end of the warm-up.")
    momentum: Fraction = Field(0.9, description="Momentum of sgd and nesterov.")
    optimizer: Optimizer = Field("adam", description="Optimization algorithm.")
    reinitialize_top_layer: Switch = Field(
        "Auto",
        description="Start with a fresh classification layer. Auto: yes with pretrained weights, no in "
        "incremental training.",
    )
    rho: Fraction = Field(0.95, description="Decay rate of adadelta and rmsprop.")
    train_only_on_top_layer: bool = Field(False, description="Train only the final prediction layers.")

    seed: int = Field(0, ge=0, description="Random seed of the run.")
    seeds: int = Field(
        1,
        ge=1,
        le=20,
        description="Number of trainings, with consecutive seeds from seed on; the best by validation is kept, and "
        "the spread of all is reported. Takes that many times as long.",
    )
    image_size: int | None = Field(
        None,
        ge=64,
        le=2048,
        multiple_of=32,
        description="Height and width of the model's input in pixels; if unset, the model's own.",
    )
    backbone_learning_rate_multiplier: Fraction = Field(
        1.0,
        description="Learning rate of the pretrained image encoder as a share of learning_rate; 0 freezes the "
        "encoder. Always 1 if training starts from random weights.",
    )
    learning_rate_schedule: Literal["cosine", "constant"] = Field(
        "cosine",
        description="Course of the learning rate after the warm-up. cosine: it falls to a hundredth of its "
        "peak; constant: it stays there.",
    )
    warmup_epochs: float = Field(
        1.0, ge=0, description="Number of epochs in which the learning rate rises from zero to its peak."
    )
    weight_decay: Fraction = Field(
        0.0, description="Decoupled weight decay of kernels; biases and normalization layers have none."
    )
    gradient_clip_norm: float = Field(
        1.0, ge=0, description="Maximum global norm of a step's gradient; 0 for no limit."
    )
    augmentation: Literal["none", "flip", "standard"] = Field(
        "standard",
        description="Random changes of the training images. flip: horizontal flips; standard: flips, scale jitter "
        "with cropping, and colour jitter; horizontal_flip takes the flips out.",
    )
    resize: Literal["Auto", "stretch", "letterbox"] = Field(
        "Auto",
        description="Fitting of an image to the model's square input; kept with the model. stretch: over the whole "
        "square; letterbox: in its own shape, with a plain border. Auto: as in the earlier model that training starts "
        "from, else the model's own.",
    )
    tile_size: Annotated[int | None, Field(ge=0, le=100_000), AfterValidator(_tile)] = Field(
        None,
        description="Height and width in pixels of the tiles that images are cut into, for objects that are too small "
        "at the model's input; the model looks at the tiles and at the whole. Kept with the model; 0 for no tiles; if "
        "unset, as in the earlier model that training starts from, else none.",
    )
    tile_overlap: Annotated[float | None, Field(ge=0, le=LARGEST_OVERLAP)] = Field(
        None,
        description="Minimum share of a tile that it has in common with the next; an object of at most that size is "
        "whole in one of them. If unset, as in that earlier model, else 0.2.",
    )
    nms: Suppression = Field(
        "per_class",
        description="Suppression of overlapping boxes, kept with the model. per_class: within each class, so that a "
        "place may have several names; agnostic: the best name of a place alone; soft: as per_class, but overlapping "
        "boxes lose score instead.",
    )
    horizontal_flip: Switch = Field(
        "Auto",
        description="Mirror half of the training images, where augmentation is not none. Auto: yes, but with "
        "augmentation=standard only if no class name speaks against it: one that says a side, is a letter or a digit, "
        "or differs from another by a number.",
    )
    repeat_threshold: Fraction = Field(
        0.0,
        description="Share of the training images below which a class is rare: images with rare classes are shown more "
        "often, by the square root of the ratio (LVIS's repeat-factor sampling); 0 shows all alike.",
    )
    freeze_batch_norm: Switch = Field(
        "Auto",
        description="Keep the statistics of batch normalization fixed. Auto: yes, unless training starts from "
        "random weights.",
    )
    mixed_precision: Switch = Field(
        "Auto", description="Compute in half precision. Auto: on GPUs only, in float16; True on a CPU uses bfloat16."
    )
    jit_compile: Switch = Field("Auto", description="Compile the training step with XLA. Auto: on GPUs only.")
    early_stopping_metric: Literal["val_loss", "AP"] = Field(
        "val_loss", description="Metric that decides which epoch is best: loss or AP of the validation images."
    )
    final_weights: Literal["Auto", "last", "best"] = Field(
        "Auto", description="Epoch whose weights the run keeps. Auto: the best with early stopping, else the last."
    )
    validation_ap_epochs: int = Field(
        5,
        ge=0,
        description="Number of epochs between two measurements of the validation AP; the last epoch is measured "
        "too; 0 for no measurement.",
    )
    validation_split: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="Share of the training images held out for validation if no validation dataset is given."
    )
