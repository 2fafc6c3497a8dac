"""Whether a finished run has made the same model already."""

from __future__ import annotations

from boxwright.config import RunConfig, RunInfo
from boxwright.model import published_identity
from boxwright.packaging import recipe_of
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Version
from boxwright.storage import exists


def find_finished(config: RunConfig, run: RunInfo, fingerprint: str, parent: str | None) -> Version | None:
    """The accepted version that a run of the same recipe made, if its archive is still there; the newest of several.

    A version that stands for a later time than the run does not count: a backfill that took it would leave a hole in
    the past, where the next interval's run looks for its parent.
    """
    if config.force:
        return None
    recipe = recipe_of(config, fingerprint, parent, published_identity(config))
    made = open_registry().made_by(config.model_name, recipe)
    usable = [one for one in made if one.accepted and one.as_of <= run.as_of and one.run_id != run.run_id]
    return next((version for version in reversed(usable) if exists(version.archive_uri)), None)
