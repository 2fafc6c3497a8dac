"""A short soak: requests that are wrong in every way. The long one is `benchmarks/serving_soak.py`."""

from __future__ import annotations

from finder import encoded, scene
from served import Served

from benchmarks.serving_soak import soak

REQUESTS = 400


def test_mutated_requests_are_answered_and_leave_no_trace(server: Served) -> None:
    images = [encoded(scene()), encoded(scene(), "PNG"), encoded(scene(90, 60), "JPEG", progressive=True)]
    outcome = soak(server.url, server.process.pid, images, REQUESTS)
    assert outcome.bad == []
    assert {200, 400} <= set(outcome.statuses)
    assert outcome.is_flat, outcome.memory
    with server.client() as client:
        assert client.get("/ping").status_code == 200
    assert not [line for line in server.log if "Traceback" in line]
