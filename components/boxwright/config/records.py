"""What people decide, as records: one source for the command line, Airflow's trigger form and the docs."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from boxwright.errors import UsageError

Optimizer = Literal["adam", "sgd", "nesterov", "rmsprop", "adagrad", "adadelta"]
Severity = Literal["error", "warning", "off"]
SeedMode = Literal["auto", "pretrained", "incremental"]
SEED_MODES: tuple[str, ...] = get_args(SeedMode)
ANNOTATIONS_FILE = "annotations.json"
SPLITS = ("training", "validation", "test")

Model = TypeVar("Model", bound=BaseModel)

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]


# The managed algorithm writes three-valued switches as strings; typed values are taken as well.
def _switch(value: Any) -> Any:
    return str(value).capitalize() if isinstance(value, bool | str) else value


Switch = Annotated[Literal["Auto", "True", "False"], BeforeValidator(_switch)]


def _pairs(value: Any) -> Any:
    """`a=off,b=error`, as a command line gives it, as the object that it stands for; JSON is taken as well."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        with suppress(ValueError):
            return json.loads(value)
    pairs = (pair.partition("=") for pair in value.split(",") if pair.strip())
    return {name.strip(): severity.strip() for name, _, severity in pairs}


def _off(value: Any) -> Any:
    """`off`, as a command line says it, for "not set"."""
    return None if value == "off" else value


class Frozen(BaseModel):
    """A record that cannot change and that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


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


class Gate(Frozen):
    """What a model must reach to be registered."""

    min_ap50: Fraction = Field(0.05, description="Least AP50 on the evaluation images: it must detect something.")
    min_ap: Fraction = Field(0.0, description="Least AP (mean over IoU 0.50 to 0.95) on the evaluation images.")
    min_ap50_per_class: Annotated[dict[str, Fraction], BeforeValidator(_pairs)] = Field(
        {}, description='Least AP50 of single classes, as {"bolt": 0.4, "nut": 0.3}.'
    )
    must_beat_champion: Annotated[float | None, Field(ge=-1, le=1), BeforeValidator(_off)] = Field(
        None,
        description="Least AP above that of the champion on the same images, such as 0.01, or -0.02 to let a model "
        "pass that is hardly worse; off if unset.",
    )
    max_latency_ms: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Most milliseconds an image at batch 1 on the machine that evaluates."
    )
    on_failure: Literal["leave", "reject"] = Field(
        "leave", description="leave: a model that fails is not registered; reject: it is, as a rejected version."
    )


class EvaluationConfig(Frozen):
    """What is measured beside COCO's metrics, and what the report shows."""

    voc: bool = Field(False, description="Measure AP50 as Pascal VOC defines it, too.")
    gallery_images: int = Field(12, ge=0, le=200, description="Images of the report's random sample.")
    worst_images: int = Field(24, ge=0, le=200, description="Images with most errors that the report shows.")


class ValidationConfig(Frozen):
    """How strict validation is. `boxwright rules` lists the rules with their severities and thresholds."""

    bbox_format: Literal["corners", "coco", "auto"] = Field(
        "corners",
        description="corners: [xmin, ymin, xmax, ymax]; coco: [x, y, width, height]; auto: the one that is possible.",
    )
    on_invalid: Literal["fail", "drop"] = Field(
        "fail", description="fail: any error ends the run; drop: go on without the records that have errors."
    )
    max_drop_share: Fraction = Field(0.1, description="Largest share of a split's images or boxes to drop.")
    box_tolerance: float = Field(1.0, ge=0, description="Pixels that a box may reach over its image's edge.")
    small_box_pixels: float = Field(4.0, ge=0, description="Least side of a box in pixels at the model's input size.")
    large_box_share: Fraction = Field(0.95, description="Largest share of its image that a box covers.")
    max_megapixels: float = Field(80.0, gt=0, description="Largest image, in million pixels.")
    min_boxes_per_class: int = Field(1, ge=0, description="Least boxes of a class in training.")
    max_imbalance: float = Field(100.0, ge=1, description="Largest ratio of two classes' boxes in training.")
    format_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="Share of impossible boxes from which another format is looked for."
    )
    severities: Annotated[dict[str, Severity], BeforeValidator(_pairs)] = Field(
        {}, description='Severity of a rule, as {"box_duplicate": "warning"}: error, warning or off.'
    )


class StorageConfig(Frozen):
    """How S3 is reached, beside boto3's standard chain (`AWS_*`, profiles, instance roles). Nothing here is secret."""

    connection: str | None = Field(
        None, description="Airflow connection (type aws) that has the credentials; the worker's own if unset."
    )
    endpoint_url: str | None = Field(
        None, pattern=r"^https?://[^/@\s]+/?$", description="S3 server, as http://host:port; AWS itself if unset."
    )
    region: str | None = Field(None, pattern=r"^[A-Za-z0-9-]+$", description="Region of the buckets.")
    addressing_style: Literal["path", "virtual"] = Field(
        "path", description="path: bucket after the host name; virtual: bucket before it."
    )
    requester_pays: bool = Field(False, description="Pay for requests to buckets that ask their readers to.")
    role_arn: str | None = Field(
        None, pattern=r"^arn:[^\s]+$", description="Role to assume with the credentials, and to keep renewing."
    )


class ServingConfig(Frozen):
    """How a model is served over HTTP."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every network.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 for a free one.")
    max_batch: Positive = Field(8, description="Most images that the model sees at a time, as far as that is faster.")
    max_delay_ms: float = Field(
        10.0, ge=0, description="Longest wait, in milliseconds, of an image for others that are on their way."
    )
    max_queue: Positive = Field(64, description="Most images in the house; above it the answer is 503.")
    max_body_mb: float = Field(10.0, gt=0, description="Largest image, in million bytes as sent.")
    max_megapixels: float = Field(50.0, gt=0, description="Largest image, in million pixels.")
    max_files: Positive = Field(32, description="Most images in one request to /invocations/batch.")
    body_timeout: float = Field(30.0, gt=0, description="Seconds that a client may take to send its request.")
    stop_timeout: Positive = Field(30, description="Seconds that a stop waits for what is under way.")
    follow: bool = Field(False, description="Switch to what the model reference means when that changes.")
    follow_seconds: float = Field(15.0, gt=0, description="Seconds between two looks at the registry.")

    @property
    def max_pixels(self) -> int:
        """Largest image in pixels."""
        return int(self.max_megapixels * 1e6)

    @property
    def max_bytes(self) -> int:
        """Largest image in bytes."""
        return int(self.max_body_mb * 1e6)


class BatchInferenceConfig(Frozen):
    """A prefix of images, the model that looks at them, and where its detections go."""

    images: str = Field(description="Folder or s3:// prefix; every .jpg, .jpeg and .png below it is looked at.")
    output: str = Field(description="Folder or s3:// prefix that receives {run_id}/detections/manifest.json.")
    model: str = Field(
        "models:/detector@champion",
        description="models:/name/3, models:/name@champion, a model.tar.gz, or a folder with what is in one.",
    )
    threshold: Fraction | None = Field(
        None, description="Least score of a detection that is written; the model's own threshold if unset."
    )
    shard_images: Positive = Field(500, description="Images in one shard, which is one task.")


class RunConfig(Frozen):
    """Everything a person decides about one run."""

    training: str = Field(
        description="Folder or s3:// prefix with images/ and the annotations file. This and the other URIs may hold "
        "{data_interval_end:%Y-%m-%d}, {data_interval_start} or {as_of}."
    )
    validation: str | None = Field(None, description="Dataset for validation while training; split off if unset.")
    test: str | None = Field(None, description="Dataset for the final metrics; validation is used if unset.")
    annotations_file: str = Field(
        ANNOTATIONS_FILE, pattern=r"^[^/\\]+\.json$", description="Name of the annotations file in each dataset."
    )
    output: str = Field(description="Folder or s3:// prefix that receives {run_id}/output/model.tar.gz.")
    model_id: str = Field(
        "retinanet-efficientnet-lite0-320", description="Architecture; `boxwright models` lists them."
    )
    model_name: str = Field(
        "detector", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name in the model registry."
    )
    seed_mode: SeedMode = Field(
        "auto", description="Start from pretrained weights, from an earlier run, or from the newest one there is."
    )
    parent: str | None = Field(
        None,
        description="Earlier model to start from: models:/name/3, models:/name@champion or a model.tar.gz; "
        "the newest accepted version of model_name if unset.",
    )
    weights_uri: str | None = Field(
        None, description="Weights store: folder or s3:// prefix with published weights, a folder a model id."
    )
    on_class_change: Literal["fail", "extend"] = Field(
        "fail",
        description="When the parent knows other classes. fail: stop; extend: keep the weights of the classes that "
        "stay, and give fresh ones to those that are new.",
    )
    force: bool = Field(
        False, description="Train even where a finished run had the same dataset, configuration and parent."
    )
    approve: bool = Field(False, description="Ask a person before the model is registered (Airflow only).")
    approve_within_hours: float = Field(
        72.0, gt=0, description="Hours to wait for the answer; silence rejects the model."
    )
    beam_pipeline_args: str | None = Field(
        None,
        description="Arguments of Apache Beam, as --runner=FlinkRunner --flink_master=host:8081, to build examples on "
        "a cluster; processes of the worker build them if unset.",
    )
    hyperparameters: Hyperparameters = Hyperparameters()  # type: ignore[call-arg]
    evaluation: EvaluationConfig = EvaluationConfig()  # type: ignore[call-arg]
    gate: Gate = Gate()  # type: ignore[call-arg]
    # `validation` is the dataset of that name.
    data_validation: ValidationConfig = ValidationConfig()  # type: ignore[call-arg]
    storage: StorageConfig = StorageConfig()  # type: ignore[call-arg]

    @property
    def datasets(self) -> dict[str, str]:
        """URI of each split that was given, in the order of `SPLITS`."""
        return {split: uri for split in SPLITS if (uri := getattr(self, split))}

    def to_json(self) -> str:
        """The settings that were made, so that defaults of the model id still apply after a round trip."""
        return self.model_dump_json(exclude_unset=True)


# The fields of `RunConfig` that are records themselves.
SECTIONS: dict[str, type[Frozen]] = {
    "hyperparameters": Hyperparameters,
    "evaluation": EvaluationConfig,
    "gate": Gate,
    "data_validation": ValidationConfig,
    "storage": StorageConfig,
}
# Sections whose fields carry a prefix where all settings stand in one flat list.
PREFIXES = {"data_validation": "validation_", "evaluation": "evaluation_", "gate": "gate_", "storage": "storage_"}


def flat_names() -> dict[str, tuple[str, str]]:
    """Section and field by the name of each setting in a flat list, as `gate_min_ap`: of `--set` and trigger form."""
    return {
        f"{PREFIXES.get(section, '')}{name}": (section, name)
        for section, model in SECTIONS.items()
        for name in model.model_fields
    }


def parse_config(values: dict[str, Any]) -> RunConfig:
    """Builds a `RunConfig`, turning every mistake into one line that names the field and what is valid.

    `None` stands for "not set" at any depth, as Airflow's trigger form sends it.

    Raises:
        UsageError: naming all unknown or invalid fields.
    """
    return parse_record(RunConfig, values)


def parse_record(model: type[Model], values: dict[str, Any]) -> Model:
    """Builds any of this module's records; see `parse_config`."""
    try:
        return model.model_validate(_without_none(values))
    except ValidationError as error:
        raise UsageError("; ".join(_explain(problem, model) for problem in error.errors())) from None


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _explain(problem: Any, model: type[BaseModel]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        owner: Any = SECTIONS.get(str(problem["loc"][0]), model)
        return f"{name} is unknown; valid are {', '.join(sorted(owner.model_fields))}"
    if problem["type"] == "missing":
        return f"{name} is required: {model.model_fields[name].description}"
    return f"{name}={problem['input']!r}: {problem['msg']}"
