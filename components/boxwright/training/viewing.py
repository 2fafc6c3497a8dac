"""How a model that is trained will look at images: as the run says, else as the model that it goes on from."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from boxwright.config import Hyperparameters, Resize
from boxwright.images import Tiling
from boxwright.model import load_card, read_seed

log = logging.getLogger("boxwright.training")
DEFAULT_OVERLAP = 0.2
_OWN, _NONE = "its family's own", "none"


@dataclass(frozen=True)
class Viewing:
    """The fields of `ModelCard` that say it.

    Attributes:
        resize: None for the family's own.
        tiling: None for no tiles.
    """

    resize: Resize | None
    tiling: Tiling | None


def choose_viewing(hyperparameters: Hyperparameters, seed_dir: Path) -> Viewing:
    """What the run sets, else what the model has that it goes on from; the log says what that one decided.

    Args:
        hyperparameters: of the run.
        seed_dir: folder with `seed.json` and, where training goes on from a model, that one's card.
    """
    seed = read_seed(seed_dir)
    parent = None if seed.kind == "pretrained" else load_card(seed_dir)
    told = hyperparameters.resize
    resize = (parent.resize if parent else None) if told == "Auto" else told
    chosen = Viewing(resize, _tiling(hyperparameters, parent.tiling if parent else None))
    if parent is not None:
        _say("resize", chosen.resize or _OWN, parent.resize or _OWN, told == "Auto", seed.origin)
        is_parents = hyperparameters.tile_size is None and hyperparameters.tile_overlap is None
        _say("tiles", _in_words(chosen.tiling), _in_words(parent.tiling), is_parents, seed.origin)
    return chosen


def _tiling(hyperparameters: Hyperparameters, parents: Tiling | None) -> Tiling | None:
    size, overlap = hyperparameters.tile_size, hyperparameters.tile_overlap
    if size is None:
        size = parents.size if parents else 0
    if overlap is None:
        overlap = parents.overlap if parents else DEFAULT_OVERLAP
    if size == 0:
        if hyperparameters.tile_overlap is not None:
            log.warning("tile_overlap=%g has no effect without tile_size", overlap)
        return None
    return Tiling(size=size, overlap=overlap)


def _in_words(tiling: Tiling | None) -> str:
    return _NONE if tiling is None else f"{tiling.size} px, overlap {tiling.overlap:g}"


def _say(what: str, chosen: str, parents: str, is_parents: bool, origin: str) -> None:
    if is_parents and parents not in (_NONE, _OWN):
        log.info("%s: %s, as %s has it, which training goes on from", what, parents, origin)
    elif chosen != parents:
        log.info("%s: %s, as the run sets it; %s has %s", what, chosen, origin, parents)
