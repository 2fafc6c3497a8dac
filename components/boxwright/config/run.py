"""The configuration of one run: one source for the command line, Airflow's trigger form and the documentation."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from boxwright.config.fields import Fraction, Frozen, off_is_unset, pairs
from boxwright.config.hyperparameters import Hyperparameters

Severity = Literal["error", "warning", "off"]
SeedMode = Literal["auto", "pretrained", "incremental"]
SEED_MODES: tuple[str, ...] = get_args(SeedMode)
ANNOTATIONS_FILE = "annotations.json"
SPLITS = ("training", "validation", "test")


class Gate(Frozen):
    """What a model must reach to be registered."""

    min_ap50: Fraction = Field(0.05, description="Least AP50 on the evaluation images: it must detect something.")
    min_ap: Fraction = Field(0.0, description="Least AP (mean over IoU 0.50 to 0.95) on the evaluation images.")
    min_ap50_per_class: Annotated[dict[str, Fraction], BeforeValidator(pairs)] = Field(
        {}, description='Least AP50 of single classes, as {"bolt": 0.4, "nut": 0.3}.'
    )
    must_beat_champion: Annotated[float | None, Field(ge=-1, le=1), BeforeValidator(off_is_unset)] = Field(
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
    severities: Annotated[dict[str, Severity], BeforeValidator(pairs)] = Field(
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
