"""One training of the proof: settings with a fresh seed, and what the detector finds on the test images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from boxwright.dataset.annotations import Annotations, load_annotations
from boxwright.dataset.examples import shards_of
from boxwright.errors import DataError, StorageError
from boxwright.storage import write_json
from boxwright.training import Watch
from boxwright.tuning.records import StudyRecord
from boxwright.tuning.trial import TrainingFolder, forget_weights, train

TEST = "test"
DETECTIONS_FILE = "detections.json"


def finalist_name(number: int, seed: int) -> str:
    """The name of the folder of a training of the proof."""
    return f"proof-{number}-seed-{seed}"


def run_finalist(record: StudyRecord, argument: str, folder: Path) -> None:
    """Trains with settings, and writes the detections on the test images into `folder`, last of all.

    The same call goes on after a kill, and does nothing where all is done.

    Args:
        record: of the study, with examples and seed.
        argument: hyperparameters by name as JSON, the seed among them.
        folder: of this training.

    Raises:
        BoxwrightError: see `boxwright.training.fine_tune`.
    """
    from boxwright.evaluation import category_ids_of, predict_split, validation_ap
    from boxwright.model import load_detector

    if (folder / DETECTIONS_FILE).exists():
        return
    examples = Path(record.examples or "")
    # AP is measured as in the trials and in the final training, since it may decide when a training stops.
    watch = Watch(validation_ap(examples))
    train(record, json.loads(argument), TrainingFolder.of(record.name, folder.name), watch)
    detector, card = load_detector(folder)
    annotations = read_test_images(examples)
    predictions = predict_split(detector, shards_of(examples, TEST), category_ids_of(card.classes, annotations))
    write_json(folder / DETECTIONS_FILE, predictions.detections)
    shutil.rmtree(TrainingFolder.of(record.name, folder.name).checkpoints, ignore_errors=True)
    forget_weights(folder)


def read_test_images(examples: Path) -> Annotations:
    """The annotations of the test images.

    Raises:
        DataError: there are none.
    """
    try:
        return load_annotations(examples / TEST / "annotations.json")
    except (DataError, StorageError, OSError) as error:
        raise DataError(f"the proof of a study needs test images, and there are none ({error}); give --test") from None
