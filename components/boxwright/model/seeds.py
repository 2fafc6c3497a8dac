"""The seed that training starts from: a folder with `seed.json` and, beside it, what it names.

A pretrained seed holds published weights; an incremental one holds an earlier run's model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from boxwright.config import Frozen, RunConfig
from boxwright.errors import DataError, StorageError
from boxwright.model.catalogue import compatible_ids, model_spec
from boxwright.model.families import create_detector
from boxwright.model.store import ModelCard, load_card, load_detector
from boxwright.model.weights import fetch_weights, weights_identity
from boxwright.storage import write_json

SEED_FILE = "seed.json"
RANDOM = "random"
PRETRAINED_FOLDER = "pretrained"


class Seed(Frozen):
    """The starting point of a training.

    Attributes:
        kind: pretrained backbone or an earlier model.
        model_id: architecture it belongs to.
        origin: package or archive of the pretrained weights (or `RANDOM`), or the parent's reference.
        sha256: of the published weights, where there are such.
        weights: their identity, see `published_identity`.
        reason: why this seed was taken.
    """

    kind: Literal["pretrained", "incremental"]
    model_id: str
    origin: str
    sha256: str | None = None
    weights: str | None = None
    reason: str = ""


def write_seed(seed: Seed, out_dir: Path) -> None:
    """Writes `seed.json`, last of all files of the folder."""
    write_json(out_dir / SEED_FILE, seed.model_dump())


def read_seed(seed_dir: Path) -> Seed:
    """Reads `seed.json`.

    Raises:
        StorageError: it is damaged; the step that wrote it has to be done again.
    """
    path = seed_dir / SEED_FILE
    try:
        return Seed.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise StorageError(f"{path} is not as it was written: {first['msg']}", file=str(path)) from None


def fetch_pretrained(config: RunConfig, out_dir: Path) -> Seed:
    """Puts the pretrained weights of the run's model id into `out_dir`. Needs no network and no TensorFlow."""
    spec = model_spec(config.model_id)
    reason = "seed_mode=pretrained"
    if config.seed_mode == "auto":
        reason = f"seed_mode=auto, and {config.model_name} had no accepted version as of the run's date"
    if spec.weights is None:
        seed = Seed(kind="pretrained", model_id=config.model_id, origin=RANDOM, reason=reason)
    else:
        fetched = fetch_weights(config, spec, spec.weights, out_dir / PRETRAINED_FOLDER)
        seed = Seed(
            kind="pretrained",
            model_id=config.model_id,
            origin=spec.weights.name,
            sha256=fetched.sha256,
            weights=fetched.identity,
            reason=reason,
        )
    write_seed(seed, out_dir)
    return seed


def published_identity(config: RunConfig) -> str | None:
    """Text that is another one as soon as a run without a parent starts from other weights; None: from random ones.

    Reads no weights, so that a run can be told from a finished one before anything is fetched.
    """
    return weights_identity(config, model_spec(config.model_id))


def check_parent(
    parent: ModelCard, origin: str, model_id: str, classes: tuple[str, ...], on_class_change: str
) -> dict[int, int]:
    """Whether a run can start from a parent, by its architecture and its classes.

    Args:
        parent: what the parent is.
        origin: its reference or URI, for the message.
        model_id: what the run trains.
        classes: the dataset's class names, by index.
        on_class_change: `fail`: the classes must be the same, in the same order; `extend`: one of them must be; `keep`:
            all of the parent's must be among the dataset's.

    Returns:
        The parent's index of each class that stays, by the dataset's index.

    Raises:
        DataError: naming both architectures, or both sets of classes and how they differ.
    """
    fitting = compatible_ids(parent.model_id)
    if model_id not in fitting:
        advice = (
            f"set model_id to one of {', '.join(fitting)} to go on from it, seed_mode=pretrained to train {model_id} "
            "anew, or name another parent"
        )
        raise DataError(
            f"the parent {origin} is a {parent.model_id!a}, this run trains a {model_id}, and their weights do not "
            f"fit: {advice if fitting else 'it is not a model of this version; name another parent'}"
        )
    kept = {index: parent.classes.index(name) for index, name in enumerate(classes) if name in parent.classes}
    if parent.classes == classes or (on_class_change == "extend" and kept):
        return kept
    missing = [name for name in parent.classes if name not in classes]
    if on_class_change == "keep":
        if not missing:
            return kept
        raise DataError(
            f"on_class_change=keep: the parent {origin} knows {', '.join(map(repr, missing))}, which the dataset's "
            f"categories lack ({', '.join(map(repr, classes))}); add them to `categories`, with or without boxes, or "
            "set on_class_change=extend to let them go"
        )
    new = [name for name in classes if name not in parent.classes]
    difference = f"missing {missing}, new {new}" if missing or new else "the same names in another order"
    advice = "train with seed_mode=pretrained, or name another parent"
    if kept:
        advice = "set on_class_change=extend or keep, or " + advice
    raise DataError(
        f"the parent {origin} knows the classes {list(parent.classes)}, the dataset has {list(classes)} "
        f"({difference}); {advice}"
    )


def apply_seed(
    detector: Any, seed_dir: Path, card: ModelCard, reinitialize: str, on_class_change: str = "fail"
) -> None:
    """Puts a seed's weights into a fresh detector.

    Args:
        detector: what `build_detector(card)` returned.
        seed_dir: folder with `seed.json`.
        card: what is being trained.
        reinitialize: the hyperparameter `reinitialize_top_layer`.
        on_class_change: see `check_parent`.

    Raises:
        DataError: when the parent's architecture or classes differ.
    """
    seed = read_seed(seed_dir)
    if seed.kind == "pretrained":
        if seed.origin != RANDOM:
            _apply_published(detector, seed_dir / PRETRAINED_FOLDER, card, reinitialize)
        return
    parent_card = load_card(seed_dir)
    kept = check_parent(parent_card, seed.origin, card.model_id, card.classes, on_class_change)
    # At the size of the new one: an archive's own may be anything.
    parent, _ = load_detector(seed_dir, image_size=card.image_size)
    detector.inherit(parent, kept)
    if reinitialize == "True":
        detector.reinitialize_top_layer()


def _apply_published(detector: Any, folder: Path, card: ModelCard, reinitialize: str) -> None:
    """Published weights; their class scores only if the user wants to keep them."""
    spec = model_spec(card.model_id)
    published = spec.weights.classes if spec.weights else ()
    if not published or reinitialize != "False":
        detector.load_pretrained(folder)
        if published:
            detector.reinitialize_top_layer()
        return
    if unknown := [name for name in card.classes if name not in published]:
        known = ", ".join(name for name in published if name)
        raise DataError(
            f"reinitialize_top_layer=False keeps the published scores of {card.model_id}, which has no class "
            f"{', '.join(map(repr, unknown))}; it knows {known}. Name the dataset's classes so, or leave it at Auto"
        )
    parent = create_detector(spec, len(published), card.image_size)
    parent.load_pretrained(folder)
    detector.inherit(parent, {index: published.index(name) for index, name in enumerate(card.classes)})
