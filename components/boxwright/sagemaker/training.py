"""A training job: a run in the job's folders, whose model, results and failure lie where SageMaker takes them from."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path

from boxwright.config import RunConfig
from boxwright.errors import BoxwrightError, UsageError
from boxwright.packaging import unpack
from boxwright.pipeline import LocalRun, find_run, run_pipeline, running, start_run, train_along
from boxwright.sagemaker.layout import Layout

_LONGEST = 1024  # characters of a failure that SageMaker shows
_log = logging.getLogger("boxwright")


def train(layout: Layout) -> None:
    """Trains as the job says. A job that was interrupted, and finds its checkpoints again, goes on.

    Of several instances the first keeps the checkpoints, evaluates, and hands on the model; the others train with it.
    `BOXWRIGHT_HOME`, and with several instances `TF_CONFIG`, are the job's from here on.

    Args:
        layout: the job's folders.

    Raises:
        BoxwrightError: what a run raises. The reason is in the job's `failure` as well, also where it is a bug.
    """
    # Copies of files that lie on this machine's disk already do not belong among the checkpoints.
    os.environ.setdefault("BOXWRIGHT_CACHE", str(Path(tempfile.gettempdir(), "boxwright-cache")))
    layout.failure.unlink(missing_ok=True)  # of a try before this one
    try:
        hosts = layout.hosts()
        if hosts.are_several:
            os.environ["TF_CONFIG"] = hosts.tf_config()
            _log.info("%s of %d instances: %s", hosts.current, len(hosts.names), ", ".join(hosts.names))
        if hosts.is_first:
            _train_and_hand_over(layout)
        else:
            _train_along(layout)
    except Exception as error:
        reason = str(error) if isinstance(error, BoxwrightError) else f"{type(error).__name__}: {error}"
        reason = reason.replace(str(layout.output), str(layout.results))
        layout.failure.parent.mkdir(parents=True, exist_ok=True)
        layout.failure.write_text(reason[:_LONGEST])
        raise


def _train_and_hand_over(layout: Layout) -> None:
    os.environ["BOXWRIGHT_HOME"] = str(layout.home)
    local = _run_of(layout.run_config())
    try:
        with running(local):
            result = run_pipeline(local.config, local.run, on_step=_say)
    finally:
        if (left := layout.output / local.run.run_id).exists():
            shutil.copytree(left, layout.results / left.name, dirs_exist_ok=True)
    _hand_over(layout, Path(result["model_archive"]))
    _log.info("run %s is done; its model is in %s", local.run.run_id, layout.model)


def _train_along(layout: Layout) -> None:
    """Trains with the first instance. Only that one's home may lie among the checkpoints, which all of them share."""
    with tempfile.TemporaryDirectory(prefix="boxwright-instance-") as folder:
        os.environ["BOXWRIGHT_HOME"] = str(home := Path(folder, "home"))
        if layout.home.exists():
            shutil.copytree(layout.home, home)
        local = _run_of(layout.run_config())
        # The first instance has the results, among the checkpoints.
        config = local.config.model_copy(update={"output": str(Path(folder, "results"))})
        train_along(config, local.run, on_step=_say)
    _log.info("this instance is done; %s hands on the model", layout.hosts().names[0])


def _say(step: str) -> None:
    _log.info("step %s", step)


def _run_of(config: RunConfig) -> LocalRun:
    """The interrupted run, if it has the same settings; else a new one."""
    try:
        before = find_run()
    except UsageError:
        return start_run(config)
    if before.config != config:
        _log.warning("run %s stopped with other settings than the job has now; training begins anew", before.run.run_id)
        return start_run(config)
    _log.info("going on with run %s", before.run.run_id)
    return before


def _hand_over(layout: Layout, archive: Path) -> None:
    """Puts the files of the archive into the folder from which SageMaker makes the job's `model.tar.gz`."""
    layout.model.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=layout.model.parent) as temporary:
        files = Path(temporary, "model")
        unpack(archive, files)
        for path in files.iterdir():
            target = layout.model / path.name
            if target.is_dir():
                shutil.rmtree(target)
            path.rename(target)
