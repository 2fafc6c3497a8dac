"""Pascal VOC: one XML file an image, as the challenge's own kit, labelImg and its followers write it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path, PurePosixPath

from boxwright.dataset.importing.numbers import around, number, size_of
from boxwright.dataset.importing.reading import Reading, image_folders
from boxwright.dataset.importing.records import BBox, BrokenError, SourceImage, SourceObject, SourceSet, shown
from boxwright.dataset.importing.texts import child_text, head_of, read_text, read_xml
from boxwright.dataset.importing.tree import split_named, split_of

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_TOLD_BY = 1 << 16  # bytes


def recognise(reading: Reading) -> str | None:
    """Why this looks like Pascal VOC, or None."""
    for name in reading.candidates(".xml"):
        if _is_voc(reading.tree.path(name)):
            return f"{shown(name)} has an <annotation> of one image"
    return None


def _is_voc(path: Path) -> bool:
    head = head_of(path, _TOLD_BY)
    return re.search(rb"<annotation[\s>]", head) is not None and (
        b"<object" in head or b"<size" in head or b"<filename" in head
    )


def read(reading: Reading) -> SourceSet:
    """Reads a whole set, in the splits of ImageSets/Main or of its folders."""
    tree, account = reading.tree, reading.account
    listed = _listed_splits(reading)
    images: list[SourceImage] = []
    classes: set[str] = set()
    boxed: list[SourceObject] = []
    for name in reading.candidates(".xml"):
        try:
            root = read_xml(tree.path(name))
        except BrokenError as error:
            account.went_in.images += 1
            account.broken(str(error), shown(name), images=1)
            continue
        if root.tag != "annotation":
            account.noted(f"an XML file with <{shown(root.tag, 40)}>, not <annotation>, ignored", shown(name))
            continue
        account.went_in.files += 1
        account.went_in.images += 1
        image = _image(root, name)
        image.split = listed.get(image.stand_ins[0]) or (None if listed else split_of(name.rpartition("/")[0]))
        boxed += _read_objects(root, image, reading)
        classes |= {found.label for found in image.objects}
        if listed and image.split is None:
            reason = "in no list of ImageSets/Main"
            account.left_out(reason, shown(name), images=1, boxes=len(image.objects))
            continue
        images.append(image)
    _own_names(images, reading)
    _from_zero(boxed, reading)
    return SourceSet(images, dict.fromkeys(sorted(classes), None), frame="raw")


def _image(root: ET.Element, file: str) -> SourceImage:
    stem = PurePosixPath(file).stem
    size = root.find("size")
    sides = (None, None) if size is None else (child_text(size, "width"), child_text(size, "height"))
    written = child_text(root, "filename") or child_text(root, "path") or stem
    return SourceImage(written, shown(file), f"{shown(file)}: object {{}}", size=size_of(*sides), stand_ins=(stem,))


def _read_objects(root: ET.Element, image: SourceImage, reading: Reading) -> list[SourceObject]:
    """Adds the objects of one file; gives those whose box is a <bndbox>."""
    account = reading.account
    boxed = []
    for index, element in enumerate(root.findall("object"), 1):
        account.went_in.boxes += 1
        where = image.object_at.format(index)
        try:
            label = " ".join((child_text(element, "name") or "").split())
            if not label or not label.isprintable():
                raise BrokenError("expected a <name> of the object, printable and not empty")
            bbox = _bbox(element, where, reading)
        except BrokenError as error:
            account.broken(str(error), where, boxes=1)
            continue
        for part in element.findall("part"):
            account.noted("parts of an object, which are not objects of their own, left out",
                          f"{where}: {shown(child_text(part, 'name') or 'part')}")  # fmt: skip
        difficult = child_text(element, "difficult") in ("1", "1.0", "true", "True")
        if difficult:
            account.changed("marked as difficult: neither trained on nor counted (a crowd)", where)
        image.objects.append(SourceObject(label, bbox, index, difficult))
        if element.find("bndbox") is not None:
            boxed.append(image.objects[-1])
    return boxed


def _bbox(element: ET.Element, where: str, reading: Reading) -> BBox:
    box = element.find("bndbox")
    if box is not None:
        xmin, ymin, xmax, ymax = (number(_one(box, side), f"<{side}>") for side in _SIDES)
        return xmin, ymin, xmax, ymax
    if (turned := element.find("robndbox")) is not None:
        reading.account.changed("box made around a rotated one", where)
        return _around_rotated(turned)
    if (polygon := element.find("polygon")) is not None:
        reading.account.changed("box made from a polygon", where)
        points = [child.text for child in polygon.iter() if child.tag[:1] in ("x", "y") and child.text]
        return around(points)
    raise BrokenError("expected a <bndbox>, got none")


def _one(box: ET.Element, side: str) -> str:
    found = box.findall(side)
    if len(found) != 1:
        raise BrokenError(f"expected one <{side}> in <bndbox>, got {len(found)}")
    return "".join(found[0].itertext()).strip()


def _around_rotated(element: ET.Element) -> BBox:
    """The box around roLabelImg's rotated one: centre, sides, and an angle in radians."""
    import math

    x, y, width, height, angle = (number(_one(element, name), f"<{name}>") for name in ("cx", "cy", "w", "h", "angle"))
    across = abs(width * math.cos(angle)) + abs(height * math.sin(angle))
    down = abs(width * math.sin(angle)) + abs(height * math.cos(angle))
    return x - across / 2, y - down / 2, x + across / 2, y + down / 2


def _from_zero(boxed: list[SourceObject], reading: Reading) -> None:
    """Turns pixels that are counted from 1, and the last one included, into corners: xmin and ymin become one less.

    So the challenge's kit counts. A set with a 0 among its first corners was written by a tool that counts from there.
    """
    if any(min(found.bbox) < 1 for found in boxed):
        reading.account.noted("boxes begin at 0, so that they are taken as corners, not as pixels counted from 1",
                              shown(str(reading.source)))  # fmt: skip
        return
    for found in boxed:
        xmin, ymin, xmax, ymax = found.bbox
        found.bbox = (xmin - 1, ymin, xmax, ymax) if xmin <= xmax else (xmin, ymin, xmax - 1, ymax)
        xmin, ymin, xmax, ymax = found.bbox
        found.bbox = (xmin, ymin - 1, xmax, ymax) if ymin <= ymax else (xmin, ymin, xmax, ymax - 1)


def _own_names(images: list[SourceImage], reading: Reading) -> None:
    """Where several files name the same image, each stands for the image of its own name, if that is there."""
    counts = Counter(_key(image) for image in images)
    for image in images:
        if counts[_key(image)] > 1 and reading.pictures.of_stem(image.stand_ins[0]):
            folders = image_folders(reading, image.where)
            if reading.pictures.find(image.name, folders) != reading.pictures.of_stem(image.stand_ins[0]):
                reason = (
                    f"<filename> {shown(image.name)} is that of other files too; the image of its own name is taken"
                )
                reading.account.changed(reason, image.where)
                image.name = image.stand_ins[0]


def _key(image: SourceImage) -> tuple[str | None, str, str]:
    return image.split, image.where.rpartition("/")[0], image.name


def _listed_splits(reading: Reading) -> dict[str, str]:
    """The split of each stem in ImageSets/Main; trainval only where no list is finer."""
    found: dict[str, str] = {}
    lists = {
        PurePosixPath(name).stem.lower(): name
        for name in reading.tree.ending(".txt")
        if "/imagesets/" in f"/{name.lower()}" and "_" not in PurePosixPath(name).stem
    }
    if reading.file is not None:
        return {}
    for stem, name in sorted(lists.items()):
        split = split_named(stem) or ("training" if stem == "trainval" and "train" not in lists else None)
        if split is None:
            continue
        for line in read_text(reading.tree.path(name)).splitlines():
            entry = line.split()[0] if line.strip() else ""
            if entry and found.setdefault(PurePosixPath(entry).name, split) != split:
                reading.account.noted(f"listed for {found[PurePosixPath(entry).name]} and for {split}", shown(entry))
    return found
