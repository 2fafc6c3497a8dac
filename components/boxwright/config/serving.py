"""The configuration of serving: over HTTP, and of images in batches."""

from __future__ import annotations

from pydantic import Field

from boxwright.config.fields import Fraction, Frozen, Positive


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
