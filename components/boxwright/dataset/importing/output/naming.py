"""The split and the name that each image has in what is written: no two of a split have the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from boxwright.dataset.importing.source import READ, Account, SourceImage, SourceSet, is_picture, plain_spaces, shown

SPLITS = ("training", "validation", "test")


def name_other_spaces(found: SourceSet, account: Account) -> None:
    """Writes plain spaces in the names of classes that have others, which look the same and are no letters."""
    other = {name: plain_spaces(name) for name in found.classes if not name.isprintable()}
    if not other:
        return
    for name in other:
        account.changed("spaces of another kind in the name of a class; written as plain ones", shown(name))
    classes: dict[str, int | None] = {}
    for name, key in found.classes.items():
        classes.setdefault(other.get(name, name), key)
    found.classes = classes
    for image in found.images:
        for box in image.objects:
            box.label = other.get(box.label, box.label)


def settle_splits(images: Sequence[SourceImage], account: Account) -> None:
    """Puts each image into a split, or all into none, where the source does not tell at least two apart."""
    named = {image.split for image in images} - {None}
    if named:
        for image in images:
            if image.split is None:
                image.split = "training"
                account.noted("in no split of the source; taken for training", image.where)
    if len({image.split for image in images}) == 1:
        for image in images:
            image.split = None


def settle_names(images: Iterable[SourceImage], root: Path, account: Account) -> None:
    """Gives images that would get the same name more of their folders, or a number where the source has no folders.

    Args:
        images: their `out_name` is changed in place.
        root: the folder that their files lie in.
        account: receives which names are not as written.
    """
    alike: dict[tuple[str | None, str], list[SourceImage]] = {}
    for image in images:
        alike.setdefault((image.split, image.out_name), []).append(image)
    for group in [group for group in alike.values() if len(group) > 1]:
        own = [image.path.relative_to(root).as_posix() for image in group if image.path is not None]
        if len(set(own)) == len(group):
            names = _told_apart(own)
        elif not own:
            stem, _, extension = group[0].out_name.rpartition(".")
            names = [group[0].out_name, *(f"{stem}-{number}.{extension}" for number in range(2, len(group) + 1))]
        else:
            continue  # the same file twice, which is named where names are held against each other
        for image, name in zip(group, names, strict=True):
            if name != image.out_name:
                account.changed("several images have this name; written under one that tells them apart",
                                f"{image.where}: {shown(name)}")  # fmt: skip
                image.out_name = name


def _told_apart(paths: Sequence[str]) -> list[str]:
    """Different paths without the folders that all of them begin with."""
    parts = [PurePosixPath(path).parts for path in paths]
    common = 0
    while len({own[common] for own in parts}) == 1:
        common += 1
    return ["/".join(own[common:]) for own in parts]


def with_extension(image: SourceImage, kind: str, reencoded: bool, account: Account) -> str:
    """The name that a picture gets: with an extension that Boxwright reads."""
    name = image.out_name
    if not reencoded and name.lower().endswith(READ):
        return name
    stem = name.rpartition(".")[0] if is_picture(name) else name
    new = f"{stem}.{'png' if reencoded or kind == 'PNG' else 'jpg'}"
    if new != name:
        account.changed("written under a name with another extension", f"{image.where}: {shown(new)}")
    return new
