"""What the other machines of a training do, which train beside the one that runs the step.

Of a run there is one execution of each node, so these are no steps: they read what the steps before have put out, and
write nothing but to the meeting place.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from boxwright.config import RunConfig, RunInfo, Settings
from boxwright.errors import StorageError
from boxwright.metadata import note_worker
from boxwright.packaging import run_folder
from boxwright.pipeline.faults import explained
from boxwright.pipeline.lineage import run_outputs
from boxwright.pipeline.machines import state_at
from boxwright.pipeline.nodes import Phase, nodes_of
from boxwright.pipeline.runner import output_folder
from boxwright.quiet import quieten
from boxwright.storage import connected
from boxwright.version import current_version


def train_beside(config: RunConfig, run: RunInfo, rank: int) -> bool:
    """Trains as another machine with the one that runs the step of the training.

    Args:
        config: the run's settings, those of the first machine.
        run: has done its data steps, and has its seed.
        rank: of this machine, from 1 on.

    Returns:
        Whether the training came to its end; no where nobody calls, so that it may be asked again later.

    Raises:
        StorageError: the outputs of earlier steps are not there.
        LostMachineError: another machine is gone.
        BoxwrightError: what this machine's part of the training raised.
    """
    from boxwright.training import MeetingPlace, join, load_tensorflow, together

    quieten()
    settings = Settings.from_environment()
    name = run_folder(run.run_id)
    if settings.metadata.is_shared:
        note_worker(settings.metadata, settings.home, current_version(), settings.shared_root)
    uri = settings.meeting_place(name)
    place = MeetingPlace(uri)
    with explained(settings, "training with other machines"), connected(config.storage):
        if not place.is_called():
            return False
        # Before it answers the call: nobody waits for these files.
        examples = output_folder(run, nodes_of(Phase.DATA)[-1].id, shards_ahead=True)
        seed = output_folder(run, _seed_node(run, settings))
        load_tensorflow()
        generation = join(place, rank)
        if generation is None:
            return False
        with together(place, generation), tempfile.TemporaryDirectory(prefix="boxwright-machine-") as scratch:
            _train(config, examples, seed, Path(scratch), settings.checkpoints(name)[1] or state_at(uri))
    return True


def _train(config: RunConfig, examples: Path, seed: Path, scratch: Path, state: str) -> None:
    from boxwright.evaluation import validation_ap
    from boxwright.training import Watch, fine_tune

    # It measures as the first machine does, so that both stop where there is nothing more to gain.
    look = validation_ap(examples)
    (out := scratch / "model").mkdir()
    fine_tune(config, examples, seed, out, scratch / "state", Watch(measure=look, glance=look.glance), state)


def _seed_node(run: RunInfo, settings: Settings) -> str:
    done = run_outputs(run.run_id, settings)
    for node in nodes_of(Phase.SEED):
        if node.id in done:
            return node.id
    raise StorageError(f"run {run.run_id} has no seed yet; clear choose_seed")
