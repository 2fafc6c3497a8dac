"""The hyperparameters of fine-tuning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from boxwright.config.fields import Fraction, Frozen, Positive, Switch

Optimizer = Literal["adam", "sgd", "nesterov", "rmsprop", "adagrad", "adadelta"]


class Hyperparameters(Frozen):
    """How the detector is fine-tuned.

    The first 15 carry the names, ranges and defaults of the managed algorithm. A model id may bring better
    defaults of its own (`boxwright models`); what a user sets always wins.
    """

    batch_size: Positive = Field(3, description="Images per training step.")
    beta_1: Fraction = Field(0.9, description="Adam's first-moment decay.")
    beta_2: Fraction = Field(0.999, description="Adam's second-moment decay.")
    early_stopping: bool = Field(False, description="Stop when early_stopping_metric no longer improves.")
    early_stopping_min_delta: Fraction = Field(0.0, description="A smaller change is no improvement.")
    early_stopping_patience: Positive = Field(5, description="Epochs to go on without improvement.")
    epochs: Positive = Field(5, description="Passes over the training images.")
    epsilon: Fraction = Field(1e-7, description="Numerical constant of adam, rmsprop, adadelta and adagrad.")
    initial_accumulator_value: Fraction = Field(0.1, description="Adagrad's starting accumulator.")
    learning_rate: Fraction = Field(0.001, description="Peak learning rate.")
    momentum: Fraction = Field(0.9, description="Momentum of sgd and nesterov.")
    optimizer: Optimizer = Field("adam", description="The optimizer.")
    reinitialize_top_layer: Switch = Field(
        "Auto",
        description="Fresh classification layer? Auto: yes from pretrained weights, no in incremental training.",
    )
    rho: Fraction = Field(0.95, description="Decay of adadelta and rmsprop.")
    train_only_on_top_layer: bool = Field(False, description="Train the final prediction layers only.")

    seed: int = Field(0, ge=0, description="Seed of every random choice of the run.")
    image_size: int | None = Field(
        None, ge=64, le=2048, multiple_of=32, description="Input height and width in pixels; the model's own if unset."
    )
    backbone_learning_rate_multiplier: Fraction = Field(
        1.0,
        description="Learning rate of the pretrained image encoder as a share of learning_rate; 0 leaves it as it is. "
        "1 where training starts from random weights.",
    )
    learning_rate_schedule: Literal["cosine", "constant"] = Field("cosine", description="After the warm-up.")
    warmup_epochs: float = Field(1.0, ge=0, description="Epochs over which the learning rate rises from zero.")
    weight_decay: Fraction = Field(0.0, description="Decoupled decay of kernels; biases and norms are spared.")
    gradient_clip_norm: float = Field(1.0, ge=0, description="Largest global norm of a step's gradient; 0: any.")
    augmentation: Literal["none", "flip", "standard"] = Field(
        "standard", description="standard: flip, scale jitter and crop, colour."
    )
    freeze_batch_norm: Switch = Field(
        "Auto", description="Keep batch statistics as they are? Auto: yes, unless training starts from random weights."
    )
    mixed_precision: Switch = Field(
        "Auto", description="Compute in half precision? Auto: on GPUs (float16); True on a CPU takes bfloat16."
    )
    jit_compile: Switch = Field("Auto", description="Compile the training step by XLA? Auto: on GPUs.")
    early_stopping_metric: Literal["val_loss", "AP"] = Field(
        "val_loss", description="What decides which epoch is best; AP is of the validation images."
    )
    final_weights: Literal["Auto", "last", "best"] = Field(
        "Auto", description="The epoch whose weights are handed on. Auto: the best with early stopping, else the last."
    )
    validation_ap_epochs: int = Field(
        5, ge=0, description="Epochs between two measurements of the validation AP; the last one has it too; 0: never."
    )
    validation_split: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="Share of the training images held out where no validation dataset is given."
    )
