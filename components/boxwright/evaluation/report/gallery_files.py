"""The report's images as files of their own, so that two models' answers to one image can be seen side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from boxwright.evaluation import GALLERY_FILE, GALLERY_FOLDER, GalleryEntry, gallery_picture
from boxwright.evaluation.report.galleries import Pair
from boxwright.storage import replacing, write_json


def write_gallery(folder: Path, galleries: Mapping[str, Sequence[Pair]]) -> None:
    """Writes `gallery/0000.jpg` and so on, each image once, and `gallery.json` after them.

    That is a list of `GalleryEntry`, in the order of the report.

    Args:
        folder: where to write.
        galleries: pairs by the gallery's name.
    """
    shown: dict[str, list[str]] = {}
    listed: dict[str, Pair] = {}
    for name, pairs in galleries.items():
        for pair in pairs:
            listed.setdefault(pair.file, pair)
            shown.setdefault(pair.file, []).append(name)
    (folder / GALLERY_FOLDER).mkdir(exist_ok=True)
    entries = []
    for number, pair in enumerate(listed.values()):
        with replacing(folder / gallery_picture(number)) as temporary:
            temporary.write_bytes(pair.jpeg)
        entries.append(
            GalleryEntry(picture=number, file=pair.file, caption=pair.caption, galleries=tuple(shown[pair.file]))
        )
    write_json(folder / GALLERY_FILE, [entry.model_dump() for entry in entries])
