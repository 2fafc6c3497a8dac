"""A training that the system kills at random moments; `python -m benchmarks.kills` does it ten times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_a_killed_training_repeats_one_epoch_at_most_and_ends_with_equal_weights():
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", "3"]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=REPOSITORY, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    outcome = json.loads(done.stdout.strip().splitlines()[-1])
    assert outcome["kills"] == 3
    assert max(outcome["repeated"]) <= 1
    assert outcome["largest_difference"] == 0.0
