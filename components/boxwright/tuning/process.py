"""The process of one training of a study: `python -m boxwright.tuning.process` with the arguments of `main`.

A training that crashes, or that the system ends for its memory, takes nothing with it but itself.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import signal
import sys
from pathlib import Path

from boxwright.errors import BUG_EXIT_CODE, BoxwrightError
from boxwright.quiet import quieten
from boxwright.storage import write_json
from boxwright.tuning.records import StudyRecord

ERROR_FILE = "error.json"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> int:
    """Trains; returns the exit code.

    Arguments: the folder with `study.json`, the folder of the training, the process that waits for this one, and
    `trial` with its number, or `proof` with settings as JSON.
    """
    study_dir, out_dir, parent, what, argument = sys.argv[1:]
    _die_with(int(parent))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("boxwright").setLevel(logging.INFO)
    quieten()
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    # The process of a tuning that was killed may still be at it.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _work(StudyRecord.read(study_dir), what, argument, folder)
        except BoxwrightError as error:
            logging.getLogger("boxwright.tuning").error("%s", error)
            write_json(folder / ERROR_FILE, {"exit_code": error.exit_code, "message": str(error)})
            return error.exit_code
        except Exception as error:
            logging.getLogger("boxwright.tuning").exception("a bug of Boxwright")
            write_json(folder / ERROR_FILE, {"exit_code": BUG_EXIT_CODE, "message": f"{type(error).__name__}: {error}"})
            return BUG_EXIT_CODE
    return 0


def _work(record: StudyRecord, what: str, argument: str, folder: Path) -> None:
    if what == "trial":
        from boxwright.tuning.trial import run_trial

        run_trial(record, int(argument))
    else:
        from boxwright.tuning.finalists import run_finalist

        run_finalist(record, argument, folder)


def _die_with(parent: int) -> None:
    """Has the system end this process together with the one that waits for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
