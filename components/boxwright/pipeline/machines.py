"""One training on several machines: the first runs the step `fine_tune`, and leads; the others train beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from boxwright.config import RunConfig, Settings
from boxwright.errors import UsageError
from boxwright.model import hyperparameters_of
from boxwright.packaging import run_folder
from boxwright.pipeline.nodes import GPU_POOL

# Where all is on one machine.
_HERE = "127.0.0.1"


def check_machines(config: RunConfig) -> None:
    """Refuses what several machines cannot train.

    Raises:
        UsageError: the batch is smaller than the number of machines, or several seeds are asked for.
    """
    machines = config.training_machines
    if machines == 1:
        return
    chosen = hyperparameters_of(config)
    if chosen.seeds > 1:
        raise UsageError(
            f"training_machines={machines} and seeds={chosen.seeds}: several seeds are trained on one machine; leave "
            "out one of them"
        )
    if chosen.batch_size < machines:
        raise UsageError(
            f"training_machines={machines} and batch_size={chosen.batch_size}: each machine has its part of a batch; "
            f"set batch_size to {machines} at least"
        )


def refuse_several_machines(config: RunConfig) -> None:
    """Refuses to train on several machines where nobody starts the others.

    Raises:
        UsageError: that is asked for.
    """
    if config.training_machines > 1:
        raise UsageError(
            f"training_machines={config.training_machines}: the Airflow DAG of trainings alone starts the other "
            "machines (`boxwright trigger`); leave it out here"
        )


def check_slots(machines: int, slots: int | None) -> None:
    """Refuses what Airflow can never begin: each machine of a training has a slot of the pool of its own.

    Args:
        machines: of one training.
        slots: of the pool; -1 where it has no limit, None where there is no pool.

    Raises:
        UsageError: saying how to give it more.
    """
    if slots is None:
        raise UsageError(
            f"Airflow has no pool {GPU_POOL}, so that no training ever starts: make it (Admin, Pools), with a slot "
            "for each training that there is room for"
        )
    if 0 <= slots < machines:
        held = f"{slots} slot{'' if slots == 1 else 's'}"
        raise UsageError(
            f"training_machines={machines}, and the pool {GPU_POOL} has {held}: each machine needs one, all at the "
            f"same time. Give the pool {machines} in Airflow (Admin, Pools) where there is room for that, or set "
            f"training_machines to {max(slots, 1)}"
        )


@contextmanager
def first_machine(config: RunConfig, run_id: str, settings: Settings) -> Iterator[str | None]:
    """Waits for the other machines of a training, if it has several, and leads them while the block lasts.

    Yields:
        Where the state of the training is kept beside this machine's folder, if anywhere.

    Raises:
        MissingMachineError: not all came.
        LostMachineError: one of them is gone.
    """
    folder, mirror = settings.checkpoints(run_folder(run_id))
    if config.training_machines == 1:
        yield mirror
        return
    from boxwright.training import MeetingPlace, gather, load_tensorflow, share_state, together

    uri = settings.meeting_place(run_folder(run_id))
    state = mirror or state_at(uri)
    load_tensorflow()
    share_state(folder, state)
    place = MeetingPlace(uri)
    with together(place, gather(place, config.training_machines, _server(settings))):
        yield state
    if settings.shared_root is None:
        shutil.rmtree(uri)


def state_at(uri: str) -> str:
    """Where machines with one home find the state of their training."""
    return f"{uri}/state"


def _server(settings: Settings) -> str:
    """The host of the server that all machines reach."""
    server = settings.metadata.server
    return server.get("hostaddr") or server.get("host") or _HERE
