"""From a reference to a model on disk: registry, archive or folder, and what its files say about it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.config import is_registered
from boxwright.evaluation import METRICS_FILE, EvaluationSummary
from boxwright.model import load_card
from boxwright.packaging import unpack
from boxwright.storage import Location, download_file, parse_uri

# Where the archive has no threshold of its own: the score from which the evaluation's pictures show a box.
FALLBACK_THRESHOLD = 0.3


@dataclass(frozen=True)
class ModelSource:
    """A model that a reference stands for at one moment.

    Attributes:
        reference: `models:/name/3` with the version that an alias meant, or the URI as it was given.
        archive: URI of its `model.tar.gz`, or a folder with what is in one.
        name: registered name, or the archive's file name.
        version: registered version; None for a model that is named by its URI.
    """

    reference: str
    archive: str
    name: str
    version: int | None


@dataclass(frozen=True)
class ModelInfo:
    """The facts about a model in its files.

    Attributes:
        source: where it came from.
        model_id: row of the catalogue.
        image_size: input height and width in pixels.
        classes: names by 0-based class index.
        category_ids: the training dataset's id of each class.
        metrics: on its evaluation images; empty where the archive has none.
        threshold: least score of a box worth showing.
        threshold_origin: `metrics.json`, or `fallback` where that names none.
    """

    source: ModelSource
    model_id: str
    image_size: int
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    metrics: dict[str, Any]
    threshold: float
    threshold_origin: str


def resolve_model(reference: str) -> ModelSource:
    """The archive that a reference means now: the registry's for `models:/...`; anything else is taken as a URI.

    Raises:
        UsageError: there is no such version, or the URI is not one.
        StorageError: the registry does not answer.
    """
    if not is_registered(reference):
        location = parse_uri(reference)
        return ModelSource(str(location), str(location), location.key.rpartition("/")[2], None)
    from boxwright.registry import open_registry

    version = open_registry().resolve(reference)
    return ModelSource(version.reference, version.archive_uri, version.name, version.version)


@contextmanager
def opened(source: ModelSource) -> Iterator[Path]:
    """A folder with the model's files, for the time of the block; an archive is fetched and unpacked for it.

    Raises:
        DataError: the archive does not exist, or is not one of a run.
        UsageError, StorageError: see `boxwright.storage`.
    """
    location = parse_uri(source.archive)
    if _is_folder(location):
        yield location.path
        return
    with tempfile.TemporaryDirectory(prefix="boxwright-model-") as temporary:
        fetched, unpacked = Path(temporary, "model.tar.gz"), Path(temporary, "model")
        download_file(source.archive, fetched)
        unpack(fetched, unpacked)
        fetched.unlink()
        yield unpacked


def _is_folder(location: Location) -> bool:
    return location.bucket is None and location.path.is_dir()


def read_info(source: ModelSource, folder: Path) -> ModelInfo:
    """The facts about a model in the files of an unpacked archive.

    Raises:
        DataError: `model.json` is missing or is not a model's; `metrics.json` is broken.
    """
    card = load_card(folder)
    measured = EvaluationSummary.read(folder) if (folder / METRICS_FILE).exists() else None
    threshold = measured.threshold if measured else None
    return ModelInfo(
        source=source,
        model_id=card.model_id,
        image_size=card.image_size,
        classes=card.classes,
        category_ids=card.category_ids,
        metrics=measured.metrics if measured else {},
        threshold=FALLBACK_THRESHOLD if threshold is None else threshold,
        threshold_origin="fallback" if threshold is None else METRICS_FILE,
    )
