"""The report's images as files of their own, so that two models' answers to one image can be seen side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from boxwright.evaluation import GALLERY_FILE, GALLERY_FOLDER, gallery_picture
from boxwright.evaluation.report.galleries import Pair
from boxwright.storage import replacing, write_json


def write_gallery(folder: Path, galleries: Mapping[str, Sequence[Pair]]) -> None:
    """Writes `gallery/0000.jpg` and so on, each image once, and `gallery.json` after them.

    That is a list, in the order of the report, of `{picture, file, caption, galleries}`: the picture's number, the
    image's file name, its counts in words, and the names of the galleries that show it.

    Args:
        folder: where to write.
        galleries: pairs by the gallery's name.
    """
    listed: dict[str, dict[str, object]] = {}
    (folder / GALLERY_FOLDER).mkdir(exist_ok=True)
    for name, pairs in galleries.items():
        for pair in pairs:
            if pair.file in listed:
                listed[pair.file]["galleries"] += [name]  # type: ignore[operator]
                continue
            number = len(listed)
            listed[pair.file] = {"picture": number, "file": pair.file, "caption": pair.caption, "galleries": [name]}
            with replacing(folder / gallery_picture(number)) as temporary:
                temporary.write_bytes(pair.jpeg)
    write_json(folder / GALLERY_FILE, list(listed.values()))
