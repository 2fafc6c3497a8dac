"""The configuration of serving: over HTTP, and of images in batches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from boxwright.config.fields import Fraction, Positive, UserSettings
from boxwright.config.limits import Limit

Runtime = Literal["tensorflow", "litert", "openvino", "auto"]


class ServingConfig(UserSettings):
    """Settings of the HTTP server."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all network interfaces.")
    port: int = Field(8090, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    max_batch: Positive = Field(
        8, description="Maximum number of images per model call; fewer are used where that is faster."
    )
    max_delay_ms: float = Field(
        10.0, ge=0, description="Maximum time in milliseconds that an image waits for others to share a model call."
    )
    max_queue: Positive = Field(
        64, description="Maximum number of requests in progress; further ones are answered with 503."
    )
    max_body_mb: float = Field(10.0, gt=0, description="Maximum size of an image file in megabytes.")
    max_megapixels: float = Field(50.0, gt=0, description="Maximum size of an image in megapixels.")
    max_files: Positive = Field(32, description="Maximum number of images in one request to /invocations/batch.")
    body_timeout: float = Field(30.0, gt=0, description="Time limit in seconds for receiving a request.")
    decode_timeout: float = Field(10.0, gt=0, description="Time limit in seconds for decoding an image.")
    header_timeout: float = Field(
        10.0,
        gt=0,
        description="Time limit in seconds for the headers of a request, from the connection or last answer.",
    )
    answer_timeout: float = Field(
        30.0, gt=0, description="Time in seconds after which an answer is given up if the client reads nothing of it."
    )
    max_connections: Positive = Field(
        256, description="Maximum number of connections; above it, the one that has waited longest for a request goes."
    )
    stop_timeout: Positive = Field(
        30, description="Time limit in seconds for requests in progress when the server stops."
    )
    follow: bool = Field(False, description="Switch to the new version when the model reference points to another one.")
    follow_seconds: float = Field(
        15.0, gt=0, description="Interval in seconds between two checks of the model reference."
    )
    trust_saved_model: bool = Field(
        False,
        description="Run the SavedModel in the model's archive, a program of whoever made it, instead of building the "
        "network from the catalogue; in a process of its own that writes no files, from known operations "
        "only. The archive may be one of the managed algorithm: a SavedModel and a file of labels.",
    )

    runtime: Runtime = Field(
        "tensorflow",
        description="What runs the network: tensorflow; litert or openvino, to which a model is exported once on this "
        "machine, and which start without TensorFlow; or auto, the fastest that takes the "
        "model: of the formats that its run has kept, else of what is installed.",
    )
    threads: int = Field(
        0, ge=0, description="Threads that litert or openvino compute an image with; 0 for one a core."
    )

    @property
    def max_pixels(self) -> int:
        """Largest image in pixels."""
        return int(self.max_megapixels * 1e6)

    @property
    def max_bytes(self) -> int:
        """Largest image in bytes."""
        return int(self.max_body_mb * 1e6)


class BatchInferenceConfig(UserSettings):
    """Settings of batch inference: the images, the model, and the destination of the detections."""

    images: Annotated[str, Limit.URIS] = Field(
        description="Folder or s3:// prefix of the images; all .jpg, .jpeg and .png files below it are used."
    )
    output: Annotated[str, Limit.URIS] = Field(
        description="Folder or s3:// prefix for the results; the manifest becomes {run_id}/detections/manifest.json."
    )
    model: Annotated[str, Limit.URIS] = Field(
        "models:/detector@champion",
        description="Model to use: models:/name/3, models:/name@champion, a model.tar.gz, or the folder of an "
        "unpacked one.",
    )
    threshold: Fraction | None = Field(
        None, description="Minimum score of the detections to write; if unset, the model's own threshold."
    )
    shard_images: Positive = Field(500, description="Number of images per shard, which is one task.")
