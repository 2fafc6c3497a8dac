"""A run of the training DAG."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from boxwright.airflow_api import DAG_ID, AirflowClient, trigger
from boxwright.api.run import Run, ended_as
from boxwright.errors import UsageError
from boxwright.stack import failure_of, outcome, progress

if TYPE_CHECKING:
    from boxwright.airflow_api import TaskState

_UNDER_WAY = ("queued", "running")


class AirflowRun(Run):
    """A run of the training DAG.

    Args:
        client: of the Airflow that has it.
        run_id: its id there.
        model_name: that its model is to have in the registry.
    """

    def __init__(self, client: AirflowClient, run_id: str, model_name: str) -> None:
        super().__init__(run_id)
        self._client, self._model_name = client, model_name

    @property
    def status(self) -> str:
        """See `Run`."""
        state, tasks = self._state()
        if state == "failed":
            return ended_as(failure_of(self._client, self.run_id, tasks).exit_code)
        if state != "success":
            return state
        return str(outcome(self._client, self.run_id, state, tasks)["status"])

    def wait(self) -> Run:
        """See `Run`."""
        from rich.console import Console

        console = Console(stderr=True)
        if trigger.is_paused(self._client):
            console.print("the DAG is paused: the run starts when it is unpaused")
        steps, lines = trigger.follow(self._client, self.run_id), progress.LastLines(self._client, self.run_id)
        try:
            state, tasks = progress.show_run(console, self.run_id, steps, lines)
        except KeyboardInterrupt:
            stop = shlex.join(["boxwright", "stop", self.run_id, "--model-name", self._model_name])
            said = f"run {self.run_id} goes on in Airflow; `{stop}` ends its training"
            console.print(said, soft_wrap=True, markup=False)
            raise
        outcome(self._client, self.run_id, state, tasks)
        return self

    def logs(self) -> str:
        """See `Run`."""
        _, tasks = self._state()
        begun = [task for task in tasks if task.try_number]
        return "".join(f"== {task.task_id}\n{self._client.log(DAG_ID, self.run_id, task)}" for task in begun)

    def stop(self) -> None:
        """See `Run`."""
        from boxwright.registry import open_registry

        open_registry().ask_to_stop(self._model_name, self.run_id)

    def _outcome(self) -> Mapping[str, Any]:
        state, tasks = self._state()
        if state in _UNDER_WAY:
            raise UsageError(f"run {self.run_id} is {state}; `wait()` waits for its end")
        found = outcome(self._client, self.run_id, state, tasks)
        if "archive" not in found:
            raise UsageError(f"run {self.run_id} ended without a version: its model was {found['status']}")
        return found

    def _state(self) -> tuple[str, list[TaskState]]:
        return next(trigger.follow(self._client, self.run_id))
