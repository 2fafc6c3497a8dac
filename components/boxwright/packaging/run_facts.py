"""The facts about a run beside its model, `run.json`; importing this loads nothing of packaging."""

from __future__ import annotations

from typing import Any

from boxwright.dataset.validation import Dropped
from boxwright.evaluation import CocoMetrics, Metrics
from boxwright.model import Seed
from boxwright.packaging.outputs import RUN_FILE
from boxwright.storage import StoredRecord


class RunFacts(StoredRecord):
    """The content of `run.json`: enough to tell where a model came from without any server.

    Files of early versions have no `category_ids`, `dropped` or `recipe`.

    Attributes:
        run_id: of the run.
        model_name: in the registry.
        model_id: row of the catalogue.
        classes: names by 0-based class index.
        category_ids: the dataset's own id of each class.
        dataset_fingerprint: of the dataset.
        dropped: records that validation left out.
        images: number of images by split.
        seed: what training started from.
        parent: reference or URI of the seed, where that is an earlier model.
        recipe: digest of what determines the model.
        split: the images that it was measured on.
        metrics: over all classes.
        per_class: by class name.
        hyperparameters: with the model's own where the user set none.
        config: the run's configuration as it was given.
        code_version: of Boxwright.
    """

    FILE = RUN_FILE
    ADVICE = "package the model again"

    run_id: str
    model_name: str
    model_id: str
    classes: tuple[str, ...]
    category_ids: tuple[int, ...] = ()
    dataset_fingerprint: str
    dropped: tuple[Dropped, ...] = ()
    images: dict[str, int]
    seed: Seed
    parent: str | None
    recipe: str = ""
    split: str
    metrics: Metrics
    per_class: dict[str, CocoMetrics] = {}
    hyperparameters: dict[str, Any]
    config: dict[str, Any]
    code_version: str
