"""The content of a run's page: everything that the template needs, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from boxwright.evaluation import REPORT_PAGE, worst_confusions
from boxwright.pipeline import Leaves, find_node
from boxwright_airflow.charts import LineChart, epoch_chart, minute_chart
from boxwright_airflow.links import airflow_page
from boxwright_airflow.machines import TRAINING
from boxwright_airflow.results import Results
from boxwright_airflow.runs.room import missing_room, narrow_room
from boxwright_airflow.runs.study import study_of
from boxwright_airflow.runs.tasks import Run, Task, error_line
from boxwright_airflow.runs.training import Progress, progress_of
from boxwright_airflow.training_tasks import OF_SEVERAL_MACHINES, PIPELINE, TRAIN_ALONG, in_order

_METRICS = ("AP", "AP50")
_SHOWN_FINDINGS = 10
_ENDED = ("success", "failed")
_NO_AP = "No validation AP so far: the hyperparameter validation_ap_epochs says after how many epochs it is measured."
_WAITING = {
    "queued": "The run is queued: it starts in seconds, unless the DAG is paused or has as many active runs as it may.",
    "running": "The run has begun; its first task is waiting for a free slot.",
}


@dataclass(frozen=True)
class Figure:
    """One number with its name."""

    name: str
    value: str


@dataclass(frozen=True)
class Training:
    """The part of the page about training.

    Attributes:
        text: where it stands, in a sentence.
        done, planned: epochs, for a progress bar; `planned` is 0 where it is not known.
        charts: curves of what is learnt, and of what that takes of the machine.
        problem: why there is nothing to see.
        hint: how to see more another time.
        under_way: whether it can be asked to stop.
        stopping: whether somebody has asked it to.
    """

    text: str
    done: int = 0
    planned: int = 0
    figures: tuple[Figure, ...] = ()
    charts: tuple[LineChart, ...] = ()
    problem: str = ""
    hint: str = ""
    under_way: bool = False
    stopping: bool = False


def page_values(run: Run) -> dict[str, Any]:
    """The values of a run for the template `run.html`."""
    failed, titles = run.failed_task, {task.id: task.title for task in in_order(run.dag_id)}
    stranded = run.stranded_task
    first = stranded or (failed if failed and failed.state == "failed" else None)
    return {
        "run": run,
        "duration": duration(run.seconds),
        "waiting": _waiting(run),
        "no_room": missing_room(run),
        "little_room": narrow_room(run),
        "steps": [(task, titles[task.task_id], _mark(task), _took(task)) for task in _shown(run)],
        "failed": failed,
        "error": error_line(run, failed) if failed else "",
        "stranded": stranded,
        "again": " ".join(_together(first)) if first else "",
        "clearing": airflow_page(f"/api/v2/dags/{quote(run.dag_id, safe='')}/clearTaskInstances"),
        "study": study_of(run),
        "training": _training(run),
        "validation": _validation(run),
        "gate": _gate(run),
        "evaluation": _evaluation(run),
        "version": _version(run),
        "ended": run.has_ended,
        "can_repeat": bool(run.tasks) and run.dag_id == PIPELINE,
    }


def _shown(run: Run) -> list[Task]:
    """The tasks of the run, without those that only runs on several machines have where it is none of them."""
    unused = {task.id for task in OF_SEVERAL_MACHINES}
    return [
        task
        for task in run.tasks.values()
        if task.task_id not in unused or task.state not in ("skipped", "waiting", "upstream_failed")
    ]


def _together(failed: Task) -> list[str]:
    """The tasks that go on together where one of them failed: the machines of a training, or the one."""
    together = [TRAINING, TRAIN_ALONG.id]
    return together if failed.task_id in together else [failed.task_id]


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _took(task: Task) -> str:
    return "" if task.state == "skipped" or not task.seconds else duration(task.seconds)


def _mark(task: Task) -> str:
    """The kind of a task's state, of which the style sheet knows five."""
    if task.is_running:
        return "running"
    if task.state in ("failed", "upstream_failed", "up_for_retry"):
        return "bad"
    return task.state if task.state in ("success", "skipped") else "waiting"


def _waiting(run: Run) -> str:
    begun = any(task.seconds or task.is_over for task in run.tasks.values())
    return "" if begun else _WAITING.get(run.state, "")


def _training(run: Run) -> Training | None:
    task = run.task_leaving(Leaves.TRAINING_CURVES)
    if task is None or (task.seconds == 0 and task.state != "running"):
        return None
    progress = progress_of(run)
    planned = progress.planned or 0
    if progress.problem:
        return Training("", problem=progress.problem)
    machine = tuple(chart for chart in _machine_charts(progress) if chart)
    if not progress.records:
        figures = () if task.is_over else tuple(_step_figures(progress))
        text = _before_the_first(task, progress)
        return Training(text, planned=planned, figures=figures, charts=machine, **_end(task, progress))
    return Training(
        _epochs(task, progress),
        progress.done,
        planned,
        tuple(_figures(task, progress)),
        (*(chart for chart in _charts(progress) if chart), *machine),
        hint="" if progress.curve("AP") else _NO_AP,
        **_end(task, progress),
    )


def _end(task: Task, progress: Progress) -> dict[str, bool]:
    under_way = not task.is_over and progress.is_under_way
    return {"under_way": under_way, "stopping": under_way and progress.stop_asked}


def _before_the_first(task: Task, progress: Progress) -> str:
    if task.is_over:
        return "The training has left no epoch in MLflow; its log says why."
    of = f" of {progress.planned}" if progress.planned else ""
    if progress.step:
        return f"Epoch 1{of} is under way ({progress.step}), since {duration(task.seconds)} with the start."
    return f"Epoch 1{of} is under way since {duration(task.seconds)}: figures come with its first steps."


def _epochs(task: Task, progress: Progress) -> str:
    of = f" of {progress.planned}" if progress.planned else ""
    if task.state == "success":
        early = " (it no longer improved)" if progress.planned and progress.done < progress.planned else ""
        return f"{progress.done}{of} epochs trained in {duration(task.seconds)}{early}."
    if task.is_over:
        return f"Training ended with {progress.done}{of} epochs done; it can go on from there."
    if progress.planned and progress.done >= progress.planned:
        return f"All {progress.done} epochs are done; the model is being saved."
    return f"Epoch {progress.done + 1}{of} is under way{f' ({progress.step})' if progress.step else ''}."


def _figures(task: Task, progress: Progress) -> list[Figure]:
    named = {
        "loss": "Loss",
        "val_loss": "Validation loss",
        "AP": "AP (validation)",
        "AP50": "AP50 (validation)",
        "class_accuracy": "Named rightly, of boxes placed right",
    }
    found = [
        Figure(title, f"{value:.3f}") for name, title in named.items() if (value := progress.latest(name)) is not None
    ]
    if (speed := progress.latest("images_per_second")) is not None:
        found.append(Figure("Images per second", f"{speed:.1f}"))
    return found if task.is_over else [*found, *_step_figures(progress)]


def _step_figures(progress: Progress) -> list[Figure]:
    """The figures that a training reports between two epochs."""
    found = []
    if progress.step:
        for name, value in progress.within["losses"].items():
            found.append(Figure(f"{name} of this epoch so far", f"{value:.3f}"))
        found.append(Figure("Processor, percent of one core", f"{progress.within['cpu_percent']:.0f}"))
        found.append(Figure("Memory, MB", f"{progress.within['memory_mb']:.0f}"))
        if progress.within.get("gpu_percent") is not None:
            found.append(Figure("GPU, percent", f"{progress.within['gpu_percent']:.0f}"))
            found.append(Figure("Memory of the GPU, MB", f"{progress.within['gpu_memory_mb']:.0f}"))
    if progress.seconds_left is not None:
        found.append(Figure("Time left, about", duration(progress.seconds_left)))
    return found


def _charts(progress: Progress) -> list[LineChart | None]:
    epochs = progress.planned or progress.done
    names = {"by the model": progress.curve("class_accuracy"), "by chance": progress.curve("class_accuracy_by_lot")}
    return [
        epoch_chart("Loss", {"training": progress.curve("loss"), "validation": progress.curve("val_loss")}, epochs),
        epoch_chart("Validation AP", {name: progress.curve(name) for name in _METRICS}, epochs),
        epoch_chart("Named rightly, of boxes placed right", names, epochs),
    ]


def _machine_charts(progress: Progress) -> list[LineChart | None]:
    def curves(processor: str, gpu: str) -> dict[str, list[tuple[float, float]]]:
        return {"processor": progress.usage_curve(processor), "GPU": progress.usage_curve(gpu)}

    return [
        minute_chart("Processor and GPU, percent, by minute", curves("cpu_percent", "gpu_percent")),
        minute_chart("Memory, MB, by minute", curves("memory_mb", "gpu_memory_mb")),
    ]


def _validation(run: Run) -> dict[str, Any] | None:
    """The findings of validation; those of the download, which checks the images as well, where it has run."""
    left = [task for task in reversed(run.tasks_leaving(Leaves.VALIDATION_REPORT)) if task.report]
    task = next((task for task in left if task.state in _ENDED), None)
    if run.output is None or task is None:
        return None
    results = _results(run, task)
    report = results.validation()
    if report is None:
        return {"problem": "; ".join(results.problems)}
    return {
        "problem": "",
        "task_id": task.task_id,
        "ok": not report.errors,
        "errors": len(report.errors),
        "warnings": len(report.warnings),
        "dropped": len(report.dropped),
        "splits": report.splits,
        "rules": {name: outcome for name, outcome in report.rules.items() if outcome.failed},
        "findings": [str(finding) for finding in (*report.errors, *report.warnings)[:_SHOWN_FINDINGS]],
    }


def _gate(run: Run) -> dict[str, Any] | None:
    task = run.task_leaving(Leaves.GATE_REPORT)
    if run.output is None or task is None or task.state not in _ENDED:
        return None
    results = _results(run, task)
    report = results.gate()
    if report is None:
        return {"problem": "; ".join(results.problems)}
    rows = [(check.row(), check.passed, check.note) for check in report.checks]
    confusions = [str(one) for one in worst_confusions(report.told_apart)]
    return {"problem": "", "passed": report.passed, "rows": rows, "confusions": confusions}


def _results(run: Run, task: Task) -> Results:
    return Results(run.output or "", task.stamp, f"clear {task.task_id} to write it again")


def _evaluation(run: Run) -> dict[str, Any] | None:
    task = run.task_leaving(Leaves.EVALUATION_REPORT)
    if task is None or task.state != "success":
        return None
    figures = [Figure(name, f"{task.returned[name]:.3f}") for name in _METRICS if name in task.returned]
    return {"split": task.returned.get("split", "evaluation"), "figures": figures, "file": REPORT_PAGE}


def _version(run: Run) -> Mapping[str, Any] | None:
    for task in run.tasks_leaving(Leaves.VERSION):
        if task.state == "success" and task.returned:
            return {"reused": find_node(task.task_id).ends_as == "reused", **task.returned}
    return None
