"""The shards of a folder of examples, whether all of them are there or still on their way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from boxwright.storage import FetchedAhead, FileEntry, write_json

# Marks a folder that came from a shared place as whole.
COMPLETE_FILE = "complete.json"
SHARDS = "examples-*.tfrecord"
_AHEAD_FILE = "fetched-ahead.json"


def leave_shards(folder: Path, uri: str, shards: Sequence[FileEntry]) -> None:
    """Notes which shards of a folder are still at `uri`, for `shards_of` to fetch."""
    write_json(folder / _AHEAD_FILE, {"uri": uri, "shards": [vars(entry) for entry in shards]})


def shards_of(examples_dir: Path, split: str) -> Sequence[Path]:
    """The shards of a split, in order; those of a folder that was not brought whole are waited for one by one."""
    mark = examples_dir / _AHEAD_FILE
    if mark.exists() and not (examples_dir / COMPLETE_FILE).exists():
        content = json.loads(mark.read_bytes())
        entries = [FileEntry(**entry) for entry in content["shards"] if entry["key"].startswith(f"{split}/")]
        if entries:
            return FetchedAhead(content["uri"], entries, examples_dir)
    return sorted((examples_dir / split).glob(SHARDS))


def size_of_shards(shards: Sequence[Path]) -> int:
    """Bytes of what `shards_of` gave, whether all of it is there yet or not."""
    return shards.size if isinstance(shards, FetchedAhead) else sum(path.stat().st_size for path in shards)
