"""One machine of a training: `python machine_of_a_run.py RANK CONFIG RUN`, as the tasks of the DAG have it.

What ended it is the last line, `error: ...`, and the exit code that of the error.
"""

from __future__ import annotations

import logging
import sys
import time

from boxwright.config import RunConfig
from boxwright.config.run_info import new_run
from boxwright.errors import BoxwrightError
from boxwright.pipeline.beside import train_beside
from boxwright.pipeline.runner import run_node


def main() -> int:
    rank, text, run_id = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    config, run = RunConfig.model_validate_json(text), new_run(run_id)
    try:
        if rank == 0:
            run_node(config, run, "fine_tune")
        else:
            while not train_beside(config, run, rank):
                time.sleep(0.5)
    except BoxwrightError as error:
        print(f"error: {error}", flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
