"""The artifacts that steps hand on, with the properties by which lineage is read."""

from __future__ import annotations

from tfx.types.artifact import Artifact, Property, PropertyType

_TEXT = Property(type=PropertyType.STRING)
_WHOLE = Property(type=PropertyType.INT)
_REAL = Property(type=PropertyType.FLOAT)


class ValidationReport(Artifact):
    """Every rule checked on the annotations; `report` is the URI of the page for people."""

    TYPE_NAME = "BoxwrightValidationReport"
    PROPERTIES = {"images": _WHOLE, "boxes": _WHOLE, "report": _TEXT}


class Dataset(Artifact):
    """Images and annotations of all splits, on disk and checked; `report` is the URI of the page for people."""

    TYPE_NAME = "BoxwrightDataset"
    PROPERTIES = {"fingerprint": _TEXT, "images": _WHOLE, "boxes": _WHOLE, "report": _TEXT}


class Examples(Artifact):
    """TFRecord shards of all splits."""

    TYPE_NAME = "BoxwrightExamples"
    PROPERTIES = {"fingerprint": _TEXT, "classes": _TEXT}


class SeedModel(Artifact):
    """What training starts from. One type for both kinds: a TFX union channel joins channels of one type only."""

    TYPE_NAME = "BoxwrightSeedModel"
    PROPERTIES = {"kind": _TEXT, "origin": _TEXT, "reason": _TEXT}


class Detector(Artifact):
    """Trained weights and how to build the network around them."""

    TYPE_NAME = "BoxwrightDetector"
    PROPERTIES = {"model_id": _TEXT, "epochs": _WHOLE}


class Evaluation(Artifact):
    """Metrics, detections and pictures."""

    TYPE_NAME = "BoxwrightEvaluation"
    PROPERTIES = {"split": _TEXT, "AP": _REAL, "AP50": _REAL}


class LabelMap(Artifact):
    """Class names by index, as JSON and as protobuf text."""

    TYPE_NAME = "BoxwrightLabelMap"
    PROPERTIES = {"classes": _TEXT}


class ModelPackage(Artifact):
    """The archive that was uploaded, and what went into it."""

    TYPE_NAME = "BoxwrightModelPackage"
    PROPERTIES = {"archive": _TEXT, "sha256": _TEXT}


class GateVerdict(Artifact):
    """The quality gate's checks; it exists only when all passed."""

    TYPE_NAME = "BoxwrightGateVerdict"
    PROPERTIES = {"checks": _WHOLE}


class RegisteredModel(Artifact):
    """A version in the model registry; `metrics` is a JSON object, `accepted` 1 or 0."""

    TYPE_NAME = "BoxwrightRegisteredModel"
    PROPERTIES = {"model_name": _TEXT, "version": _WHOLE, "archive": _TEXT, "metrics": _TEXT, "accepted": _WHOLE}
