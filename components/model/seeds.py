"""The seed that training starts from: a folder with `seed.json` and, beside it, what it names.

A pretrained seed holds published weights; an incremental one holds an earlier run's model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from components.config import Frozen, RunConfig
from components.errors import DataError
from components.model.catalogue import model_spec
from components.model.families import create_detector
from components.model.store import ModelCard, load_card, load_detector
from components.model.weights import fetch_weights
from components.storage import write_json

SEED_FILE = "seed.json"
RANDOM = "random"
PRETRAINED_FOLDER = "pretrained"


class Seed(Frozen):
    """What training starts from.

    Attributes:
        kind: pretrained backbone or an earlier model.
        model_id: architecture it belongs to.
        origin: package or archive of the pretrained weights (or `RANDOM`), or the parent's reference.
        sha256: of the published weights, where there are such.
        reason: why this seed was taken.
    """

    kind: Literal["pretrained", "incremental"]
    model_id: str
    origin: str
    sha256: str | None = None
    reason: str = ""


def write_seed(seed: Seed, out_dir: Path) -> None:
    """Writes `seed.json`, last of all files of the folder."""
    write_json(out_dir / SEED_FILE, seed.model_dump())


def read_seed(seed_dir: Path) -> Seed:
    """Reads `seed.json`."""
    return Seed(**json.loads((seed_dir / SEED_FILE).read_text()))


def fetch_pretrained(config: RunConfig, out_dir: Path) -> Seed:
    """Puts the pretrained weights of the run's model id into `out_dir`. Needs no network and no TensorFlow."""
    spec = model_spec(config.model_id)
    reason = f"seed_mode is {config.seed_mode}" if config.seed_mode == "pretrained" else "there is no earlier version"
    if spec.weights is None:
        seed = Seed(kind="pretrained", model_id=config.model_id, origin=RANDOM, reason=reason)
    else:
        digest = fetch_weights(config, spec, spec.weights, out_dir / PRETRAINED_FOLDER)
        seed = Seed(kind="pretrained", model_id=config.model_id, origin=spec.weights.name, sha256=digest, reason=reason)
    write_seed(seed, out_dir)
    return seed


def check_classes(parent: ModelCard, classes: tuple[str, ...]) -> None:
    """Incremental training needs the parent's classes, all of them and in its order.

    Raises:
        DataError: naming both sets.
    """
    if parent.classes == classes:
        return
    missing = [name for name in parent.classes if name not in classes]
    new = [name for name in classes if name not in parent.classes]
    difference = f"missing {missing}, new {new}" if missing or new else "the same names in another order"
    raise DataError(
        f"the parent model knows the classes {list(parent.classes)}, the dataset has {list(classes)} ({difference}); "
        "incremental training needs the same classes: train with seed_mode=pretrained, or name another parent"
    )


def apply_seed(detector: Any, seed_dir: Path, card: ModelCard, reinitialize: str) -> None:
    """Puts a seed's weights into a fresh detector.

    Args:
        detector: what `build_detector(card)` returned.
        seed_dir: folder with `seed.json`.
        card: what is being trained.
        reinitialize: the hyperparameter `reinitialize_top_layer`.

    Raises:
        DataError: when the parent's architecture or classes differ.
    """
    seed = read_seed(seed_dir)
    if seed.kind == "pretrained":
        if seed.origin != RANDOM:
            _apply_published(detector, seed_dir / PRETRAINED_FOLDER, card, reinitialize)
        return
    parent = load_card(seed_dir)
    if parent.model_id != card.model_id:
        raise DataError(
            f"the parent {seed.origin} is a {parent.model_id}, this run trains a {card.model_id}; set model_id"
        )
    check_classes(parent, card.classes)
    weights, _ = load_detector(seed_dir)
    detector.inherit(weights, {index: index for index in range(len(card.classes))})
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
