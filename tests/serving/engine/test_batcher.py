"""Batches, with a model that is a function of the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from boxwright.serving.engine.batch_size import BatchSize
from boxwright.serving.engine.batcher import Batcher
from boxwright.serving.engine.picture import Picture

Sizes = list[int]


class AlwaysFour(BatchSize):
    """Learns nothing."""

    def __init__(self) -> None:
        super().__init__(4)

    @property
    def wanted(self) -> int:
        return 4


def picture(number: int, pixels: int = 1) -> Picture:
    return Picture(str(number).encode(), pixels, 1)


class Model:
    """Answers with the picture's own bytes; may be held up until the test lets it go on."""

    def __init__(self) -> None:
        self.sizes: Sizes = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, pictures: Sequence[Picture]) -> list[bytes]:
        assert self.go.wait(10)
        self.sizes.append(len(pictures))
        if any(one.encoded == b"666" for one in pictures):
            raise ValueError("the model broke")
        return [one.encoded for one in pictures]


async def busy(batcher: Batcher[bytes], model: Model) -> asyncio.Task[bytes]:
    """Keeps the model busy with one picture until `model.go` is set."""
    model.go.clear()
    task = asyncio.create_task(batcher.submit(picture(0)))
    await asyncio.sleep(0.05)
    return task


def run(model: Model, scenario, **limits: float) -> None:  # type: ignore[no-untyped-def]
    async def whole() -> None:
        settings = {"max_pixels": 100, "max_delay": 0.01} | limits
        batcher: Batcher[bytes] = Batcher(model, AlwaysFour(), **settings)  # type: ignore[arg-type]
        batcher.start()
        await scenario(batcher)
        await batcher.stop()
        assert not batcher.is_running

    asyncio.run(whole())


def test_what_waits_goes_together_and_each_gets_its_own() -> None:
    model = Model()

    async def scenario(batcher: Batcher[bytes]) -> None:
        first = await busy(batcher, model)
        others = [asyncio.create_task(batcher.submit(picture(i))) for i in range(1, 8)]
        await asyncio.sleep(0.05)
        model.go.set()
        assert await asyncio.gather(first, *others) == [str(i).encode() for i in range(8)]

    run(model, scenario)
    assert model.sizes == [1, 4, 3]


def test_pixels_bound_a_batch_and_never_shut_one_out() -> None:
    model = Model()

    async def scenario(batcher: Batcher[bytes]) -> None:
        first = await busy(batcher, model)
        others = [asyncio.create_task(batcher.submit(picture(i, pixels))) for i, pixels in enumerate((60, 60, 40, 200))]
        await asyncio.sleep(0.05)
        model.go.set()
        await asyncio.gather(first, *others)

    run(model, scenario)
    assert model.sizes == [1, 1, 2, 1]


def test_a_lone_picture_does_not_wait() -> None:
    model = Model()

    async def scenario(batcher: Batcher[bytes]) -> None:
        async with asyncio.timeout(5):
            assert await batcher.submit(picture(1)) == b"1"

    run(model, scenario, max_delay=60)


def test_a_picture_waits_for_one_that_is_on_its_way_and_no_longer_than_told() -> None:
    model = Model()

    async def scenario(batcher: Batcher[bytes]) -> None:
        async with asyncio.timeout(5):
            with batcher.expecting() as arrived:
                first = asyncio.create_task(batcher.submit(picture(1)))
                await asyncio.sleep(0.05)
                assert model.sizes == []
                arrived()
                assert await batcher.submit(picture(2)) == b"2"
            await first

    run(model, scenario, max_delay=60)
    assert model.sizes == [2]

    async def given_up(batcher: Batcher[bytes]) -> None:
        async with asyncio.timeout(5):
            with pytest.raises(RuntimeError), batcher.expecting():
                first = asyncio.create_task(batcher.submit(picture(1)))
                await asyncio.sleep(0)
                raise RuntimeError("the image was no image")
            await first
            with batcher.expecting():  # it never comes
                await batcher.submit(picture(2))

    run(model, given_up, max_delay=0.1)
    assert model.sizes == [2, 1, 1]


def test_a_failure_is_told_to_its_batch_only() -> None:
    model = Model()

    async def scenario(batcher: Batcher[bytes]) -> None:
        with pytest.raises(ValueError, match="broke"):
            await batcher.submit(picture(666))
        assert await batcher.submit(picture(1)) == b"1"
        assert batcher.is_running

    run(model, scenario)


def test_who_leaves_is_not_looked_at() -> None:
    model = Model()

    async def scenario(batcher: Batcher[bytes]) -> None:
        first = await busy(batcher, model)
        gone, stays = (asyncio.create_task(batcher.submit(picture(i))) for i in (1, 2))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.sleep(0)
        model.go.set()
        assert await asyncio.gather(first, stays) == [b"0", b"2"]

    run(model, scenario)
    assert model.sizes == [1, 1]


def test_how_long_a_queue_takes_is_learned() -> None:
    model = Model()

    async def scenario(batcher: Batcher[bytes]) -> None:
        assert batcher.seconds_until_free(100) == 10
        for i in range(30):
            await batcher.submit(picture(i))
        assert batcher.seconds_until_free(100) == 1

    run(model, scenario)


def test_what_the_model_is_at_when_it_stops_is_cancelled() -> None:
    model = Model()

    async def scenario() -> None:
        batcher: Batcher[bytes] = Batcher(model, AlwaysFour(), 100, 0.01)
        batcher.start()
        first = await busy(batcher, model)
        asyncio.get_running_loop().call_later(0.1, model.go.set)
        await batcher.stop()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(first, 10)

    asyncio.run(scenario())
