"""The output of `up`, `status` and `demo` on a terminal; plain lines without one."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Mapping

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from boxwright.airflow_api import DAG_ID, AirflowClient, TaskState
from boxwright.errors import BoxwrightError
from boxwright.stack.environment import ADMIN, BUCKET, Stack
from boxwright.stack.state import Health, State

STYLES = {
    "success": "green",
    "failed": "red",
    "upstream_failed": "red",
    "running": "cyan",
    "up_for_retry": "yellow",
    "skipped": "dim",
    "waiting": "dim",
}


def ready_line(console: Console) -> Callable[[str, float], None]:
    """A function that says in a line that a service is ready."""
    return lambda name, seconds: console.print(f"{name} ready after {seconds:.0f} s")


def addresses(stack: Stack) -> dict[str, dict[str, str]]:
    """The addresses of the stack's services by name, with their log-ins."""
    return {
        "Airflow": {"address": stack.airflow_url, "user": ADMIN, "password": stack.password},
        "MLflow": {"address": stack.mlflow_url, "user": ADMIN, "password": stack.secrets["mlflow_password"]},
        "S3": {"address": stack.s3_url, "bucket": f"s3://{BUCKET}", "variables": str(stack.folder / "env")},
    }


def show_addresses(console: Console, stack: Stack) -> None:
    """Prints the addresses and log-ins, a line each, and the command that tells a shell of S3 and MLflow."""
    for name, service in addresses(stack).items():
        more = f"{service['user']} / {service['password']}" if "user" in service else service["bucket"]
        console.print(f"[bold]{name:7}[/bold]  {service['address']}  {escape(more)}", soft_wrap=True, highlight=False)
    command = f"set -a; . {shlex.quote(str(stack.folder / 'env'))}; set +a"
    console.print(
        f"in a shell that is to reach S3 and MLflow: {command}", soft_wrap=True, markup=False, highlight=False
    )


def states(found: list[State]) -> Table:
    """Every service: whether it is ready, since when it runs, and how often it was started again."""
    table = Table("service", "state", "pid", "since", "restarts")
    for state in found:
        style = {Health.READY: "green", Health.STOPPED: "dim", Health.DEAD: "red"}.get(state.health, "yellow")
        since = f"{state.since.astimezone():%Y-%m-%d %H:%M:%S}" if state.since else "-"
        word = f"[{style}]{state.health}[/{style}]"
        table.add_row(state.name, word, str(state.pid or "-"), since, str(state.restarts))
    return table


def last_lines(found: list[State]) -> list[str]:
    """For each service that should be ready and is not, the last line of its log."""
    unwell = [state for state in found if state.health not in (Health.READY, Health.STOPPED)]
    return [f"{state.name} {state.health}: {state.line or 'its log is empty'}" for state in unwell]


class LastLines:
    """The last log lines of a run's active tasks, asked for from time to time.

    Args:
        client: of the Airflow that has the run.
        run_id: of the run.
        every: seconds between two questions; an answer is the whole log.
    """

    def __init__(self, client: AirflowClient, run_id: str, every: float = 10.0) -> None:
        self._client, self._run_id, self._every = client, run_id, every
        self._asked, self._found = -every, dict[str, str]()

    def of(self, tasks: Iterable[TaskState]) -> dict[str, str]:
        """The line of each task that runs and has one, by its id, as it was when Airflow was asked last."""
        if time.monotonic() - self._asked >= self._every:
            self._asked = time.monotonic()
            running = [task for task in tasks if task.state == "running"]
            self._found = {task.task_id: line for task in running if (line := self._line(task))}
        return self._found

    def _line(self, task: TaskState) -> str:
        try:
            return self._client.last_line(DAG_ID, self._run_id, task)
        except BoxwrightError:  # the run goes on without
            return ""


def show_run(
    console: Console, run_id: str, steps: Iterable[tuple[str, list[TaskState]]], lines: LastLines
) -> tuple[str, list[TaskState]]:
    """Shows a run while it lasts: a live table on a terminal, else a line for each change of a task, or of its log.

    Args:
        console: where to show it.
        run_id: the title.
        steps: state of the run and its tasks, again and again.
        lines: what the tasks that run say.

    Returns:
        The last item of `steps`.
    """
    state, tasks = "queued", list[TaskState]()
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            for state, tasks in steps:
                live.update(_run_table(run_id, state, tasks, lines.of(tasks)))
        return state, tasks
    console.print(f"run {run_id}", markup=False)
    seen, said = dict[str, str](), dict[str, str]()
    for step in steps:
        state, tasks = step
        for task in tasks:
            if task.state not in ("waiting", seen.get(task.task_id)):
                console.print(f"{task.task_id} {task.state} {task.seconds:.0f} s")
                seen[task.task_id] = task.state
        for task_id, line in lines.of(tasks).items():
            if said.get(task_id) != line:
                console.print(f"{task_id}: {line}", soft_wrap=True, markup=False)
                said[task_id] = line
    return state, tasks


def metrics(title: str, split: str, found: Mapping[str, float | None], ap50: Mapping[str, float | None]) -> Table:
    """The metrics of a run, over all classes and per class.

    Args:
        title: the model's name and version.
        split: the images that it was measured on.
        found: metrics by name.
        ap50: of each class, by its name.
    """
    table = Table(title=escape(title), title_justify="left")
    table.add_column(f"metric ({split} images)")
    table.add_column("value", justify="right")
    for name, value in found.items():
        table.add_row(name, _number(value))
    for name, value in ap50.items():
        table.add_row(escape(f"AP50 of {name}"), _number(value))
    return table


def _run_table(run_id: str, state: str, tasks: list[TaskState], lines: Mapping[str, str]) -> Table:
    said = escape("\n".join(f"{task_id}: {line}" for task_id, line in lines.items()))
    table = Table(title=escape(f"run {run_id}: {state}"), title_justify="left", caption=said, caption_justify="left")
    table.add_column("task")
    table.add_column("state")
    table.add_column("seconds", justify="right")
    for task in tasks:
        style = STYLES.get(task.state, "")
        table.add_row(task.task_id, f"[{style}]{task.state}[/]" if style else task.state, f"{task.seconds:.0f}")
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
