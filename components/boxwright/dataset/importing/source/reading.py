"""What every reader is given: the files of the source, its pictures, and the account that it writes to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from boxwright.dataset.importing.source.account import Account
from boxwright.dataset.importing.source.records import BrokenError, class_name, shown
from boxwright.dataset.importing.source.split_words import split_named
from boxwright.dataset.importing.source.texts import read_json
from boxwright.dataset.importing.source.tree import Pictures, Tree
from boxwright.errors import UsageError

# A file of annotations lies beside the images or in a folder of its own beside theirs.
_OWN_FOLDERS = ("annotations", "annotation", "annots", "labels", "manifests", "json", "csv")


@dataclass
class Reading:
    """One source while it is read.

    Attributes:
        source: the folder, file or archive that was given, for messages.
        tree: the files of the folder, or of the folder of the file.
        pictures: those among which images are looked for.
        account: where to count and name.
        file: the path of the given file in `tree`; None for a folder.
        images_given: whether the folder of the images was given.
        folders: where names are looked for first, if it was.
        unpacked: whether the source is an archive, so that nothing above its folder is the user's.
        spelled: how the name of each class is written, with the space around it.
    """

    source: Path
    tree: Tree
    pictures: Pictures
    account: Account
    file: str | None = None
    images_given: bool = False
    folders: tuple[str, ...] = ()
    unpacked: bool = False
    spelled: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @cached_property
    def split_folders(self) -> dict[str, list[str]]:
        """The folders with pictures that are called like a split."""
        found: dict[str, list[str]] = defaultdict(list)
        for folder in sorted({name.rpartition("/")[0] for name in self.pictures.names}):
            if (split := self.pictures.tree.split_of(folder)) is not None:
                found[split].append(folder)
        return dict(found)

    def split_of_file(self, file: str) -> str | None:
        """The split that a file of annotations is named after, or its folder; none of a file that was given alone."""
        if self.file is not None:
            return None
        folder, _, name = file.rpartition("/")
        return split_named(name) or self.tree.split_of(folder)

    def file_of(self, where: str) -> str:
        """The file of a place: what is in front of its record."""
        parts = where.split(": ")
        names = (": ".join(parts[:count]) for count in range(1, len(parts) + 1))
        return next((name for name in names if name in self.tree.known), parts[0])

    def class_name(self, written: object) -> str | None:
        """The name of a class, as `records.class_name` gives it; several spellings of one are remembered."""
        name = class_name(written)
        if name is not None:
            self.spelled[name].add(str(written))
        return name

    def name_spellings(self) -> None:
        """Notes the classes whose names differ by the space around them, and that are one therefore."""
        for name, written in self.spelled.items():
            if len(written) > 1:
                self.account.noted("classes whose names differ only by space around them; they are one", shown(name))

    def candidates(self, *suffixes: str) -> list[str]:
        """The files with these endings that are to be read: the given one, or all in the tree."""
        return [self.file] if self.file is not None else self.tree.ending(*suffixes)

    def recognised(self, is_one: Callable[[Path], bool], by: str, *suffixes: str) -> str | None:
        """Why the source is of a format: the first of its `candidates` that is one, and what it is told by."""
        found = next((name for name in self.candidates(*suffixes) if is_one(self.tree.path(name))), None)
        return None if found is None else f"{shown(found)} has {by}"

    def chosen(self, is_one: Callable[[Path], bool], by: str, *suffixes: str) -> list[str]:
        """The files to read: the given one, or all that are of a format; the others with its endings are named.

        Args:
            is_one: whether a file is of the format.
            by: what it is told by.
            suffixes: the format's endings.
        """
        if self.file is not None:
            return [self.file]
        found = []
        for name in self.tree.ending(*suffixes):
            if is_one(self.tree.path(name)):
                found.append(name)
            else:
                self._name_unread(name, by)
        return found

    def _name_unread(self, name: str, by: str) -> None:
        """Names a file that is of another kind; one that is cut off or torn may be of this kind, and is broken."""
        if name.lower().endswith(".json"):
            try:
                read_json(self.tree.path(name))
            except BrokenError as error:
                if "Extra data" not in str(error):  # JSON Lines
                    self.account.broken(str(error), shown(name))
                    return
        self.account.noted(f"not read: expected {by}", shown(name))


def open_source(given: Path, source: Path, images: Path | None, out_dir: Path, account: Account) -> Reading:
    """Lists the files of a source.

    Args:
        given: what the user calls it.
        source: a folder, or a file in the folder of a set; `given`, or what it is unpacked to.
        images: the folder of the images, if the source's own is not to be searched.
        out_dir: not part of the source, even if it lies in it.
        account: receives what a system left behind there.

    Raises:
        UsageError: `images` is not there.
    """
    if images is not None and not images.is_dir():
        raise UsageError(f"--images {images} is not a folder; expected the folder of the images")
    root = source if source.is_dir() else source.absolute().parent
    if not source.is_dir() and root.name.lower() in _OWN_FOLDERS and images is None:
        root = root.parent
    tree = Tree(root, out_dir)
    pictures, folders = _pictures(tree, images, out_dir)
    for listed in {id(tree): tree, id(pictures.tree): pictures.tree}.values():
        _note_unlisted(listed, account)
    file = None if source.is_dir() else source.absolute().relative_to(root).as_posix()
    return Reading(given, tree, pictures, account, file, images is not None, folders, source != given)


def _note_unlisted(tree: Tree, account: Account) -> None:
    for name in tree.leftovers:
        account.noted("left behind by a system, not part of the set", shown(name))
    for name in tree.packed:
        account.noted("packed, not read; unpack it if it is part of the set", shown(name))
    for name, reason in tree.closed.items():
        account.noted(reason, shown(name))
    for name, reason in tree.unreadable.items():
        account.broken(reason, shown(name))


def _pictures(tree: Tree, images: Path | None, out_dir: Path) -> tuple[Pictures, tuple[str, ...]]:
    """The pictures to choose from, and the folders in which names are looked for first."""
    if images is None:
        return Pictures(tree), ()
    root, below = tree.root.resolve(), images.resolve()
    if below == root or not below.is_relative_to(root):
        return Pictures(Tree(images, out_dir)), ("",)
    folder = below.relative_to(root).as_posix()
    return Pictures(tree, f"{folder}/"), (folder,)


def image_folders(reading: Reading, file: str) -> list[str]:
    """The folders in which the images that `file` names are looked for first."""
    if reading.folders:
        return list(reading.folders)
    folder = file.rpartition("/")[0]
    above = folder.rpartition("/")[0]
    places = (folder, above)
    usual = ("images", "JPEGImages", "Images", "imgs", "")
    return list(dict.fromkeys(f"{at}/{name}".strip("/") for at in places for name in usual))
