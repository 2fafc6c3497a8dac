"""Archives that the managed algorithm has made: a SavedModel and a file of labels, told from what is in them.

Neither its names nor its folders are documented. So the folder with a `saved_model.pb` is the SavedModel, and the file
that reads as labels has them: a list of names, names by number or numbers by name as JSON, a `StringIntLabelMap`, or a
name a line.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from boxwright.errors import DataError, shorten
from boxwright.model import MODEL_FILE
from boxwright.storage import Layout
from boxwright.storage import unpack as unpack_archive

GRAPH = "saved_model.pb"
_VARIABLES = "variables"
_TEXTS = (".json", ".pbtxt", ".txt")
_DEEPEST = 6
_LARGEST_LABELS = 10_000_000
_MOST_CLASSES = 100_000
_ITEM = re.compile(r"item\s*\{([^}]*)\}")
_ID, _NAME = re.compile(r"\bid\s*:\s*(\d+)"), re.compile(r"\b(display_name|name)\s*:\s*(\"(?:[^\"\\]|\\.)*\"|'[^']*')")
_log = logging.getLogger("boxwright")


class _AnySavedModel(Layout):
    """Files of a SavedModel and texts, wherever they lie; all else is read past."""

    def problem(self, name: str, is_folder: bool) -> str | None:
        """None: what is not wanted does not get here."""
        del name, is_folder
        return None

    def within(self, name: str) -> str | None:
        """See `Layout`."""
        path = PurePosixPath(name)
        wanted = path.name == GRAPH or path.suffix in _TEXTS or path.parent.name == _VARIABLES
        return name if wanted and len(path.parts) <= _DEEPEST and super().within(name) else None


_FOREIGN = _AnySavedModel(
    folders=("saved_model",),
    files=("a file of labels",),
    kind="a model of the Object Detection API",
    remedy="fetch it again",
)


def is_foreign(folder: Path) -> bool:
    """Whether a folder, of an unpacked archive, has a SavedModel and is not one of a run."""
    return not (folder / MODEL_FILE).exists() and any(folder.rglob(GRAPH))


def unpack_foreign(archive: Path, target: Path, max_bytes: int = 4 << 30, max_files: int = 10_000) -> None:
    """Unpacks an untrusted archive with a SavedModel somewhere in it into a new folder.

    Raises:
        DataError: it is broken, or larger than the bounds.
    """
    unpack_archive(archive, target, _FOREIGN, max_bytes, max_files)


def saved_model_below(folder: Path) -> Path:
    """The folder of the one SavedModel.

    Raises:
        DataError: there is none, or there are several.
    """
    found = sorted(path.parent for path in folder.rglob(GRAPH))
    if len(found) != 1:
        names = ", ".join(shorten(str(path.relative_to(folder))) for path in found) or "none"
        raise DataError(f"{folder}: expected one folder with a {GRAPH}, got {names}")
    return found[0]


def labels_below(folder: Path) -> tuple[str, ...]:
    """Names of the classes by 0-based index.

    Raises:
        DataError: no file has any, or two say otherwise.
    """
    found: dict[tuple[str, ...], str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _TEXTS and path.is_file()):
        if labels := _labels(path):
            found.setdefault(labels, str(path.relative_to(folder)))
    if not found:
        raise DataError(
            f"{folder}: no file has the labels; expected a list of names, names by number or numbers by name as "
            ".json, a label map as .pbtxt, or a name a line as .txt, or the model.json of a model of Boxwright's"
        )
    if len(found) > 1:
        told = "; ".join(f"{name} with {len(labels)} classes" for labels, name in found.items())
        raise DataError(f"{folder}: the files of labels say different things: {told}; leave one of them")
    ((labels, name),) = found.items()
    _log.info("%d labels are taken from %s", len(labels), name)
    return labels


def _labels(path: Path) -> tuple[str, ...]:
    """The labels that a file has; none where it is a file of something else."""
    if path.stat().st_size > _LARGEST_LABELS:
        return ()
    try:
        text = path.read_text("utf-8")
    except ValueError:
        return ()
    if path.suffix == ".pbtxt":
        return _by_number(_items(text))
    if path.suffix == ".txt":
        lines = tuple(line.strip() for line in text.splitlines() if line.strip())
        return lines if "label" in path.stem or "class" in path.stem else ()
    try:
        return _of_json(json.loads(text))
    except (ValueError, RecursionError):
        return ()


def _of_json(content: Any) -> tuple[str, ...]:
    if isinstance(content, list):
        return tuple(content) if content and all(isinstance(name, str) for name in content) else ()
    if not isinstance(content, dict) or not content:
        return ()
    if isinstance(content.get("labels"), list | dict):
        return _of_json(content["labels"])
    if all(isinstance(value, str) and key.isdecimal() for key, value in content.items()):
        return _by_number({int(key): value for key, value in content.items()})
    if all(_is_number(value) for value in content.values()):
        return _by_number({int(value): key for key, value in content.items()})
    return ()


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.isdecimal()
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _items(text: str) -> dict[int, str]:
    found = {}
    for body in _ITEM.findall(text):
        names = {kind: _unquoted(quoted) for kind, quoted in _NAME.findall(body)}
        if (number := _ID.search(body)) and names:
            found[int(number[1])] = names.get("display_name") or names.get("name", "")
    return found


def _unquoted(text: str) -> str:
    """A string of protobuf's text format."""
    plain = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text[1:-1])
    plain = re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), plain)
    try:
        return plain.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return plain


def _by_number(names: Mapping[int, str]) -> tuple[str, ...]:
    """Names by 0-based index of names by number, which count from 0 or from 1; what has no name is `class N`."""
    if not names or max(names) > _MOST_CLASSES:
        return ()
    first = 0 if 0 in names else 1
    return tuple(names.get(number, f"class {number}") for number in range(first, max(names) + 1))
