"""The lineage of a version as a graph: its own steps, and the chain of versions that it was trained from."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from boxwright.config import METADATA_URI, Settings
from boxwright.errors import StorageError
from boxwright.packaging import RunFacts
from boxwright_airflow.pages.registered_models import Model
from boxwright_airflow.pages.version_facts import Card, cards_of

LONGEST_CHAIN = 30
METADATA_SECONDS = 8.0
REMEMBERED_SECONDS = 5.0
_BOX, _SPACE, _ROW = (170, 64), 24, 92
# What fits into a box.
_CHARACTERS = 20


@dataclass(frozen=True)
class Node:
    """A box of the graph, in pixels, with lines of text and an address that may be empty."""

    x: int
    y: int
    title: str
    lines: tuple[str, ...]
    path: str = ""
    width: int = _BOX[0]
    height: int = _BOX[1]


@dataclass(frozen=True)
class Graph:
    """Boxes, and arrows as (x1, y1, x2, y2); `words` says the same for those who do not see it."""

    nodes: tuple[Node, ...]
    arrows: tuple[tuple[int, int, int, int], ...]
    width: int
    height: int
    words: str


def chain_of(card: Card, models: Sequence[Model]) -> tuple[list[Card], str]:
    """The versions that a version descends from, its parent first, and what the oldest began with."""
    known = {(found.name, found.number): found for model in models for found in cards_of(model)}
    chain: list[Card] = []
    youngest = card
    while youngest.parent:
        key = youngest.parent_version
        found = known.get(key) if key else None
        if found is None or found == card or found in chain or len(chain) == LONGEST_CHAIN:
            return chain, youngest.parent
        chain.append(found)
        youngest = found
    return chain, "pretrained weights"


def graph_of(card: Card, chain: Sequence[Card], origin: str, run: RunFacts | None) -> Graph:
    """Draws dataset -> examples -> seed -> model -> metrics -> version, and the chain of parents below.

    Args:
        card: the version.
        chain: its ancestors, parent first.
        origin: what the oldest of them began with.
        run: the content of `run.json`, where it can be read.
    """
    splits = ", ".join(f"{count} {name}" for name, count in run.images.items()) if run else ""
    dataset = f"/datasets/{quote(card.fingerprint, safe='')}" if card.fingerprint else ""
    reason = run.seed.reason if run else ""
    steps = [
        ("Dataset", [card.fingerprint[:12] or "unknown"], dataset),
        ("Examples", [f"{len(card.classes)} classes", splits], ""),
        ("Seed", [card.parent_shown or "pretrained", reason], chain[0].path if chain else ""),
        ("Model", [card.model_id, f"{card.hyperparameters.get('epochs', '?')} epochs"], ""),
        ("Metrics", [f"AP {_shown(card.ap)}", f"AP50 {_shown(card.ap50)}"], f"{card.path}/report"),
        ("Version", [f"{card.name} {card.number}", ", ".join(card.aliases)], card.path),
    ]
    nodes = [_node(column, 0, title, lines, path) for column, (title, lines, path) in enumerate(steps)]
    arrows = [_arrow(one, other) for one, other in zip(nodes, nodes[1:], strict=False)]
    ancestors = [_ancestor(place, found) for place, found in enumerate(chain[: len(steps) * 5])]
    if not chain and card.parent:
        ancestors = [_node(0, 1, "Parent", [origin], "")]
    height = (max((node.y for node in [*nodes, *ancestors]), default=0)) + _BOX[1] + 4
    width = len(steps) * (_BOX[0] + _SPACE) - _SPACE + 4
    words = "; ".join(f"{title}: {', '.join(line for line in lines if line)}" for title, lines, _ in steps)
    return Graph((*nodes, *ancestors), tuple(arrows), width, height, words)


def _ancestor(place: int, card: Card) -> Node:
    row, column = divmod(place, 6)
    return _node(
        column, row + 1, f"Ancestor {place + 1}", [f"{card.name} {card.number}", f"AP {_shown(card.ap)}"], card.path
    )


def _node(column: int, row: int, title: str, lines: Sequence[str], path: str) -> Node:
    shown = tuple(_clip(line) for line in lines if line)
    return Node(2 + column * (_BOX[0] + _SPACE), 2 + row * _ROW, title, shown, path)


def _arrow(one: Node, other: Node) -> tuple[int, int, int, int]:
    middle = one.y + one.height // 2
    return one.x + one.width, middle, other.x, middle


def _clip(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def metadata_of(run_id: str) -> dict[str, dict[str, Any]]:
    """The entries of a run in ML Metadata, by step.

    Read by a process of its own: ML Metadata holds Python's lock as long as it waits for its file or server, and with
    it all of Airflow's server.

    Raises:
        UsageError: the address of ML Metadata is not valid.
        StorageError: it cannot be read, or is locked.
    """
    address = Settings.from_environment().metadata
    path = address.path
    if path is None:
        # Nothing tells when a server's entries changed: after a while they are asked for again.
        return _read_metadata(run_id, int(time.monotonic() / REMEMBERED_SECONDS))
    if not path.exists():
        raise StorageError(
            f"there is no ML Metadata at {path}; set {METADATA_URI} of Airflow's server to the workers', or its "
            "BOXWRIGHT_HOME"
        )
    return _read_metadata(run_id, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read_metadata(run_id: str, _when: int) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "boxwright.pipeline.lineage", run_id]
    try:
        done = subprocess.run(command, capture_output=True, timeout=METADATA_SECONDS, check=True)
        found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise StorageError(
            f"ML Metadata did not answer within {METADATA_SECONDS:.0f} s: another process has locked it, or its server "
            "is away; load the page again later"
        ) from None
    except (subprocess.CalledProcessError, ValueError, OSError) as error:
        said = getattr(error, "stderr", b"") or b""
        last = said.decode(errors="replace").strip().rpartition("\n")[2][:300]
        raise StorageError(f"ML Metadata cannot be read ({last or type(error).__name__})") from None
    return found
