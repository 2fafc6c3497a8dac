"""The demo: from a dataset to a registered model through Airflow, with everything on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from boxwright.airflow_api import DAG_ID, AirflowClient, TaskState
from boxwright.config import ANNOTATIONS_FILE, Settings
from boxwright.dataset.annotations import splits_below
from boxwright.errors import StorageError, UsageError
from boxwright.stack import manager, progress
from boxwright.stack.environment import BUCKET, RESULTS, SAMPLE_IMAGES, Stack, sample_uri
from boxwright.stack.run_outcome import outcome
from boxwright.stack.sample import sample_folder
from boxwright.stack.uploading import stack_variables, upload_dataset

if TYPE_CHECKING:
    from boxwright.packaging import RunFacts

IMAGES = SAMPLE_IMAGES
EPOCHS = 7


@dataclass(frozen=True)
class DemoResult:
    """The result of a demo.

    Attributes:
        run_id: the run in Airflow.
        facts: `run.json` of the run.
        version: version in the model registry.
        picture: test images with the predicted boxes.
    """

    run_id: str
    facts: RunFacts
    version: str
    picture: Path


def run_demo(
    settings: Settings,
    console: Console,
    dataset: str | None = None,
    images: int = IMAGES,
    epochs: int | None = None,
    model_id: str | None = None,
    several: bool = False,
) -> DemoResult:
    """Starts the stack, trains on a dataset through Airflow, shows it, stops the stack unless it ran before.

    Args:
        settings: names the home of the stack.
        console: where progress goes.
        dataset: local folder or s3:// URI; a made-up sample if unset. Sub-folders training (or train), validation
            and test are the splits; without them the dataset is the training images.
        images: size of the sample.
        epochs: passes over the training images; if unset `EPOCHS` for the sample, the model's own for a dataset.
        model_id: what is trained; the default of runs if unset.
        several: in a stack that stands for several machines.

    Returns:
        The metrics, the registered version and the picture.

    Raises:
        BoxwrightError: if the stack does not start, the dataset cannot be used, or the run failed: then with the error
            line of the task that failed.
    """
    with _running_stack(settings, console, several) as stack, stack_variables(stack):
        client = manager.client_of(stack)
        client.wait_for_dag(DAG_ID)
        run_id = f"demo-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        conf = _splits(_place_dataset(settings, console, dataset, images, run_id))
        conf |= {"output": RESULTS, "model_name": "sample" if dataset is None else "detector"}
        chosen = epochs or (EPOCHS if dataset is None else None)
        conf |= {"epochs": chosen} if chosen else {}
        conf |= {"model_id": model_id} if model_id else {}
        return _collect(settings, _train(client, console, run_id, conf))


@contextmanager
def _running_stack(settings: Settings, console: Console, several: bool) -> Iterator[Stack]:
    was_running = manager.is_running(settings)
    stack, _ = manager.up(settings, several=several, on_ready=progress.ready_line(console))
    try:
        yield stack
    finally:
        if not was_running:
            console.print(f"stopping the stack; its data stays in {settings.home}", soft_wrap=True, markup=False)
            manager.down(settings)


def _place_dataset(settings: Settings, console: Console, dataset: str | None, images: int, run_id: str) -> str:
    """Brings the dataset into the bucket; returns its URI."""
    if dataset is not None and "://" in dataset:
        return dataset
    if dataset is None:
        folder, uri = sample_folder(settings, images), sample_uri(images)
    else:
        folder = Path(dataset).expanduser().resolve()
        if not folder.is_dir():
            raise UsageError(
                f"--dataset {dataset}: no such folder; expected a folder with images/ and {ANNOTATIONS_FILE}"
            )
        # A name of its own: images of an earlier upload must not stay among those of this one.
        uri = f"s3://{BUCKET}/datasets/{folder.name}-{run_id.removeprefix('demo-')}"
    console.print(f"uploading {folder} to {uri}", soft_wrap=True, markup=False)
    upload_dataset(folder, uri)
    return uri


def _splits(uri: str) -> dict[str, Any]:
    """The dataset's splits as parameters: its sub-folders, or all of it as training."""
    found = splits_below(uri)
    return found if "training" in found else {"training": uri}


def _train(client: AirflowClient, console: Console, run_id: str, conf: dict[str, Any]) -> dict[str, Any]:
    """Triggers the run and shows it until it ends; returns its `outcome`.

    Raises:
        BoxwrightError: with the error line of the task that failed.
    """
    known = {run_id, *client.runs(DAG_ID)}
    client.trigger(DAG_ID, run_id, conf)
    was_paused = client.set_paused(DAG_ID, False)
    states = client.follow(DAG_ID, run_id)
    try:
        state, tasks = progress.show_run(
            console,
            run_id,
            _without_unasked(client, known, states) if was_paused else states,
            progress.LastLines(client, run_id),
        )
    finally:
        if was_paused:
            client.set_paused(DAG_ID, True)
            _remove_unasked(client, known)
    return outcome(client, run_id, state, tasks)


def _without_unasked(
    client: AirflowClient, known: set[str], states: Iterator[tuple[str, list[TaskState]]]
) -> Iterator[tuple[str, list[TaskState]]]:
    """The states, with the schedule's runs removed from beside them.

    Unpausing a DAG makes its schedule create the run of the last interval. Where a dataset is configured for the
    schedule, it would train on data that nobody asked the demo for, and take half of the machine. Whoever unpauses
    the DAG later gets that run then.
    """
    for state in states:
        with suppress(StorageError):  # an Airflow that starts again; the next round sees the run
            _remove_unasked(client, known)
        yield state


def _remove_unasked(client: AirflowClient, known: set[str]) -> None:
    for run_id in client.runs(DAG_ID).keys() - known:
        if run_id.startswith("scheduled__"):
            client.remove_run(DAG_ID, run_id)


def _collect(settings: Settings, made: dict[str, Any]) -> DemoResult:
    from boxwright.packaging import RunFacts
    from boxwright.storage import download_file, join

    run_id, output = made["run_id"], made["archive"].rpartition("/")[0]
    facts = RunFacts.read(output)
    picture = settings.home / "demo" / f"{run_id}-predictions.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    download_file(join(output, "predictions.png"), picture)
    return DemoResult(run_id, facts, str(made["version"]), picture)
