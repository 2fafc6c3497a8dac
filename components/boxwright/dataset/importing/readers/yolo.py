"""YOLO: one text file an image, with a line an object, and a list of class names.

Images are walked, not label files: an image without one is a negative. A line is `class x y w h` in shares of the
image, with a confidence behind it where a model wrote it; or a class and a polygon, whose box is taken. See the
documentation of darknet's and Ultralytics' datasets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from boxwright.dataset.importing.readers.yolo_lists import Lists, lists_of_pictures
from boxwright.dataset.importing.readers.yolo_names import NAME_LISTS, Names, find_names
from boxwright.dataset.importing.source import (
    Account,
    BBox,
    BrokenError,
    Pictures,
    Reading,
    SourceImage,
    SourceObject,
    SourceSet,
    Tree,
    around,
    folded,
    number,
    read_text,
    read_yaml,
    share,
    shown,
    split_named,
    whole,
    without_upload,
)
from boxwright.errors import shorten

_LABEL_FOLDERS = ("labels", "label", "annotations", "annots", "txt")
_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "obj_train_data", "labels")
_FEWEST = 5  # columns of an object


def recognise(reading: Reading) -> str | None:
    """Why this looks like YOLO, or None."""
    if reading.file is not None and not reading.file.lower().endswith((".yaml", ".yml")):
        return None
    tree = reading.tree
    for name in tree.ending(".yaml", ".yml"):
        if _has_names(tree.path(name)):
            return f"{shown(name)} has class names"
    lists = [name for name in tree.files if name.rpartition("/")[2].lower() in NAME_LISTS or name.endswith(".names")]
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
    names = find_names(reading)
    listed = Lists(reading, names.source or names.file, names.splits or lists_of_pictures(tree))
    labels = set(tree.ending(".txt")) - {names.file} - listed.files
    if not labels:  # a file of names, and all else where the images are
        tree = reading.pictures.tree
        labels = set(tree.ending(".txt")) - listed.files
    by_name = _by_name(labels, reading.pictures)
    folders = _label_folders(tree)
    used: set[str] = set()
    images, top = [], 0
    labelled = {picture: _label_of(picture, by_name, folders) for picture in reading.pictures.names}
    for picture in _without_links(labelled, reading):
        label = labelled[picture]
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
            top = max(top, _read_label(tree.path(label), image, names, account))
        images.append(image)
    if images and not used:
        _name_all_negatives(reading, len(images))
    account.went_in.images += len(images)
    account.went_in.files = len(used)
    _name_leftover_labels(reading, labels - used, names)
    classes = names.names if names.names is not None else {index: f"class_{index}" for index in range(top + 1)}
    return SourceSet(images, dict.fromkeys((classes[index] for index in sorted(classes)), None))


def _name_all_negatives(reading: Reading, images: int) -> None:
    """Says that no image has labels; where only a file or the images were given, the labels lie elsewhere.

    Raises:
        BrokenError: in that case.
    """
    if reading.file is not None or reading.images_given:
        raise BrokenError(
            f"none of {images} images has a file of labels: expected NAME.txt beside each, or in a folder labels "
            "beside that of the images; give the folder that holds both, as the source or by --images"
        )
    reading.account.noted("no image has a file of labels, so that all are negatives", shown(str(reading.source)))


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


def _label_of(picture: str, labels: dict[str, str], folders: dict[str, str]) -> str | None:
    """The label file of an image: beside it, or in the folder of labels that goes with its own."""
    folder, _, last = picture.rpartition("/")
    stem = last.rpartition(".")[0]
    for candidate in _label_candidates(folder, folders):
        path = f"{candidate}/{stem}.txt" if candidate else f"{stem}.txt"
        if path in labels:
            return labels[path]
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


def _name_of(picture: str, top: str) -> str:
    """The name of a picture below the folder of images, without that of the split."""
    parts = picture.removeprefix(top).split("/")
    start = next((at + 1 for at, part in enumerate(parts[:-1]) if part.lower() in _IMAGE_FOLDERS), 0)
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
        where = image.object_at.format(line_number)
        fields = line.split()
        if not fields:
            continue
        if line.count(",") >= _FEWEST - 1 and (len(fields) < _FEWEST or fields[0].endswith(",")):
            account.changed("columns between commas, read like those between spaces", where)
            fields = line.replace(",", " ").split()
        account.went_in.boxes += 1
        try:
            index = _class_of(fields[0], names, where, account)
            bbox = _bbox(fields, names.keypoints, where, account)
        except BrokenError as error:
            account.broken(str(error), where, boxes=1)
            continue
        top = max(top, index)
        label = f"class_{index}" if names.names is None else names.names[index]
        image.objects.append(SourceObject(label, bbox, line_number))
    return top


def _class_of(text: str, names: Names, where: str, account: Account) -> int:
    index = whole(text)
    if index is None and text in (names.names or {}).values():
        account.changed("a class by its name, not its number", where)
        return next(index for index, name in (names.names or {}).items() if name == text)
    if index is None or index < 0:
        raise BrokenError(f"expected the number of a class first, got {shorten(text)}")
    if names.names is None:
        if index > 100_000:
            raise BrokenError(f"the class {index} is no number of a class")
        return index
    if index not in names.names:
        is_whole = sorted(names.names) == list(range(len(names.names)))
        hint = "; are they counted from 1?" if is_whole and index == len(names.names) else ""
        which = "from 0 on" if is_whole else f"of {shorten(sorted(names.names))}"
        raise BrokenError(f"class {index} has no name; {shown(names.file)} has {len(names.names)} names, {which}{hint}")
    return index


def _bbox(fields: Sequence[str], keypoints: int, where: str, account: Account) -> BBox:
    values = [share(text) for text in fields[1:5]] + [number(text, "a number") for text in fields[5:]]
    if _has_keypoints(values, keypoints):
        account.changed("keypoints left out; the box is kept", where)
        values = values[:4]
    if len(values) in (4, 5):
        if len(values) == 5:
            account.changed("a sixth column, the confidence of a prediction, left out; the box is kept", where)
        x, y, width, height = values[:4]
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(values) < 6:
        raise BrokenError(f"expected class x y width height, or class and a polygon, got {len(fields)} columns")
    if len(values) % 2:
        account.changed("a last column, the confidence of a prediction, left out; the polygon is kept", where)
        values = values[:-1]
    account.changed("box made from a polygon", where)
    return around(share(value) for value in values)


def _has_keypoints(values: Sequence[float], keypoints: int) -> bool:
    """Whether keypoints follow a box: as many as data.yaml says, or each with a visibility of 0, 1 or 2."""
    if keypoints:
        return len(values) in (4 + keypoints, 5 + keypoints)
    flags = values[6::3]
    return len(values) > 4 and (len(values) - 4) % 3 == 0 and all(flag in (0, 1, 2) for flag in flags) and 2 in flags


def _name_leftover_labels(reading: Reading, left: set[str], names: Names) -> None:
    """Label files without an image are lost objects; other text files are nobody's labels."""
    tree, account = reading.tree, reading.account
    for name in sorted(left):
        if reading.images_given:
            account.noted("labels of images that are not in the folder that was given", shown(name))
            continue
        path = PurePosixPath(name)
        in_labels = any(part.lower() in _LABEL_FOLDERS for part in path.parts[:-1])
        if not (in_labels or _is_label(tree.path(name))) or path.name.lower() in NAME_LISTS:
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
