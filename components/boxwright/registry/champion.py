"""The version that a run has to beat, fetched to be measured on the run's own images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from boxwright.config import RunConfig, RunInfo
from boxwright.errors import DataError, UsageError
from boxwright.evaluation import Champion
from boxwright.registry.open_model import ModelSource, open_model
from boxwright.registry.opening import open_registry

log = logging.getLogger("boxwright.release")


@contextmanager
def open_champion(config: RunConfig, run: RunInfo) -> Iterator[Champion | None]:
    """The version that a run has to beat: the newest accepted one that it could have had as its parent.

    For the time of the block it lies in a folder. A champion whose archive cannot be used has the problem in its place;
    where there is no such version, it is None.

    Args:
        config: names the model.
        run: this run, which never has to beat itself or its future.

    Raises:
        StorageError: storage or the registry does not answer.
    """
    version = open_registry().newest_accepted(config.model_name, run.parents_until, exclude_run_id=run.run_id)
    if version is None:
        yield None
        return
    with ExitStack() as opened:
        try:
            champion = Champion(version.reference, opened.enter_context(open_model(ModelSource.of(version))))
        except (DataError, UsageError) as error:
            log.warning("the champion %s cannot be measured: %s", version.reference, error)
            champion = Champion(version.reference, None, str(error))
        yield champion
