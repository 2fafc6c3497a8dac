"""Whether the engine says truly that images are answered."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from finder import encoded, scene

from boxwright.config import ServingConfig
from boxwright.serving.engine import engine as engine_module
from boxwright.serving.engine.engine import Engine
from boxwright.serving.engine.telemetry import Telemetry


def test_a_model_call_that_hangs_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_SECONDS_OF_A_CALL", 0.2)
    ends = threading.Event()

    class Hanging:
        def predict(self, pictures: Any) -> Any:
            ends.wait(60)
            return [None for _ in pictures]

    async def ask() -> list[str | None]:
        engine = Engine(Hanging(), ServingConfig(), Telemetry())  # type: ignore[arg-type, call-arg]
        told = [engine.problem]
        engine.start()
        told.append(engine.problem)
        asked = asyncio.create_task(engine.look(encoded(scene())))
        while engine.problem is None:
            await asyncio.sleep(0.05)
        told.append(engine.problem)
        ends.set()
        await asked
        told.append(engine.problem)
        await engine.stop()
        return told

    before, started, hanging, after = asyncio.run(ask())
    assert before == "the model does not take images" and started is None and after is None
    assert hanging is not None and "has not answered" in hanging
