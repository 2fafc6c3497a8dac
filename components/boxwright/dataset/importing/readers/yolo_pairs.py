"""Which label file goes with which picture of a YOLO set, and the pictures and text files that go with none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from boxwright.dataset.importing.readers.others import told
from boxwright.dataset.importing.readers.yolo_lines import is_label
from boxwright.dataset.importing.readers.yolo_names import NAME_LISTS
from boxwright.dataset.importing.source import (
    BrokenError,
    Pictures,
    Reading,
    Tree,
    plural,
    read_text,
    shown,
    without_upload,
)

_LABEL_FOLDERS = ("labels", "label", "annotations", "annots", "txt")


@dataclass
class Pairs:
    """The label file of each picture.

    Attributes:
        label_of: by picture, None where there is none.
        shadowed: the label files of pictures that only have the name of the one that it belongs to, as masks have.
    """

    label_of: dict[str, str | None] = field(default_factory=dict)
    shadowed: dict[str, str] = field(default_factory=dict)


def pair(labels: set[str], tree: Tree, reading: Reading) -> Pairs:
    """Finds the label file of each picture of a set.

    Args:
        labels: the text files that may be labels.
        tree: where they are.
        reading: has the pictures.
    """
    by_name, folders = _by_name(labels, reading.pictures), _label_folders(tree)
    found = {picture: _label_of(picture, by_name, folders) for picture in reading.pictures.names}
    nearest: dict[str, int] = {}
    for near, label in filter(None, found.values()):
        nearest[label] = min(near, nearest.get(label, near))
    if not nearest:
        return _paired_by_stem(labels, tree, reading)
    pairs = Pairs()
    for picture, one in found.items():
        is_own = one is not None and one[0] == nearest[one[1]]
        pairs.label_of[picture] = one[1] if one is not None and is_own else None
        if one is not None and not is_own:
            pairs.shadowed[picture] = one[1]
    return pairs


def _paired_by_stem(labels: set[str], tree: Tree, reading: Reading) -> Pairs:
    """Pairs what has the same name and is the only one with it, where no layout that is known pairs anything."""
    files, pictures = _by_stem(sorted(labels)), _by_stem(reading.pictures.names)
    pairs = Pairs(dict.fromkeys(reading.pictures.names))
    for stem, names in files.items():
        if len(names) == len(pictures.get(stem, ())) == 1 and is_label(tree.path(names[0])):
            pairs.label_of[pictures[stem][0]] = names[0]
            reading.account.changed("labels found by their name alone, as their folder does not tell",
                                    f"{shown(names[0])}: {shown(pictures[stem][0])}")  # fmt: skip
    return pairs


def _by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(PurePosixPath(name).stem, []).append(name)
    return found


def name_unlabelled(pairs: Pairs, left: set[str], pictures: Iterable[str], reading: Reading) -> None:
    """Names the folders of images without a label file among those with some.

    Args:
        pairs: the label files.
        left: text files that are none of them.
        pictures: those that become images.
        reading: has all files.

    Raises:
        BrokenError: no image has labels, and they are elsewhere, or of a form that is not read.
    """
    pictures = list(pictures)
    folders = Counter(picture.rpartition("/")[0] for picture in pictures)
    labelled = {picture.rpartition("/")[0] for picture in pictures if pairs.label_of[picture] is not None}
    if not labelled and pictures:
        _name_all_negatives(reading, len(pictures), left)
        return
    for folder, number in folders.items():
        if folder not in labelled:
            reading.account.noted("no image of this folder has a file of labels, so that all are negatives",
                                  f"{shown(folder or '.')} ({number} {plural('image', number)})")  # fmt: skip


def _name_all_negatives(reading: Reading, images: int, left: set[str]) -> None:
    if reading.file is not None or reading.images_given:
        raise BrokenError(
            f"none of {images} images has a file of labels: expected NAME.txt beside each, or in a folder labels "
            "beside that of the images; give the folder that holds both, as the source or by --images"
        )
    others = sorted(name for name in left if not is_label(reading.tree.path(name)))
    if namesakes := [name for name in others if reading.pictures.of_stem(PurePosixPath(name).stem)]:
        reason = told(reading, namesakes) or f"{shown(namesakes[0])} has the name of one, and is not in YOLO's form"
        raise BrokenError(f"none of {images} images has a file of labels that is read; {reason}")
    reading.account.noted("no image has a file of labels, so that all are negatives", shown(str(reading.source)))


def _label_folders(tree: Tree) -> dict[str, str]:
    """The folders with text files, by their names without case."""
    return {folder.lower(): folder for folder in {name.rpartition("/")[0] for name in tree.ending(".txt")}}


def _by_name(labels: set[str], pictures: Pictures) -> dict[str, str]:
    """The label files by what they are looked for: with .txt in small letters, and without the prefix of an upload."""
    found = {f"{label[:-4]}.txt": label for label in sorted(labels)}
    for label in sorted(labels):
        folder, _, last = label.rpartition("/")
        plain = without_upload(last[:-4])
        if plain is not None and not pictures.of_stem(last[:-4]):
            found.setdefault(f"{folder}/{plain}.txt" if folder else f"{plain}.txt", label)
    return found


def _label_of(picture: str, labels: dict[str, str], folders: dict[str, str]) -> tuple[int, str] | None:
    """The label file of an image and how near it is: in the folder of labels for its own, beside it, or elsewhere."""
    folder, _, last = picture.rpartition("/")
    stem = last.rpartition(".")[0]
    for near, candidate in _label_candidates(folder, folders):
        path = f"{candidate}/{stem}.txt" if candidate else f"{stem}.txt"
        if path in labels:
            return near, labels[path]
    return None


def _label_candidates(folder: str, folders: dict[str, str]) -> Iterator[tuple[int, str]]:
    parts = folder.split("/") if folder else []
    for position in range(len(parts) - 1, -1, -1):
        if parts[position].lower() in ("images", "image", "imgs", "img", "jpegimages"):
            for word in _LABEL_FOLDERS:
                swapped = "/".join([*parts[:position], word, *parts[position + 1 :]]).lower()
                if swapped in folders:
                    yield 0, folders[swapped]
    yield 1, folder
    for word in _LABEL_FOLDERS:
        if (beside := "/".join([*parts, word]).lower()) in folders:
            yield 2, folders[beside]
        if (below := "/".join([word, *parts]).lower()) in folders:
            yield 2, folders[below]
        if parts and (above := "/".join([*parts[:-1], word]).lower()) in folders:
            yield 2, folders[above]


def name_leftover(reading: Reading, left: set[str], pairs: Pairs) -> None:
    """Label files without an image are lost objects; other text files are nobody's labels.

    One of another form with the name of an image that has no labels may be them, and is held for lost as well.
    """
    tree, account = reading.tree, reading.account
    for name in sorted(left):
        if reading.images_given:
            account.noted("labels of images that are not in the folder that was given", shown(name))
            continue
        path = PurePosixPath(name)
        near = reading.pictures.of_stem(path.stem)
        in_labels = any(part.lower() in _LABEL_FOLDERS for part in path.parts[:-1])
        is_wanted = any(pairs.label_of[picture] is None for picture in near)
        if not (in_labels or is_wanted or is_label(tree.path(name))) or path.name.lower() in NAME_LISTS:
            account.noted("a text file that is not an image's labels, ignored", shown(name))
            continue
        lines = _lines_of(tree.path(name))
        if not lines:
            account.left_out("an empty label file without an image", shown(name))
            continue
        account.went_in.boxes += lines
        hint = f"; did you mean that of {shown(near[0])}" if near else ""
        account.broken(f"no image goes with this label file{hint}", shown(name), boxes=lines)


def _lines_of(path: Path) -> int:
    try:
        return sum(bool(line.strip()) for line in read_text(path).splitlines())
    except BrokenError:
        return 1
