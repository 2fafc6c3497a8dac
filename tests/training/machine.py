"""One machine of a training: `python machine.py CONFIG EXAMPLES SEED OUT`; `TF_CONFIG` says who the others are."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from boxwright.config import RunConfig
from boxwright.training.fine_tuning import fine_tune

if __name__ == "__main__":
    text, examples, seed, out = sys.argv[1:]
    folder = Path(out)
    folder.mkdir()
    summary = fine_tune(
        RunConfig.model_validate_json(text), Path(examples), Path(seed), folder, folder.with_suffix(".checkpoints")
    )
    print(json.dumps([record["loss"] for record in summary.history] + [summary.history[-1]["val_loss"]]))
