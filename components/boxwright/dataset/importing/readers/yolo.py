"""YOLO: one text file an image, with a line an object, and a list of class names.

Images are walked, not label files: an image without one is a negative. A line is `class x y w h` in shares of the
image, with a confidence behind it where a model wrote it; or a class and a polygon, whose box is taken. See the
documentation of darknet's and Ultralytics' datasets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from boxwright.dataset.importing.readers.yolo_lines import is_label, read_label
from boxwright.dataset.importing.readers.yolo_lists import Lists, lists_of_pictures
from boxwright.dataset.importing.readers.yolo_names import NAME_LISTS, find_names
from boxwright.dataset.importing.readers.yolo_pairs import Pairs, name_leftover, name_unlabelled, pair
from boxwright.dataset.importing.source import (
    BrokenError,
    Reading,
    SourceImage,
    SourceSet,
    folded,
    read_yaml,
    shown,
    split_named,
)

_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "obj_train_data", "labels")


def recognise(reading: Reading) -> str | None:
    """Why this looks like YOLO, or None."""
    if reading.file is not None and not reading.file.lower().endswith((".yaml", ".yml")):
        return None
    tree = reading.tree
    for name in tree.ending(".yaml", ".yml"):
        if _has_names(tree.path(name)):
            return f"{shown(name)} has class names"
    lists = [name for name in tree.files if name.rpartition("/")[2].lower() in NAME_LISTS or name.endswith(".names")]
    labels = [name for name in tree.ending(".txt") if name not in lists and is_label(tree.path(name))]
    if labels:
        return f"{len(labels)} text files such as {shown(labels[0])} have lines of a class and shares of an image"
    return None


def _has_names(path: Path) -> bool:
    try:
        document = read_yaml(path)
    except BrokenError:
        return False
    return isinstance(document, dict) and bool({"names", "nc"} & set(document))


def read(reading: Reading) -> SourceSet:
    """Reads a whole set, or one split of it."""
    tree, account = reading.tree, reading.account
    names = find_names(reading)
    listed = Lists(reading, names.source or names.file, names.splits or lists_of_pictures(tree))
    labels = set(tree.ending(".txt")) - {names.file} - listed.files
    if not labels:  # a file of names, and all else where the images are
        tree = reading.pictures.tree
        labels = set(tree.ending(".txt")) - listed.files
    pairs = pair(labels, tree, reading)
    used: set[str] = set()
    images, top = [], 0
    taken = list(_taken(pairs, listed, reading))
    for picture in taken:
        label = pairs.label_of[picture]
        image = SourceImage(_name_of(picture, reading.pictures.tree.top), shown(picture), "{}", normalised=True)
        image.path, image.out_name = reading.pictures.tree.path(picture), image.name
        image.split = listed.split_of.get(picture) or reading.pictures.tree.split_of(picture.rpartition("/")[0])
        if label is not None:
            if label in used:
                account.noted("several images have this file of labels", f"{shown(label)}: {shown(picture)}")
            used.add(label)
            if folded(PurePosixPath(label).stem) != folded(PurePosixPath(picture).stem):
                account.changed("labels whose name has the prefix of an upload, and its image has not",
                                f"{shown(label)}: {shown(picture)}")  # fmt: skip
            image.where, image.object_at = shown(label), f"{shown(label)}: line {{}}"
            top = max(top, read_label(tree.path(label), image, names, account))
        images.append(image)
    name_unlabelled(pairs, labels - used, taken, reading)
    account.went_in.images += len(images)
    account.went_in.files = len(used)
    name_leftover(reading, labels - used, pairs)
    classes = (
        names.names
        if names.names is not None
        else {index: f"class_{index}" for index in range(max(top + 1, names.count))}
    )
    return SourceSet(images, dict.fromkeys((classes[index] for index in sorted(classes)), None))


def _taken(pairs: Pairs, listed: Lists, reading: Reading) -> Iterator[str]:
    """The pictures that are images of the set; those that are none are named and counted."""
    tree, account = reading.pictures.tree, reading.account
    for picture in _without_links(pairs.label_of, reading):
        if (label := pairs.shadowed.get(picture)) is not None:
            reason = "a picture without labels of its own, with the name of one that has some"
            account.left_out(reason, f"{shown(picture)}: {shown(label)}", images=1)
        elif (
            listed.split_of
            and pairs.label_of[picture] is None
            and (listed.split_of.get(picture) or tree.split_of(picture.rpartition("/")[0])) is None
        ):
            account.left_out("in no split of the set, and without labels", shown(picture), images=1)
        else:
            yield picture
            continue
        account.went_in.images += 1


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


def _name_of(picture: str, top: str) -> str:
    """The name of a picture below the folder of images, without that of the split."""
    parts = picture.removeprefix(top).split("/")
    start = next((at + 1 for at, part in enumerate(parts[:-1]) if part.lower() in _IMAGE_FOLDERS), 0)
    while start < len(parts) - 1 and split_named(parts[start]) is not None:
        start += 1
    return "/".join(parts[start:])
