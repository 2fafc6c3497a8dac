"""Formats as a run has measured them, for tests of what reads them."""

from __future__ import annotations

from boxwright.evaluation.format_records import FormatRecord, FormatsSummary, MeasuredFormat, ModelFigures
from boxwright.evaluation.records import Difference

AP = 0.4


def measured(loss: float = 0.002) -> MeasuredFormat:
    found = Difference(
        champion=AP, candidate=AP - loss, difference=-loss, low=-loss - 0.001, high=0.001 - loss, better=0.1
    )
    return MeasuredFormat(
        AP=AP - loss, AP50=0.6, per_class={"bolt": found, "nut": found}, difference=found, network_ms=11.04,
        latency_ms=14.26, latency_p95_ms=15.5, threads=2, size_bytes=3_600_000, memory_bytes=210_000_000,
    )  # fmt: skip


def formats(*records: FormatRecord) -> FormatsSummary:
    model = ModelFigures(AP=AP, AP50=0.6, network_ms=60.0, latency_ms=66.0, size_bytes=13_100_000)
    return FormatsSummary(split="test", images=72, max_loss=0.01, model=model, formats=records)


KEPT = FormatRecord(name="litert:float32", status="kept", folder="formats/litert-float32", measured=measured())
LOST = FormatRecord(name="litert:dynamic_int8", status="dropped", reason="AP 0.35 of 0.40", measured=measured(0.05))
UNWRITTEN = FormatRecord(name="onnx:float32", status="dropped", reason="no converter <reads> it")
MISSING = FormatRecord(name="openvino:float32", status="left out", reason="openvino is not installed")
