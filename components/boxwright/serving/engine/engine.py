"""The engine behind the routes: bytes in, detections out; batched, with the model that is current."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from boxwright.config import ServingConfig
from boxwright.serving.engine.batch_size import BatchSize
from boxwright.serving.engine.batcher import Batcher
from boxwright.serving.engine.decoders import Decoders
from boxwright.serving.engine.picture import Picture, RefusedImageError
from boxwright.serving.engine.predictor import Detections, Predictor
from boxwright.serving.engine.telemetry import Telemetry

Value = TypeVar("Value")
_DECODERS = 2
# A model call on the largest batch takes seconds on a slow machine; one that takes this long hangs.
_SECONDS_OF_A_CALL = 60.0


@dataclass(frozen=True)
class Seen:
    """An image, what is on it, and the model that says so.

    Attributes:
        picture: as the model took it.
        detections: best first.
        predictor: the model; its labels are those of the detections.
    """

    picture: Picture
    detections: Detections
    predictor: Predictor


def settle_memory() -> None:
    """Collects what a model left that was let go, and keeps the collector from looking at what stays.

    TensorFlow brings so many objects that Python would otherwise hardly ever look for cycles again, and each request
    that failed may be one that holds an image.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Engine:
    """A model that answers many at a time.

    Attributes:
        current: the model; assign another one to switch. A batch that has begun ends with the one it began with.
    """

    def __init__(self, predictor: Predictor, config: ServingConfig, telemetry: Telemetry) -> None:
        self.current = predictor
        self.config = config
        self.telemetry = telemetry
        self.batcher: Batcher[tuple[Predictor, Detections | RefusedImageError]] = Batcher(
            self._predict, BatchSize(config.max_batch), config.max_pixels, config.max_delay_ms / 1000, telemetry.batch
        )
        self._decoders = Decoders(_DECODERS, config.max_pixels, config.decode_timeout)
        # Beside the event loop's own pool: large images must not keep a model from being fetched.
        self._threads = ThreadPoolExecutor(_DECODERS, "decode")

    def start(self) -> None:
        """Begins to answer; called within the event loop."""
        self.batcher.start()

    async def stop(self) -> None:
        """Ends it."""
        self._decoders.stop()
        await self.batcher.stop()
        self._threads.shutdown(wait=True)

    @property
    def problem(self) -> str | None:
        """Why no image would be answered now, if so."""
        if not self.batcher.is_running:
            return "the model does not take images"
        if (seconds := self.batcher.seconds_in_call) > _SECONDS_OF_A_CALL:
            return f"the model has not answered for {seconds:.0f} s; start the server again"
        return None

    async def look(self, data: bytes) -> Seen:
        """Detections on one encoded image.

        Raises:
            RefusedImageError: it cannot be looked at.
        """
        try:
            with self.batcher.expecting() as arrived:
                picture = await self.aside(lambda: self._decoders.read(data))
                arrived()
                predictor, result = await self.batcher.submit(picture)
            if isinstance(result, RefusedImageError):
                # Another one: an error that is raised where a variable names it is in a cycle with the image's bytes.
                raise RefusedImageError(result.code, str(result))
        except RefusedImageError as error:
            self.telemetry.refused(error.code)
            raise
        return Seen(picture, result, predictor)

    async def aside(self, work: Callable[[], Value]) -> Value:
        """Runs what takes long and needs no model outside of the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _predict(self, pictures: Sequence[Picture]) -> list[tuple[Predictor, Detections | RefusedImageError]]:
        predictor = self.current
        return [(predictor, result) for result in predictor.predict(pictures)]
