"""Pascal VOC: one XML file an image, as the challenge's own kit, labelImg and its followers write it."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path, PurePosixPath

from boxwright.dataset.importing.readers.voc_lists import Lists
from boxwright.dataset.importing.source import (
    BBox,
    BrokenError,
    Reading,
    SourceImage,
    SourceObject,
    SourceSet,
    around,
    around_rotated,
    child_text,
    head_of,
    image_folders,
    number,
    read_text,
    read_xml,
    shown,
    size_of,
)

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_CLASS_LISTS = ("labelmap.txt",)
_TOLD_BY = 1 << 16  # bytes


def recognise(reading: Reading) -> str | None:
    """Why this looks like Pascal VOC, or None."""
    return reading.recognised(_is_voc, "an <annotation> of one image", ".xml")


def _is_voc(path: Path) -> bool:
    head = head_of(path, _TOLD_BY)
    return re.search(rb"<annotation[\s>].*<(object|size|filename)", head, re.I | re.S) is not None


def read(reading: Reading) -> SourceSet:
    """Reads a whole set, in the splits of ImageSets/Main or of its folders."""
    tree, account = reading.tree, reading.account
    lists = Lists(reading)
    images: list[SourceImage] = []
    classes: set[str] = set()
    boxed: list[SourceObject] = []
    for name in reading.candidates(".xml"):
        try:
            roots = _annotations(read_xml(tree.path(name)))
        except BrokenError as error:
            account.went_in.images += 1
            account.broken(str(error), shown(name), images=1)
            continue
        if not roots:
            account.noted("an XML file without an <annotation>, ignored", shown(name))
            continue
        account.went_in.files += 1
        for position, root in enumerate(roots, 1):
            image = _image(root, name, position if len(roots) > 1 else None)
            account.went_in.images += 1
            found = _read_objects(root, image, reading)
            boxed += found
            classes |= {found.label for found in image.objects}
            if _put_into_split(image, name, lists, reading):
                images.append(image)
    lists.name_untaken()
    _own_names(images, reading)
    _from_zero(boxed, reading)
    classes |= _listed_classes(reading)
    return SourceSet(images, dict.fromkeys(sorted(classes), None), frozenset(("background",)), frame="raw")


def _listed_classes(reading: Reading) -> set[str]:
    """The classes of CVAT's and Datumaro's labelmap.txt: lines of name:color:parts:actions."""
    found: set[str] = set()
    for file in [] if reading.file is not None else reading.tree.ending(*_CLASS_LISTS):
        try:
            lines = read_text(reading.tree.path(file)).splitlines()
        except BrokenError as error:
            raise BrokenError(f"{shown(file)}: {error}") from None
        entries = [line.rsplit(":", 3) for line in lines if not line.startswith("#")]
        names = [reading.class_name(entry[0]) for entry in entries if len(entry) == 4]
        found |= {name for name in names if name is not None}
    return found


def _annotations(root: ET.Element) -> list[ET.Element]:
    """The annotations in a file, one an image; names of tags in lower case, as some tools write them otherwise."""
    for element in root.iter():
        element.tag = element.tag.lower()
    return [root] if root.tag == "annotation" else list(root.iter("annotation"))


def _put_into_split(image: SourceImage, file: str, lists: Lists, reading: Reading) -> bool:
    """Sets the split of an image; where there are lists and it is in none of them, it is left out."""
    if not lists.has_lists(file):
        image.split = reading.tree.split_of(file.rpartition("/")[0])
        return True
    image.split = lists.take(file, PurePosixPath(file).stem)
    if image.split is None:
        reading.account.left_out(f"in no list of {lists.title}", image.where, images=1, boxes=len(image.objects))
    return image.split is not None


def _image(root: ET.Element, file: str, position: int | None) -> SourceImage:
    """The image of an annotation, which is the only one in its file where it has no position."""
    stem = PurePosixPath(file).stem
    size = root.find("size")
    sides = (None, None) if size is None else (child_text(size, "width"), child_text(size, "height"))
    written = child_text(root, "filename") or child_text(root, "path") or ("" if position else stem)
    where = f"{shown(file)}: annotation {position}" if position else shown(file)
    stand_ins = () if position else (stem,)
    return SourceImage(written, where, f"{where}: object {{}}", size=size_of(*sides), stand_ins=stand_ins)


def _name_of(element: ET.Element) -> str:
    """The name as written; where it breaks a line, the space around its words is the markup's layout."""
    found = element.find("name")
    written = "" if found is None else "".join(found.itertext())
    return " ".join(written.split()) if "\n" in written else written


def _read_objects(root: ET.Element, image: SourceImage, reading: Reading) -> list[SourceObject]:
    """Adds the objects of one file; gives those whose box is a <bndbox>."""
    account = reading.account
    boxed = []
    for index, element in enumerate(root.iter("object"), 1):
        if child_text(element, "deleted") in ("1", "true"):
            account.noted("an object that was deleted in the tool", image.place_at(index))
            continue
        account.went_in.boxes += 1
        where = image.place_at(index)
        try:
            label = reading.class_name(_name_of(element))
            if label is None:
                raise BrokenError("expected a <name> of the object, printable and not empty")
            bbox = _bbox(element, where, reading)
        except BrokenError as error:
            account.broken(str(error), where, boxes=1, of=image)
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
    boxes = element.findall("bndbox")
    if len(boxes) > 1:
        raise BrokenError(f"expected one <bndbox>, got {len(boxes)}")
    if boxes:
        box = boxes[0]
        xmin, ymin, xmax, ymax = (number(_one(box, side), f"<{side}>") for side in _SIDES)
        if not (angle := _rotation(element)):
            return xmin, ymin, xmax, ymax
        reading.account.changed("box made around a rotated one", where)
        return around_rotated((xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin, angle)
    if (turned := element.find("robndbox")) is not None:
        reading.account.changed("box made around a rotated one", where)
        return _around_rotated(turned)
    if (mask := element.find("segm/box")) is not None:
        reading.account.changed("box made from a mask", where)
        xmin, ymin, xmax, ymax = (number(_one(mask, side), f"<{side}>") for side in _SIDES)
        return xmin, ymin, xmax, ymax
    if (polygon := element.find("polygon")) is not None:
        reading.account.changed("box made from a polygon", where)
        points = [child.text for child in polygon.iter() if child.tag[:1] in ("x", "y") and child.text]
        return around(points)
    raise BrokenError("expected a <bndbox>, got none")


def _rotation(element: ET.Element) -> float:
    """The angle in degrees that CVAT writes beside a box that it does not turn."""
    for attribute in element.iterfind("attributes/attribute"):
        if child_text(attribute, "name") == "rotation":
            return number(child_text(attribute, "value") or 0, "rotation")
    return 0


def _one(box: ET.Element, side: str) -> str:
    found = box.findall(side)
    if len(found) != 1:
        raise BrokenError(f"expected one <{side}> in <bndbox>, got {len(found)}")
    return "".join(found[0].itertext()).strip()


def _around_rotated(element: ET.Element) -> BBox:
    """The box around roLabelImg's rotated one: centre, sides, and an angle in radians."""
    x, y, width, height, angle = (number(_one(element, name), f"<{name}>") for name in ("cx", "cy", "w", "h", "angle"))
    return around_rotated(x, y, width, height, math.degrees(angle))


def _from_zero(boxed: list[SourceObject], reading: Reading) -> None:
    """Turns pixels that are counted from 1, and the last one included, into corners: xmin and ymin become one less.

    So the challenge's kit counts, and so the first corner of a box of less than a pixel is behind its last. A set with
    a 0 among its first corners was written by a tool that counts from there.
    """
    if any(min(found.bbox) < 1 for found in boxed):
        reading.account.noted("boxes begin at 0, so that they are taken as corners, not as pixels counted from 1",
                              shown(str(reading.source)))  # fmt: skip
        return
    for found in boxed:
        xmin, ymin, xmax, ymax = found.bbox
        found.bbox = (xmin - 1, ymin, xmax, ymax) if xmin - 1 < xmax else (xmin, ymin, xmax - 1, ymax)
        xmin, ymin, xmax, ymax = found.bbox
        found.bbox = (xmin, ymin - 1, xmax, ymax) if ymin - 1 < ymax else (xmin, ymin, xmax, ymax - 1)


def _own_names(images: list[SourceImage], reading: Reading) -> None:
    """Where several files name the same image, each stands for the image of its own name, if that is there."""
    counts = Counter(_key(image) for image in images)
    for image in images:
        own = reading.pictures.of_stem(image.stand_ins[0]) if image.stand_ins else []
        named = reading.pictures.find(image.name, image_folders(reading, reading.file_of(image.where)))
        if not own or set(own) & set(named):
            continue
        if counts[_key(image)] > 1:
            reason = f"<filename> {shown(image.name)} is that of other files too; the image of its own name is taken"
            reading.account.changed(reason, image.where)
            image.name = image.stand_ins[0]
        elif named:
            reading.account.noted("<filename> is another image than that of the file's own name, and is taken",
                                  f"{image.where}: {shown(image.name)}")  # fmt: skip


def _key(image: SourceImage) -> tuple[str | None, str, str]:
    return image.split, image.where.rpartition("/")[0], image.name
