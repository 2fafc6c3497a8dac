"""The formats that a model was written in, each measured beside the model: `formats.json`. Loads no library."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from boxwright.config import Fraction, Frozen
from boxwright.evaluation.records import Difference, EvaluationSummary
from boxwright.storage import StoredRecord

FORMATS_FOLDER, FORMATS_PAGE = "formats", "formats.html"
Status = Literal["kept", "dropped", "left out"]


class ModelFigures(Frozen):
    """The model itself, in TensorFlow, on the same images.

    Attributes:
        AP, AP50: None where there is nothing to measure on.
        network_ms: see `Speed`; its suppression is included.
        latency_ms: median milliseconds of an image, from encoded bytes to detections.
        size_bytes: of the weights.
    """

    AP: float | None
    AP50: float | None
    network_ms: float | None
    latency_ms: float | None
    size_bytes: int | None

    @classmethod
    def of(cls, summary: EvaluationSummary) -> ModelFigures:
        """The figures of an evaluation."""
        speed = summary.speed
        return cls(
            AP=summary.metrics.get("AP"),
            AP50=summary.metrics.get("AP50"),
            network_ms=speed.network_ms if speed else None,
            latency_ms=speed.latency_ms if speed else None,
            size_bytes=speed.size_bytes if speed else None,
        )


class MeasuredFormat(Frozen):
    """An export on the evaluation's images, by the evaluation's own measures, beside the model.

    Attributes:
        AP, AP50: None where there is nothing to measure on.
        per_class: AP of each class of both, and their difference; the model is the `champion` of each.
        difference: AP of both and how sure the difference is, by a paired bootstrap over images.
        not_finite_images: those on which it answers NaN or infinity.
        network_ms: median milliseconds of an image in the network alone; suppression is part of it in ONNX only.
        latency_ms: the same from encoded bytes to detections.
        latency_p95_ms: 95 of 100 take no longer.
        threads: that computed.
        size_bytes: of all its files.
        memory_bytes: the most that the process had in memory which loaded and ran it; None where that is not known.
    """

    AP: float | None
    AP50: float | None
    per_class: dict[str, Difference]
    difference: Difference
    not_finite_images: int = 0
    network_ms: float
    latency_ms: float
    latency_p95_ms: float
    threads: int
    size_bytes: int
    memory_bytes: int | None = None

    @property
    def loss(self) -> float | None:
        """AP of the model less its own."""
        return None if self.difference.difference is None else -self.difference.difference


class FormatRecord(Frozen):
    """A format that a run was asked for, and what became of it.

    Attributes:
        name: format and precision, as `litert:float16`.
        status: `kept` with the run's results; `dropped`, as it lost too much or could not be written; `left out`
            without a try, as nobody asked for it by name and it cannot be written here.
        reason: why it is not kept.
        folder: of its files, below that of `formats.json`; None where there are none.
        measured: None where it could not be written or measured.
    """

    name: str
    status: Status
    reason: str = ""
    folder: str | None = None
    measured: MeasuredFormat | None = None


class FormatsSummary(StoredRecord):
    """The content of `formats.json`.

    Attributes:
        split: the images measured on.
        images: their number.
        max_loss: AP that a format may lose.
        model: the model itself.
        formats: in the order in which they were asked for, without the SavedModel, which is the model itself.
    """

    FILE = "formats.json"
    ADVICE = "export the formats again"

    split: str
    images: int = Field(ge=0)
    max_loss: Fraction
    model: ModelFigures
    formats: tuple[FormatRecord, ...]

    @property
    def kept(self) -> tuple[FormatRecord, ...]:
        """The formats whose files were kept."""
        return tuple(one for one in self.formats if one.status == "kept")
