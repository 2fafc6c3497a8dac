"""Finds the file of each image of a set that was read, and names those that are not there or are not clear."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from urllib.parse import unquote

from boxwright.dataset.importing.source import (
    Reading,
    SourceImage,
    SourceSet,
    closest,
    folded,
    image_folders,
    is_picture,
    parts_of,
    plural,
    shown,
    split_called,
    split_named,
    without_upload,
)


def find_images(found: SourceSet, reading: Reading, loosely: bool) -> None:
    """Sets `path` and `out_name` of the images; those without a clear file of their own are taken out, by name.

    Args:
        found: changed in place.
        reading: has the pictures.
        loosely: whether a name that differs in case, extension or Unicode form is taken as meant, and named: where
            tools are known to write such. Elsewhere it is an error that names what may be meant.
    """
    taken: dict[tuple[str | None, str], SourceImage] = {}
    first: dict[str, SourceImage] = {}
    folders: set[str] = set()
    tree = reading.pictures.tree
    kept = []
    for image in found.images:
        if image.path is None and not image.out_name:
            path = _find(image, reading, loosely)
            if path is None:
                if image.content is not None:
                    image.out_name = _embedded_name(image)
                    kept.append(image)
                continue
            told = None if image.split is not None else tree.split_called(path.rpartition("/")[0])
            image.split = image.split or told
            earlier = taken.setdefault((image.split, tree.identity(path)), image)
            other = first.setdefault(tree.identity(path), image)
            # A file of the whole set beside those of its splits would bring each image twice.
            if earlier is image and None in (image.split, other.split):
                earlier = other
            if earlier is not image:
                reason = f"its image {shown(path)} is that of {earlier.where} already; join them, or take one file out"
                reading.account.broken(reason, image.where, images=1, boxes=len(image.objects))
                continue
            folders.add(path.rpartition("/")[0])
            image.path = tree.path(path)
            image.out_name = _out_name(image.name, path) if told is None else _inside_split(image.name, path)
        kept.append(image)
    found.images = kept
    _note_images_of_two_splits(taken, reading)
    if folders:
        _name_unused({path for _, path in taken}, folders, reading)


def _find(image: SourceImage, reading: Reading, loosely: bool) -> str | None:
    """The path of an image's file; None, and a remark, where there is none or several may be meant."""
    file = reading.file_of(image.where)
    folders = image_folders(reading, file)
    # Equal names of two splits are told apart by their folders.
    split = image.split or (split_named(file.rpartition("/")[2]) if reading.file is not None else None)
    if split is not None:
        folders = [*reading.split_folders.get(split, ()), *folders]
    matches = reading.pictures.find(image.name, folders)
    if len(matches) > 1:
        matches = closest(matches, [*PurePosixPath(file).parts[:-1], ""])
    if len(matches) == 1:
        _note_other_split(matches[0], image, reading)
        return matches[0]
    name = shown(image.name)
    if matches:
        reason = f"{name} may be {' or '.join(map(shown, matches[:3]))}; give --images"
        reading.account.broken(reason, image.where, images=1, boxes=len(image.objects))
        return None
    if image.content is not None:
        reading.account.noted(f"image {name} is not there; the one inside of the file is taken", image.where)
        return None
    return _find_alike(image, folders, reading, loosely)


def _find_alike(image: SourceImage, folders: list[str], reading: Reading, loosely: bool) -> str | None:
    """The path of a file whose name is not quite the written one."""
    if not parts_of(image.name):
        reading.account.broken("expected the name of an image", image.where, images=1, boxes=len(image.objects))
        return None
    name, near = shown(image.name), reading.pictures.alike(image.name)
    if (plain := without_upload(parts_of(image.name)[-1])) is not None:
        unhashed = reading.pictures.find(plain, folders)
        if len(unhashed) == 1:
            reading.account.changed("image is not there; the one without the prefix of an upload is taken", image.where)
            return unhashed[0]
    decoded = reading.pictures.find(unquote(image.name), folders) if "%" in image.name else []
    if len(decoded) == 1:
        reading.account.changed("image is not there; the name is taken as percent-encoded", f"{image.where}: {name}")
        return decoded[0]
    if loosely:
        near = near or [path for stem in image.stand_ins for path in reading.pictures.of_stem(stem)]
        if len(near) == 1:
            # A name without extension is a habit of some tools, and says all that there is to say.
            if near[0].rpartition("/")[2].rpartition(".")[0] != (parts_of(image.name) or [""])[-1]:
                reading.account.changed(f"image {name} is not there; taken as {shown(near[0])}", image.where)
            return near[0]
    hint = f"did you mean {shown(_told_from(near[0], image.name))}?" if near else _advice(image.name)
    reading.account.broken(f"image {name} does not exist; {hint}", image.where, images=1, boxes=len(image.objects))
    return None


def _told_from(path: str, written: str) -> str:
    """The name of a file, with its folders where only they differ from what is written."""
    name = path.rpartition("/")[2]
    return path if name == (parts_of(written) or [""])[-1] else name


def _note_other_split(path: str, image: SourceImage, reading: Reading) -> None:
    own = reading.pictures.tree.split_of(path.rpartition("/")[0])
    if image.split is not None and own is not None and own != image.split:
        reading.account.noted(f"an image for {image.split} that lies in a folder for {own}",
                              f"{image.where}: {shown(path)}")  # fmt: skip


def _note_images_of_two_splits(taken: dict[tuple[str | None, str], SourceImage], reading: Reading) -> None:
    first: dict[str, SourceImage] = {}
    for (_, path), image in taken.items():
        if (earlier := first.setdefault(path, image)) is not image:
            reason = f"an image of {image.split} that is in {earlier.split}, too: metrics become too good"
            reading.account.noted(reason, f"{image.where}: {shown(path)}")


def _embedded_name(image: SourceImage) -> str:
    last = (parts_of(image.name) or [""])[-1]
    return last if is_picture(last) else f"{last or 'image'}.jpg"


def _advice(name: str) -> str:
    if name.startswith("s3://"):
        return "give --fetch, or fetch it and give the folder with --images"
    if "://" in name:
        return "fetch it, and give the folder with --images"
    return "put it there, give --images, or take it out of the set"


def _out_name(written: str, path: str) -> str:
    """As much of the written name as the file's path confirms, with the file's own spelling."""
    own, named = path.split("/"), parts_of(written)
    count = 1
    while count < min(len(own), len(named)) and folded(own[-count - 1]) == folded(named[-count - 1]):
        count += 1
    return "/".join(own[-count:])


def _inside_split(written: str, path: str) -> str:
    """As `_out_name`, without the folder that says which split it is."""
    first, _, rest = _out_name(written, path).partition("/")
    return rest if rest and split_called(first) else _out_name(written, path)


def _name_unused(used: set[str], folders: set[str], reading: Reading) -> None:
    """Pictures that no record names: each of those in the folders of those that are used, of others their number."""
    account, tree = reading.account, reading.pictures.tree
    others: Counter[str] = Counter()
    for path in reading.pictures.names:
        folder = path.rpartition("/")[0]
        if tree.identity(path) in used:
            continue
        if reading.file is not None:
            if folder in folders:
                account.noted("the file that was given does not name this image", shown(path))
        elif folder in folders:
            account.left_out("no label names this image, so that it is not known whether it is a negative", shown(path))
        else:
            others[folder] += 1
    for folder, number in others.items():
        account.left_out("no label names an image of this folder",
                         f"{shown(folder or '.')} ({number} {plural('image', number)})")  # fmt: skip
