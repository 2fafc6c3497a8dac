"""A model in a process of its own, beside the api-server: TensorFlow is never loaded into Airflow's."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import httpx

from boxwright.serving.http import TOKEN_VARIABLE

Phase = Literal["loading", "ready", "failed", "ended"]
# It loads models, which are other people's: it gets no secret of Airflow's.
_WITHHELD = "AIRFLOW_"
_SECONDS_TO_END = 12.0


class ModelProcess:
    """The private server as a child: starts at once, ends when it is stopped, idle, or left by its parent.

    Args:
        reference: `models:/name/3`.
        idle_seconds: after how long without a use it is stopped.
        lists: the administrator's, as variables: the registry's word on where an archive lies is not enough.

    Attributes:
        phase: how far it is; `failed` with a `problem`, `ended` without.
        problem: one line for a person.
        facts: what the server's `/model` says, once it is ready.
    """

    def __init__(self, reference: str, idle_seconds: float, lists: Mapping[str, str] | None = None) -> None:
        self.reference = reference
        self.phase: Phase = "loading"
        self.problem = ""
        self.facts: dict[str, Any] = {}
        self.url = ""
        self._token = secrets.token_urlsafe(32)
        self._idle_seconds = idle_seconds
        self._started = self._used = time.monotonic()
        self._stopped = threading.Event()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_WITHHELD)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "boxwright.serving.http.private_server", reference],
            env=kept | dict(lists or {}) | {TOKEN_VARIABLE: self._token},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for task in (self._listen, self._watch):
            threading.Thread(target=task, name=f"trial {reference}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request to `url`."""
        return {"Authorization": f"Bearer {self._token}"}

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def idle(self) -> float:
        """Seconds since the last use."""
        return time.monotonic() - self._used

    @property
    def alive(self) -> bool:
        """Whether it answers, or will."""
        return self.phase in ("loading", "ready")

    def use(self) -> None:
        """Notes that somebody needs it."""
        self._used = time.monotonic()

    def stop(self) -> None:
        """Ends it, and returns when it has ended."""
        if self.alive:
            self.phase = "ended"
        self._stopped.set()
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        """Takes the child's messages, and notices its end."""
        for line in self._process.stdout or ():
            if message := message_in(line):
                self._take(message)
        code = self._process.wait()
        memory = "; is there memory for it?" if code < 0 else ""
        self._fail(f"the model's process ended by itself with exit code {code}{memory}; the api-server's log says more")
        self._stopped.set()

    def _take(self, message: Any) -> None:
        if error := message.get("error"):
            self._fail(str(error))
            return
        self.url = message["url"]
        try:
            answer = httpx.get(f"{self.url}/model", headers=self.headers, timeout=30, trust_env=False)
            self.facts = answer.raise_for_status().json()
        except httpx.HTTPError as error:
            self._fail(f"the model was loaded and does not answer: {error!r}")
            return
        self.use()
        if self.phase == "loading":
            self.phase = "ready"

    def _fail(self, problem: str) -> None:
        if self.alive:
            self.problem = problem
            self.phase = "failed"

    def _watch(self) -> None:
        while not self._stopped.wait(min(1.0, self._idle_seconds / 4)):
            if self.phase == "ready" and self.idle > self._idle_seconds:
                self.stop()


def message_in(line: bytes) -> dict[str, Any] | None:
    """The message in a line of the child's output; None for what a library prints there."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.keys() & {"url", "error"} else None
