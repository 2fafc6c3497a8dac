"""The configuration of one run: one source for the command line, Airflow's trigger form and the documentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from boxwright.config.export_formats import ExportConfig
from boxwright.config.fields import Fraction, Frozen, UserSettings, off_is_unset, pairs
from boxwright.config.hyperparameters import Hyperparameters
from boxwright.config.limits import Limit
from boxwright.config.model_reference import MODEL_NAME

Severity = Literal["error", "warning", "off"]
SeedMode = Literal["auto", "pretrained", "incremental"]
ClassChange = Literal["fail", "extend", "keep"]
ANNOTATIONS_FILE = "annotations.json"
SPLITS = ("training", "validation", "test")
# Machines of one training: what few could try, and a slip of the finger would ask for.
MOST_MACHINES = 64


class Gate(UserSettings):
    """Requirements that a model must meet to be registered."""

    min_ap50: Fraction = Field(
        0.05,
        description="Minimum AP50 on the evaluation images; the default only requires that the model detects "
        "something.",
    )
    min_ap: Fraction = Field(0.0, description="Minimum AP (mean over IoU 0.50 to 0.95) on the evaluation images.")
    min_ap50_per_class: Annotated[dict[str, Fraction], BeforeValidator(pairs)] = Field(
        {}, description='Minimum AP50 of single classes, such as {"bolt": 0.4, "nut": 0.3}.'
    )
    classes_told_apart: bool = Field(
        True,
        description="Require that no class is named at random: among the boxes that are placed right, each class must "
        "be told from the others better than by chance, where there are enough boxes to say.",
    )
    must_beat_champion: Annotated[float | None, Field(ge=-1, le=1), BeforeValidator(off_is_unset)] = Field(
        None,
        description="Minimum difference to the champion's AP on the same images, such as 0.01, or -0.02 to accept "
        "a model that is slightly worse; off if unset.",
    )
    max_class_loss: Annotated[Fraction | None, BeforeValidator(off_is_unset)] = Field(
        None,
        description="Maximum loss of AP, for each class that the champion knows, against the champion on the same "
        "images, such as 0.02; off if unset.",
    )
    max_latency_ms: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Maximum latency in milliseconds per image, with batch size 1 on the machine that evaluates."
    )
    max_export_loss: Fraction = Field(
        0.01,
        description="Maximum loss of AP of a format of export_formats on the evaluation images, against the model "
        "itself; export_on_loss says what happens to one that loses more.",
    )
    on_failure: Literal["leave", "reject"] = Field(
        "leave",
        description="Treatment of a model that fails. leave: it is not registered; reject: it is registered as a "
        "rejected version.",
    )


class EvaluationConfig(UserSettings):
    """Settings of the evaluation: metrics beside COCO's, and the size of the report."""

    voc: bool = Field(False, description="Also measure AP50 as Pascal VOC defines it.")
    gallery_images: int = Field(12, ge=0, le=200, description="Number of randomly chosen images in the report.")
    worst_images: int = Field(24, ge=0, le=200, description="Number of images in the report that have the most errors.")


class ValidationConfig(UserSettings):
    """Strictness of data validation. `boxwright rules` lists the rules with their severities and thresholds."""

    bbox_format: Literal["corners", "coco", "auto"] = Field(
        "corners",
        description="Format of the boxes. corners: [xmin, ymin, xmax, ymax]; coco: [x, y, width, height]; auto: "
        "whichever of the two is possible.",
    )
    on_invalid: Literal["fail", "drop"] = Field(
        "fail",
        description="Treatment of invalid records. fail: any error ends the run; drop: the run goes on without them.",
    )
    max_drop_share: Fraction = Field(0.1, description="Maximum share of a split's images or boxes that may be dropped.")
    box_tolerance: float = Field(
        1.0, ge=0, description="Maximum distance in pixels that a box may extend beyond its image."
    )
    small_box_pixels: float = Field(
        4.0, ge=0, description="Minimum side of a box, in pixels at the model's input size."
    )
    look_alike_pixels: float = Field(
        32.0,
        ge=0,
        description="Minimum median of the shorter side of a class's boxes, in pixels at the model's input size, if "
        "another class has boxes of like width and height.",
    )
    large_box_share: Fraction = Field(0.95, description="Maximum share of its image that a box may cover.")
    max_megapixels: float = Field(80.0, gt=0, description="Maximum size of an image in megapixels.")
    min_boxes_per_class: int = Field(1, ge=0, description="Minimum number of boxes of each class in training.")
    max_imbalance: float = Field(
        100.0, ge=1, description="Maximum ratio between the numbers of boxes of two classes in training."
    )
    format_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="Share of impossible boxes at which validation looks for another box format."
    )
    severities: Annotated[dict[str, Severity], BeforeValidator(pairs)] = Field(
        {}, description='Severity of single rules (error, warning or off), such as {"box_duplicate": "warning"}.'
    )


class StorageConfig(UserSettings):
    """Access to S3, beside boto3's standard chain (`AWS_*`, profiles, instance roles). Nothing here is secret."""

    connection: Annotated[str | None, Limit.CONNECTIONS] = Field(
        None, description="Airflow connection of type aws with the credentials; if unset, the worker's own."
    )
    endpoint_url: Annotated[str | None, Limit.ENDPOINTS] = Field(
        None,
        pattern=r"^https?://[^/@\s]+/?$",
        description="URL of the S3 server, such as http://host:port; AWS if unset.",
    )
    region: str | None = Field(None, pattern=r"^[A-Za-z0-9-]{1,64}$", description="Region of the buckets.")
    addressing_style: Literal["path", "virtual"] = Field(
        "path", description="Place of the bucket in URLs. path: after the host name; virtual: before it."
    )
    requester_pays: bool = Field(False, description="Accept the charges of buckets whose requester pays.")
    role_arn: Annotated[str | None, Limit.ROLES] = Field(
        None,
        pattern=r"^arn:[^\s]+$",
        description="ARN of a role to assume with the credentials; its session is renewed before it expires.",
    )


class RunConfig(UserSettings):
    """Everything a person decides about one run."""

    training: Annotated[str, Limit.URIS] = Field(
        description="Training dataset: folder or s3:// prefix with images/ and the annotations file. This and the "
        "other URIs may contain {data_interval_end:%Y-%m-%d}, {data_interval_start} or {as_of}."
    )
    validation: Annotated[str | None, Limit.URIS] = Field(
        None, description="Dataset for validation during training; if unset, a share of the training images."
    )
    test: Annotated[str | None, Limit.URIS] = Field(
        None, description="Dataset for the final metrics; if unset, the validation dataset."
    )
    annotations_file: str = Field(
        ANNOTATIONS_FILE,
        pattern=r"^[^/\\\x00-\x1f\x7f]{1,200}\.json$",
        description="Name of the annotations file in each dataset.",
    )
    output: Annotated[str, Limit.URIS] = Field(
        description="Folder or s3:// prefix for the results; the model becomes {run_id}/output/model.tar.gz."
    )
    model_id: str = Field(
        "gfl-efficientnet-lite0-320", description="Model architecture; `boxwright models` lists the ids."
    )
    model_name: str = Field("detector", pattern=rf"^{MODEL_NAME}$", description="Name in the model registry.")
    seed_mode: SeedMode = Field(
        "auto",
        description="Starting point of training. pretrained: published weights; incremental: an earlier model; "
        "auto: an earlier model if there is one, else published weights.",
    )
    parent: Annotated[str | None, Limit.URIS] = Field(
        None,
        description="Earlier model to start from: models:/name/3, models:/name@champion or a model.tar.gz; if "
        "unset, the newest accepted version of model_name.",
    )
    weights_uri: Annotated[str | None, Limit.URIS] = Field(
        None, description="Store of published weights: folder or s3:// prefix with one folder for each model id."
    )
    on_class_change: ClassChange = Field(
        "fail",
        description="Treatment of a parent with other classes. fail: the run stops; extend: classes of both keep "
        "their weights, and new classes start with fresh ones; keep: as extend, and detections of the parent become "
        "labels of its classes that the training images do not label, so that they are not unlearnt.",
    )
    keep_threshold: Fraction = Field(
        0.4,
        description="With on_class_change=keep, the minimum score at which a detection of the parent becomes a label.",
    )
    force: bool = Field(
        False,
        description="Train even if a finished run had the same dataset, model settings, start and code.",
    )
    approve: bool = Field(False, description="Ask a person before the model is registered (Airflow only).")
    approve_within_hours: float = Field(
        72.0,
        gt=0,
        le=10_000,
        description="Time limit for the approval in hours; a model without an answer is rejected.",
    )
    training_machines: int = Field(
        1,
        ge=1,
        le=MOST_MACHINES,
        description="Number of machines that train together, each with its part of a batch (Airflow only): `fine_tune` "
        "leads, and `train_along` trains with it on the others.",
    )
    hyperparameters: Hyperparameters = Hyperparameters()  # type: ignore[call-arg]
    evaluation: EvaluationConfig = EvaluationConfig()  # type: ignore[call-arg]
    gate: Gate = Gate()  # type: ignore[call-arg]
    export: ExportConfig = ExportConfig()  # type: ignore[call-arg]
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
    "export": ExportConfig,
    "data_validation": ValidationConfig,
    "storage": StorageConfig,
}
