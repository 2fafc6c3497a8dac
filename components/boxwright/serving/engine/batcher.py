"""Dynamic batching: images of different requests go through the model together."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from boxwright.serving.engine.batch_size import BatchSize
from boxwright.serving.engine.picture import Picture

Result = TypeVar("Result")
_SMOOTHING = 0.2


@dataclass
class _Waiting(Generic[Result]):
    picture: Picture
    result: asyncio.Future[Result]
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[Result]):
    """Collects pictures while the model is busy, and runs it on as many of them at once as that is faster.

    An idle model takes a picture at once, unless others are on their way (`expecting`): those are waited for, at most
    `max_delay` seconds. So a lone client never waits, and many share a batch.

    Args:
        run: gives one result a picture; called from one thread that is not the event loop's.
        sizes: learns how many pictures at a time are fastest.
        max_pixels: pixels at a time at most, unless one picture alone has more; it bounds the memory of a batch.
        max_delay: in seconds.
        on_batch: called on the event loop with the number of pictures and the seconds that they took.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Picture]], Sequence[Result]],
        sizes: BatchSize,
        max_pixels: int,
        max_delay: float,
        on_batch: Callable[[int, float], None] = lambda images, seconds: None,
    ) -> None:
        self._run, self._on_batch = run, on_batch
        self._sizes, self._max_pixels, self._max_delay = sizes, max_pixels, max_delay
        self._queue: deque[_Waiting[Result]] = deque()
        self._changed = asyncio.Event()
        self._pool = ThreadPoolExecutor(1, "model")
        self._expected = 0
        self._task: asyncio.Task[None] | None = None
        self._seconds_per_picture = 0.1
        self._called: float | None = None

    def start(self) -> None:
        """Begins to take pictures; called within the event loop."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Ends it. The calls of `submit` that still wait are cancelled."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for waiting in self._queue:
            waiting.result.cancel()
        self._pool.shutdown(wait=True)

    @property
    def is_running(self) -> bool:
        """Whether pictures are taken."""
        return self._task is not None and not self._task.done()

    @property
    def seconds_in_call(self) -> float:
        """For how long the model has been at its batch; 0 where it has none."""
        return 0.0 if self._called is None else time.monotonic() - self._called

    def seconds_until_free(self, pictures: int) -> int:
        """The estimated seconds for `pictures` ahead of a new one; at least one."""
        return max(1, math.ceil(pictures * self._seconds_per_picture))

    @contextmanager
    def expecting(self) -> Iterator[Callable[[], None]]:
        """Announces a picture that is being received or decoded, until it is submitted or given up.

        Yields:
            To be called just before the picture is submitted.
        """
        pending = True
        self._expected += 1

        def arrived() -> None:
            nonlocal pending
            if pending:
                pending = False
                self._expected -= 1
                self._changed.set()

        try:
            yield arrived
        finally:
            arrived()

    async def submit(self, picture: Picture) -> Result:
        """The result for one picture. Where the caller is cancelled, the picture leaves the queue."""
        waiting: _Waiting[Result] = _Waiting(picture, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._changed.set()
        return await waiting.result

    async def _work(self) -> None:
        while True:
            batch = await self._gather()
            if not batch:
                continue
            started = self._called = time.monotonic()
            try:
                results = await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._run, [waiting.picture for waiting in batch]
                )
            except asyncio.CancelledError:
                for waiting in batch:
                    waiting.result.cancel()
                raise
            except Exception as error:
                for waiting in batch:
                    if not waiting.result.done():
                        waiting.result.set_exception(error)
                continue
            finally:
                self._called = None
            for waiting, result in zip(batch, results, strict=True):
                if not waiting.result.done():
                    waiting.result.set_result(result)
            self._note(len(batch), time.monotonic() - started)

    def _note(self, pictures: int, seconds: float) -> None:
        self._seconds_per_picture += _SMOOTHING * (seconds / pictures - self._seconds_per_picture)
        self._sizes.note(pictures, seconds)
        self._on_batch(pictures, seconds)

    async def _gather(self) -> list[_Waiting[Result]]:
        while not self._queue:
            await self._wait(None)
        deadline = self._queue[0].since + self._max_delay
        while self._expected and len(self._queue) < self._sizes.wanted and (left := deadline - time.monotonic()) > 0:
            await self._wait(left)
        return self._take()

    async def _wait(self, seconds: float | None) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _take(self) -> list[_Waiting[Result]]:
        batch: list[_Waiting[Result]] = []
        pixels, size = 0, self._sizes.choose(len(self._queue))
        while self._queue and len(batch) < size:
            waiting = self._queue[0]
            if waiting.result.done():  # its client has gone
                self._queue.popleft()
                continue
            pixels += waiting.picture.width * waiting.picture.height
            if batch and pixels > self._max_pixels:
                break
            batch.append(self._queue.popleft())
        return batch
