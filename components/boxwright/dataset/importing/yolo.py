"""YOLO: one text file an image, with a line an object, and a list of class names.

Images are walked, not label files: an image without one is a negative. A line is `class x y w h` in shares of the
image, with a confidence behind it where a model wrote it; or a class and a polygon, whose box is taken. See the
documentation of darknet's and Ultralytics' datasets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from boxwright.dataset.importing.account import Account
from boxwright.dataset.importing.numbers import around, number, whole
from boxwright.dataset.importing.reading import Reading
from boxwright.dataset.importing.records import BrokenError, SourceImage, SourceObject, SourceSet, place, shown
from boxwright.dataset.importing.texts import read_text, read_yaml
from boxwright.dataset.importing.tree import Tree, folded, parts_of, split_named, split_of
from boxwright.errors import shorten

_NAME_LISTS = ("classes.txt", "obj.names", "labels.txt", "predefined_classes.txt", "names.txt", "_darknet.labels")
_LABEL_FOLDERS = ("labels", "label", "annotations", "annots", "txt")
_SPLIT_KEYS = {"train": "training", "val": "validation", "valid": "validation", "test": "test"}
_UP = 2  # folders above the source in which data.yaml may lie, as above train/


@dataclass
class Names:
    """The class names, the file that has them, and what else it says.

    Attributes:
        file: the file, as messages call it.
        names: by index; None where no file has them, so that they are made up.
        keypoints: how many numbers of each line are keypoints.
        splits: images' folders, lists or files of each split, as written.
    """

    file: str
    names: dict[int, str] | None
    keypoints: int = 0
    splits: dict[str, list[str]] = field(default_factory=dict)


def recognise(reading: Reading) -> str | None:
    """Why this looks like YOLO, or None."""
    if reading.file is not None and not reading.file.lower().endswith((".yaml", ".yml")):
        return None
    tree = reading.tree
    for name in tree.ending(".yaml", ".yml"):
        if _has_names(tree.path(name)):
            return f"{shown(name)} has class names"
    lists = [name for name in tree.files if name.rpartition("/")[2].lower() in _NAME_LISTS or name.endswith(".names")]
    labels = [name for name in tree.ending(".txt") if name not in lists and _is_label(tree.path(name))]
    if labels:
        return f"{len(labels)} text files such as {shown(labels[0])} have lines of a class and shares of an image"
    return None


def _has_names(path: Path) -> bool:
    try:
        document = read_yaml(path)
    except BrokenError:
        return False
    return isinstance(document, dict) and bool({"names", "nc"} & set(document))


def _is_label(path: Path) -> bool:
    """Whether a text file's first line is an object."""
    try:
        with path.open("rb") as file:
            head = file.read(4096).decode("utf-8-sig", "replace")
    except OSError:
        return False
    line = next((line for line in head.splitlines() if line.strip()), "")
    fields = line.split()
    try:
        return len(fields) >= 5 and whole(fields[0]) is not None and all(0 <= float(text) <= 2 for text in fields[1:5])
    except ValueError:
        return False


def read(reading: Reading) -> SourceSet:
    """Reads a whole set, or one split of it."""
    tree, account = reading.tree, reading.account
    names = _find_names(reading)
    listed = _listed_splits(reading, names)
    labels = {name for name in tree.ending(".txt")} - {names.file}
    folders = _label_folders(tree)
    used: set[str] = set()
    images, top = [], 0
    labelled = {picture: _label_of(picture, labels, folders) for picture in reading.pictures.names}
    for picture in _without_links(labelled, reading):
        label = labelled[picture]
        image = SourceImage(_name_of(picture), shown(picture), "{}", normalised=True)
        image.path, image.out_name = reading.pictures.tree.path(picture), image.name
        image.split = listed.get(picture) or split_of(picture.rpartition("/")[0])
        if label is not None:
            used.add(label)
            image.where, image.object_at = shown(label), f"{shown(label)}: line {{}}"
            top = max(top, _read_label(tree.path(label), image, names, account))
        images.append(image)
    account.went_in.images = len(images)
    account.went_in.files = len(used)
    _name_leftover_labels(reading, labels - used, names)
    classes = names.names if names.names is not None else {index: f"class_{index}" for index in range(top + 1)}
    return SourceSet(images, dict.fromkeys((classes[index] for index in sorted(classes)), None))


def _without_links(labelled: dict[str, str | None], reading: Reading) -> Iterator[str]:
    """The pictures; of the names that links give to one file only those with labels, or else its first."""
    tree = reading.pictures.tree
    names: dict[str, list[str]] = {}
    for picture in labelled:
        names.setdefault(tree.identity(picture), []).append(picture)
    for same in names.values():
        chosen = [picture for picture in same if labelled[picture] is not None] or same[:1]
        for picture in set(same) - set(chosen):
            reading.account.noted("another name of a picture, by a link", f"{shown(picture)}: {shown(chosen[0])}")
        yield from chosen


def _find_names(reading: Reading) -> Names:
    """The names in the set; or else in a file above it, as where one split's folder is given."""
    tree = reading.tree
    inside = [(tree.path(name), name) for name in sorted(tree.files, key=lambda name: (name.count("/"), name))]
    if (found := _names_among(inside, reading.account)) is not None:
        return found
    folder, prefix = tree.root.resolve(), ""
    for _ in range(0 if reading.unpacked else _UP):
        folder, prefix = folder.parent, f"{prefix}../"
        above = [(path, prefix + path.name) for path in sorted(folder.iterdir()) if path.is_file()]
        if (found := _names_among(above, reading.account)) is not None:
            reading.account.noted("class names are from above the source", shown(found.file))
            found.splits = {}
            return found
    reading.account.noted(
        "no data.yaml and no classes.txt: classes are named class_<number>", shown(str(reading.source))
    )
    return Names("", None)


def _names_among(candidates: list[tuple[Path, str]], account: Account) -> Names | None:
    broken: BrokenError | None = None
    for path, name in candidates:
        if path.suffix.lower() not in (".yaml", ".yml"):
            continue
        try:
            document = read_yaml(path)
        except BrokenError as error:
            broken = broken or BrokenError(f"{shown(name)}: {error}")
            continue
        if isinstance(document, dict) and ({"names", "nc"} & set(document)):
            return _names_of_yaml(document, path, name, account)
    for path, name in candidates:
        if path.name.lower() in _NAME_LISTS or path.suffix.lower() == ".names":
            return _names_of_list(path, name)
    if broken is not None:
        raise broken
    return None


def _names_of_yaml(document: dict[str, Any], path: Path, name: str, account: Account) -> Names:
    found = Names(name, None)
    given = document.get("names")
    where = place(name, "names")
    if isinstance(given, str) and given:
        names_file = path.parent / "/".join(parts_of(given))
        found.names = _names_of_list(names_file, given).names
    elif isinstance(given, list):
        found.names = {index: _class_name(value, f"{where}[{index}]") for index, value in enumerate(given)}
    elif isinstance(given, dict):
        found.names = {_index(key, where): _class_name(value, f"{where}: {key}") for key, value in given.items()}
    else:
        account.noted("no names; classes are named class_<number>", where)
    count = whole(document.get("nc", ""))
    if count is not None and found.names is not None and count != len(found.names):
        account.noted(f"nc is {count}, and there are {len(found.names)} names", shown(name))
    if found.names is not None and not found.names:
        raise BrokenError(f"{where}: expected the names of the classes, got none")
    if isinstance(shape := document.get("kpt_shape"), list) and len(shape) == 2:
        found.keypoints = (whole(shape[0]) or 0) * (whole(shape[1]) or 0)
    for key, split in _SPLIT_KEYS.items():
        value = document.get(key)
        texts = value if isinstance(value, list) else [value]
        found.splits.setdefault(split, []).extend(text for text in texts if isinstance(text, str) and text)
    return found


def _class_name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.strip().isprintable():
        raise BrokenError(f"{where}: expected the name of a class, got {shorten(value)}")
    return value.strip()


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
    return Names(name, names)


def _label_folders(tree: Tree) -> dict[str, str]:
    """The folders with text files, by their names without case."""
    return {folder.lower(): folder for folder in {name.rpartition("/")[0] for name in tree.ending(".txt")}}


def _label_of(picture: str, labels: set[str], folders: dict[str, str]) -> str | None:
    """The label file of an image: beside it, or in the folder of labels that goes with its own."""
    folder, _, last = picture.rpartition("/")
    stem = last.rpartition(".")[0]
    for candidate in _label_candidates(folder, folders):
        path = f"{candidate}/{stem}.txt" if candidate else f"{stem}.txt"
        if path in labels:
            return path
    return None


def _label_candidates(folder: str, folders: dict[str, str]) -> Iterator[str]:
    parts = folder.split("/") if folder else []
    for position in range(len(parts) - 1, -1, -1):
        if parts[position].lower() in ("images", "image", "imgs", "img", "jpegimages"):
            for word in _LABEL_FOLDERS:
                swapped = "/".join([*parts[:position], word, *parts[position + 1 :]]).lower()
                if swapped in folders:
                    yield folders[swapped]
    yield folder
    for word in _LABEL_FOLDERS:
        if (beside := "/".join([*parts, word]).lower()) in folders:
            yield folders[beside]
        if (below := "/".join([word, *parts]).lower()) in folders:
            yield folders[below]
        if parts and (above := "/".join([*parts[:-1], word]).lower()) in folders:
            yield folders[above]


def _name_of(picture: str) -> str:
    """The name of a picture below the folder of images, without that of the split."""
    parts = picture.split("/")
    start = 0
    for position, part in enumerate(parts[:-1]):
        if part.lower() in ("images", "image", "imgs", "img", "jpegimages", "obj_train_data", "labels"):
            start = position + 1
    while start < len(parts) - 1 and split_named(parts[start]) is not None:
        start += 1
    return "/".join(parts[start:])


def _read_label(path: Path, image: SourceImage, names: Names, account: Account) -> int:
    """Adds the objects of one label file; gives the largest class number."""
    try:
        lines = read_text(path).splitlines()
    except BrokenError as error:
        account.broken(str(error), image.where)
        return -1
    top = -1
    for line_number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        account.went_in.boxes += 1
        where = image.object_at.format(line_number)
        try:
            index = _class_of(fields[0], names)
            bbox = _bbox(fields, names.keypoints, where, account)
        except BrokenError as error:
            account.broken(str(error), where, boxes=1)
            continue
        top = max(top, index)
        label = f"class_{index}" if names.names is None else names.names[index]
        image.objects.append(SourceObject(label, bbox, line_number))
    return top


def _class_of(text: str, names: Names) -> int:
    index = whole(text)
    if index is None or index < 0:
        raise BrokenError(f"expected the number of a class first, got {shorten(text)}")
    if names.names is None:
        if index > 100_000:
            raise BrokenError(f"the class {index} is no number of a class")
        return index
    if index not in names.names:
        raise BrokenError(f"class {index} has no name; {shown(names.file)} has {len(names.names)} names, from 0 on")
    return index


def _bbox(fields: Sequence[str], keypoints: int, where: str, account: Account) -> tuple[float, float, float, float]:
    values = [number(text, "a share of the image") for text in fields[1:]]
    if keypoints and len(values) in (4 + keypoints, 5 + keypoints):
        account.changed("keypoints left out; the box is kept", where)
        values = values[:4]
    if len(values) in (4, 5):
        if len(values) == 5:
            account.changed("a sixth column, the confidence of a prediction, left out; the box is kept", where)
        x, y, width, height = values[:4]
        bbox = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    elif len(values) >= 6:
        if len(values) % 2:
            account.changed("a last column, the confidence of a prediction, left out; the polygon is kept", where)
            values = values[:-1]
        bbox = around(values)
        account.changed("box made from a polygon", where)
    else:
        raise BrokenError(f"expected class x y width height, or class and a polygon, got {len(fields)} columns")
    if max(map(abs, values)) > 10:
        raise BrokenError(f"expected shares of the image from 0 to 1, got {shorten(' '.join(fields[1:5]))}; pixels?")
    return bbox


def _listed_splits(reading: Reading, names: Names) -> dict[str, str]:
    """The split of each image that data.yaml, or a list beside it, puts into one."""
    tree = reading.pictures.tree
    found: dict[str, str] = {}
    for split, entries in names.splits.items():
        for entry in entries:
            members = _members(entry, tree)
            for picture in members:
                if (earlier := found.setdefault(picture, split)) != split:
                    reading.account.noted(f"data.yaml has it in {earlier} and in {split}; it is in {earlier}", picture)
    return found


def _members(entry: str, tree: Tree) -> list[str]:
    """The images of a folder or of a list of names."""
    parts = parts_of(entry)
    lists = [name for name in tree.files if name.endswith(".txt") and name.split("/")[-len(parts) :] == parts]
    if entry.lower().endswith(".txt") and lists:
        lines = read_text(tree.path(lists[0])).splitlines()
        by_last: dict[str, list[str]] = {}
        for picture in tree.pictures:
            by_last.setdefault(folded(picture.rpartition("/")[2]), []).append(picture)
        members = []
        for line in lines:
            written = parts_of(line)
            near = by_last.get(folded(written[-1]), []) if written else []
            members += [name for name in near if len(near) == 1 or name.endswith("/".join(written[-2:]))]
        return members
    for start in range(len(parts)):
        prefix = "/".join(parts[start:]) + "/"
        members = [name for name in tree.pictures if name.startswith(prefix)]
        if members:
            return members
    return []


def _name_leftover_labels(reading: Reading, left: set[str], names: Names) -> None:
    """Label files without an image are lost objects; other text files are nobody's labels."""
    tree, account = reading.tree, reading.account
    for name in sorted(left):
        if reading.images_given:
            account.noted("labels of images that are not in the folder that was given", shown(name))
            continue
        path = PurePosixPath(name)
        in_labels = any(part.lower() in _LABEL_FOLDERS for part in path.parts[:-1])
        if not (in_labels or _is_label(tree.path(name))) or path.name.lower() in _NAME_LISTS:
            account.noted("a text file that is not an image's labels, ignored", shown(name))
            continue
        lines = _lines_of(tree.path(name))
        if not lines:
            account.left_out("an empty label file without an image", shown(name))
            continue
        account.went_in.boxes += lines
        near = reading.pictures.of_stem(path.stem)
        hint = f"; did you mean that of {shown(near[0])}" if near else ""
        account.broken(f"no image goes with this label file{hint}", shown(name), boxes=lines)


def _lines_of(path: Path) -> int:
    try:
        return sum(bool(line.strip()) for line in read_text(path).splitlines())
    except BrokenError:
        return 1
