"""A worker of a study: a program that asks for trials and tells of them, one for each slot that it is given."""

from __future__ import annotations

import os
import signal
import sys

from boxwright.config import TuningConfig, parse_config
from boxwright.tuning.study import Study

# The worker dies in the midst of its trial.
DIES = "dies"
TRIALS = 12


def open_study() -> Study:
    """The study, in the storage of the environment."""
    config = parse_config({"training": "/t", "test": "/e", "output": "/o", "model_id": "tiny"})
    ranges = '{"learning_rate": {"min": 0.0001, "max": 0.1}}'
    return Study("s", config, TuningConfig(trials=TRIALS, ranges=ranges))


def main() -> None:
    """Prints the number of each trial."""
    study = open_study()
    for slot in sys.argv[2:]:
        number = study.ask(slot)
        assert number is not None
        study.report(number, 1, 0.1)
        if sys.argv[1] == DIES:
            os.kill(os.getpid(), signal.SIGKILL)
        study.spend(number, 1, 0.5)
        study.complete(number, 0.01 * number)
        print(number, flush=True)


if __name__ == "__main__":
    main()
