"""The one model that can be tried at a time: started when somebody asks, given up when nobody does."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from boxwright_airflow.allowed import allowed_here
from boxwright_airflow.trial.process import ModelProcess

IDLE_SECONDS = 300.0
# As long as this after its last use, a model is not taken away for another one.
GRACE_SECONDS = 15.0
# A model that has not answered by then will not.
LOADING_SECONDS = 600.0


@dataclass(frozen=True)
class Status:
    """The status of a model that a person wants to try.

    Attributes:
        phase: `off` (nobody asked for it), `loading`, `ready`, `failed`, or `busy`: another model is being tried.
        reason: of `failed` and `busy`, in one line.
        seconds: since loading began, or until it is worth asking again.
        facts: of a model that is ready: `classes`, `default_threshold`, `input_size` and what else `/model` tells.
    """

    phase: Literal["off", "loading", "ready", "failed", "busy"]
    reason: str = ""
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


class CurrentModel:
    """Holds at most one `ModelProcess`. Its methods may be called from any thread.

    Args:
        idle_seconds: after which an unused model ends.
        grace_seconds: for which a used one cannot be taken away by another.
    """

    def __init__(self, idle_seconds: float = IDLE_SECONDS, grace_seconds: float = GRACE_SECONDS) -> None:
        self._idle_seconds, self._grace_seconds = idle_seconds, grace_seconds
        self._lock = threading.Lock()
        self._current: ModelProcess | None = None

    def status(self, reference: str) -> Status:
        """The status of a model; starts nothing."""
        current = self._current
        if current is None or current.reference != reference or current.phase == "ended":
            return Status("off")
        if current.phase == "failed":
            return Status("failed", current.problem)
        if current.phase == "ready":
            return Status("ready", facts=current.facts)
        if current.age > LOADING_SECONDS:
            current.stop()
            return Status("failed", f"the model was not loaded after {LOADING_SECONDS:.0f} s; try again")
        return Status("loading", seconds=current.age)

    def start(self, reference: str) -> Status:
        """Makes sure that a model is loading or ready, in place of one that nobody needs any more."""
        with self._lock:
            current = self._current
            if current and current.alive and current.reference != reference:
                left = self._grace_seconds - current.idle
                if current.phase == "loading" or left > 0:
                    return Status("busy", _busy(current), max(left, 1.0))
                current.stop()
            if current is None or not current.alive or current.reference != reference:
                self._current = ModelProcess(reference, self._idle_seconds, allowed_here().environment())
            return self.status(reference)

    def use(self, reference: str) -> ModelProcess | None:
        """The model's process where it is ready, which counts as a use."""
        current = self._current
        if current is None or current.reference != reference or current.phase != "ready":
            return None
        current.use()
        return current

    def close(self) -> None:
        """Ends whatever runs."""
        with self._lock:
            if self._current:
                self._current.stop()


@cache
def current_model() -> CurrentModel:
    """The models of this api-server's process."""
    return CurrentModel()


def _busy(current: ModelProcess) -> str:
    doing = "being loaded" if current.phase == "loading" else "in use"
    return f"{current.reference} is {doing}, and one model can be tried at a time; this one follows when it is free"
