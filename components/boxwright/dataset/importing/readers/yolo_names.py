"""The class names of a YOLO set: in `data.yaml`, in any YAML, or in a list with one a line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from boxwright.dataset.importing.source import (
    Account,
    BrokenError,
    Reading,
    class_name,
    parse_yaml,
    parts_of,
    place,
    read_text,
    read_yaml,
    shown,
    whole,
)
from boxwright.errors import shorten

NAME_LISTS = ("classes.txt", "obj.names", "labels.txt", "predefined_classes.txt", "names.txt", "_darknet.labels")
_SPLIT_KEYS = {"train": "training", "val": "validation", "valid": "validation", "test": "test"}
_MOST_CLASSES = 100_000
_UP = 2  # folders above the source in which data.yaml may lie, as above train/


@dataclass
class Names:
    """The class names, the file that has them, and what else it says.

    Attributes:
        file: the file, as messages call it.
        names: by index; None where no file has them, so that they are made up.
        count: their number by itself, 0 where it does not stand there.
        keypoints: how many numbers of each line are keypoints.
        splits: images' folders, lists or files of each split, as written.
        source: the file that has the splits, where it is another one.
        rank: 0 for what is meant for the whole set, 1 for a list of names.
        notes: reasons and places of what is odd about them.
    """

    file: str
    names: dict[int, str] | None
    count: int = 0
    keypoints: int = 0
    splits: dict[str, list[str]] = field(default_factory=dict)
    source: str = ""
    rank: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)


def find_names(reading: Reading) -> Names:
    """The names in the set; or else in a file above it, as where one split's folder is given.

    Raises:
        BrokenError: a file with names is broken, or folders beside each other have different names.
    """
    tree = reading.tree
    files = tree.files if reading.file is None else [reading.file]
    files = sorted(filter(_may_have_names, files), key=lambda name: (name.count("/"), name))
    inside = [(tree.path(name), name) for name in files]
    if (found := _names_among(inside, reading.account)) is not None:
        return found
    folder, prefix = tree.root.resolve(), ""
    for _ in range(0 if reading.unpacked else _UP):
        folder, prefix = folder.parent, f"{prefix}../"
        above = [(path, prefix + path.name) for path in sorted(folder.iterdir())
                 if _may_have_names(path.name) and path.is_file()]  # fmt: skip
        if (found := _names_among(above, reading.account)) is not None:
            reading.account.noted("class names are from above the source", shown(found.file))
            found.splits = {}
            return found
    reading.account.noted(
        "no data.yaml and no classes.txt: classes are named class_<number>", shown(str(reading.source))
    )
    return Names("", None)


def _names_among(candidates: list[tuple[Path, str]], account: Account) -> Names | None:
    """The names of the first of these files that has some: in YAML, or else in darknet's files and lists."""
    found: list[Names] = []
    broken: BrokenError | None = None
    for path, name in candidates:
        try:
            found += [names for names in [_names_of(path, name, candidates)] if names is not None]
        except BrokenError as error:
            broken = broken or error
    # A file that only tells their number comes last.
    found.sort(key=lambda names: (names.names is None, names.rank, not names.splits))
    if not found or (broken is not None and found[0].rank):
        if broken is not None:
            raise broken
        return None
    _hold_against(found[0], found[1:], account)
    for reason, where in found[0].notes:
        account.noted(reason, where)
    return found[0]


def _may_have_names(name: str) -> bool:
    last = name.rpartition("/")[2].lower()
    return last.endswith((".yaml", ".yml", ".data", ".names")) or last in NAME_LISTS


def _names_of(path: Path, name: str, others: list[tuple[Path, str]]) -> Names | None:
    """What a file says about names, if it is one that does."""
    last = path.name.lower()
    if last.endswith(".data"):
        return _names_of_data(path, name, others)
    if not last.endswith((".yaml", ".yml")):
        return _names_of_list(path, name)
    try:
        document = read_yaml(path)
    except BrokenError as error:
        raise BrokenError(f"{shown(name)}: {error}") from None
    is_set = isinstance(document, dict) and bool({"names", "nc"} & set(document))
    return _names_of_yaml(document, path, name) if is_set else None


def _hold_against(chosen: Names, others: list[Names], account: Account) -> None:
    """Names the files whose names are not those that are taken."""
    for other in others:
        if other.names is None or other.names == chosen.names:
            continue
        own, theirs = PurePosixPath(chosen.file).parent, PurePosixPath(other.file).parent
        if own != theirs and own not in theirs.parents:
            raise BrokenError(f"{shown(chosen.file)} and {shown(other.file)} have different names of classes; "
                              "convert the folder of each alone")  # fmt: skip
        account.noted(f"not read: the names of classes are those of {shown(chosen.file)}", shown(other.file))
    first: dict[str, int] = {}
    for index, label in sorted((chosen.names or {}).items()):
        if (earlier := first.setdefault(label, index)) != index:
            reason = f"class {index} is called {shown(label)} like class {earlier}; they are one class"
            account.changed(reason, shown(chosen.file))


def _names_of_yaml(document: dict[str, Any], path: Path, name: str) -> Names:
    where = place(name, "names")
    found = Names(name, _named(document.get("names"), path, where))
    if found.names is None:
        found.notes.append(("no names; classes are named class_<number>", where))
    count = whole(document.get("nc", ""))
    if count is not None and found.names is not None and count != len(found.names):
        found.notes.append((f"nc is {count}, and there are {len(found.names)} names", shown(name)))
    found.count = count if count is not None and 0 < count <= _MOST_CLASSES else 0
    if isinstance(shape := document.get("kpt_shape"), list) and len(shape) == 2:
        found.keypoints = (whole(shape[0]) or 0) * (whole(shape[1]) or 0)
    for key, split in _SPLIT_KEYS.items():
        value = document.get(key)
        texts = value if isinstance(value, list) else [value]
        found.splits.setdefault(split, []).extend(text for text in texts if isinstance(text, str) and text)
    return found


def _named(given: Any, path: Path, where: str) -> dict[int, str] | None:
    """Names by index, from a list, an object, or text; None where there is nothing.

    Raises:
        BrokenError: they are not names.
    """
    if isinstance(given, str) and given.strip():
        return _named_in_text(given.strip(), path, where)
    if isinstance(given, list):
        named = {index: _class_name(value, f"{where}[{index}]") for index, value in enumerate(given)}
    elif isinstance(given, dict):
        named = {_index(key, where): _class_name(value, f"{where}: {key}") for key, value in given.items()}
    else:
        return None
    if not named:
        raise BrokenError(f"{where}: expected the names of the classes, got none")
    return named


def _named_in_text(text: str, path: Path, where: str) -> dict[int, str] | None:
    """Names in a block of lines, in a list that is quoted as a whole, in a file, or between commas."""
    if "\n" in text:
        return _named([line for line in text.splitlines() if line.strip()], path, where)
    if text[0] in "[{":
        try:
            return _named(parse_yaml(text), path, where)
        except BrokenError as error:
            raise BrokenError(f"{where}: {error}") from None
    if (file := path.parent / "/".join(parts_of(text))).is_file():
        return _names_of_list(file, text).names
    if "," in text:
        return _named([part.strip() for part in text.split(",")], path, where)
    raise BrokenError(f"{where}: expected a list of names, or a file with one a line, got {shorten(text)}")


def _names_of_data(path: Path, name: str, others: list[tuple[Path, str]]) -> Names | None:
    """Names and splits of darknet's obj.data: lines of `key = value`, with paths from where it was trained."""
    try:
        lines = read_text(path).splitlines()
    except BrokenError:
        return None
    values = {key.strip(): value.strip() for key, sign, value in (line.partition("=") for line in lines) if sign}
    last = (parts_of(values.get("names", "")) or [""])[-1]
    beside = (path.parent / last, PurePosixPath(name).with_name(last or "-").as_posix())
    lists = [beside, *(other for other in others if other[0].name == last)]
    names_file = next((entry for entry in lists if last and entry[0].is_file()), None)
    if names_file is None:
        return None
    found = _names_of_list(*names_file)
    found.source = name
    for key, split in _SPLIT_KEYS.items():
        if values.get(key):
            found.splits.setdefault(split, []).append(values[key])
    return found


def _class_name(value: Any, where: str) -> str:
    if (name := class_name(value)) is None:
        raise BrokenError(f"{where}: expected the name of a class, got {shorten(value)}")
    return name


def _index(key: str, where: str) -> int:
    index = whole(key)
    if index is None or index < 0:
        raise BrokenError(f"{where}: expected the number of a class, got {shorten(key)}")
    return index


def _names_of_list(path: Path, name: str) -> Names:
    """Names from a file with one a line; the line's number is the class's, so that an empty one between is refused."""
    try:
        lines = read_text(path).rstrip().splitlines()
    except BrokenError as error:
        raise BrokenError(f"{shown(name)}: {error}") from None
    names = {number: _class_name(line, f"{shown(name)}: line {number + 1}") for number, line in enumerate(lines)}
    if not names:
        raise BrokenError(f"{shown(name)}: expected the names of the classes, one a line, got none")
    notes = [("begins with #, and is taken as the name of a class", f"{shown(name)}: line {number + 1}: {shown(found)}")
             for number, found in names.items() if found.startswith("#")]  # fmt: skip
    return Names(name, names, rank=1, notes=notes)
