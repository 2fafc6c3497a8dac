"""Metrics of the server for Prometheus, as `GET /metrics` gives them."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Telemetry:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "boxwright_requests", "Answered requests.", ["route", "status"], registry=self._registry
        )
        self._request_seconds = Histogram(
            "boxwright_request_seconds",
            "Seconds from the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batch_images = Histogram(
            "boxwright_batch_images", "Number of images in one model call.", buckets=_IMAGES,
            registry=self._registry,
        )  # fmt: skip
        self._batch_seconds = Histogram(
            "boxwright_batch_seconds", "Seconds of one model call.", buckets=_SECONDS, registry=self._registry
        )
        self._in_progress = Gauge("boxwright_requests_in_house", "Requests in progress.", registry=self._registry)
        self._refused = Counter(
            "boxwright_images_refused", "Images that could not be processed.", ["error"], registry=self._registry
        )
        self._switches = Counter(
            "boxwright_model_switches",
            "Switches to a new model.",
            ["outcome"],
            registry=self._registry,
        )
        self._model = Gauge("boxwright_model", "1 for the model in use.", ["reference"], registry=self._registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts an answered request."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def batch(self, images: int, seconds: float) -> None:
        """Counts a model call."""
        self._batch_images.observe(images)
        self._batch_seconds.observe(seconds)

    def in_progress(self, requests: int) -> None:
        """Sets the number of requests in progress."""
        self._in_progress.set(requests)

    def refused(self, code: str) -> None:
        """Counts an image that could not be processed."""
        self._refused.labels(code).inc()

    def switch(self, outcome: str) -> None:
        """Counts a switch to a new model; `outcome` is `taken` or `refused`."""
        self._switches.labels(outcome).inc()

    def model(self, reference: str) -> None:
        """Sets the model in use."""
        self._model.clear()
        self._model.labels(reference).set(1)

    def exposition(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
