"""What several machines do before `download_dataset` puts a dataset together: each checks a part of its images.

Of a run there is one execution of each node, so these are no steps: they read what the validation has put out, and
write nothing but a file for that node.
"""

from __future__ import annotations

from boxwright.config import RunConfig, RunInfo, Settings
from boxwright.metadata import note_worker
from boxwright.packaging import run_folder
from boxwright.pipeline.faults import explained
from boxwright.pipeline.nodes import Leaves, nodes_leaving
from boxwright.pipeline.runner import output_folder
from boxwright.quiet import quieten
from boxwright.storage import connected
from boxwright.version import current_version


def check_images(config: RunConfig, run: RunInfo, part: int, parts: int) -> int:
    """Fetches and checks one part of a run's images.

    Args:
        config: the run's settings.
        run: has done its validation.
        part: from 0 on.
        parts: into which the dataset is divided.

    Returns:
        The number of images.

    Raises:
        StorageError: the outputs of the validation are not there.
        BoxwrightError: see `boxwright.dataset.snapshot.check_part`.
    """
    from boxwright.dataset.snapshot import check_part
    from boxwright.dataset.validation import REPORT_FILE

    quieten()
    settings = Settings.from_environment()
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.metadata.is_shared:
        note_worker(settings.metadata, settings.home, current_version(), settings.shared_root)
    with explained(settings, "checking images"), connected(config.storage):
        validation = nodes_leaving(Leaves.VALIDATION_REPORT)[0]
        report = output_folder(run, validation.id) / REPORT_FILE
        return check_part(config, report, part, parts, settings.parts_place(run_folder(run.run_id)), settings.home)
