"""What a detector tells the server that it starts, and what becomes of one that is not waited for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from boxwright.api import server
from boxwright.api.detector import Detector
from boxwright.config import ServingConfig


def test_a_server_runs_the_network_as_its_detector_does(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(server, "start_server", lambda model, port, settings: told.append(settings))
    detector = Detector.__new__(Detector)
    detector._source = SimpleNamespace(reference="models:/cells/3")  # type: ignore[assignment]
    detector._limits = ServingConfig(trust_saved_model=True, threads=2)  # type: ignore[call-arg]
    detector.serve(port=0, max_batch=4)
    assert told == [{"runtime": "tensorflow", "threads": 2, "trust_saved_model": True, "max_batch": 4}]


def test_a_start_that_is_interrupted_leaves_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []

    def interrupted() -> str:
        raise KeyboardInterrupt

    process = SimpleNamespace(stdout=SimpleNamespace(readline=interrupted), terminate=lambda: ended.append(True))
    monkeypatch.setattr(server.subprocess, "Popen", lambda *arguments, **options: process)
    with pytest.raises(KeyboardInterrupt):
        server.start_server("models:/cells/3", 0, {})
    assert ended == [True]
