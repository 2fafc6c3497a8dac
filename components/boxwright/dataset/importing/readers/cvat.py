"""CVAT's own XML, for images and for videos: `<image>` with its shapes, or `<track>` with a shape for each frame."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from boxwright.dataset.importing.source import (
    BBox,
    BrokenError,
    Reading,
    SourceImage,
    SourceObject,
    SourceSet,
    around,
    around_ellipse,
    around_rotated,
    child_text,
    head_of,
    number,
    read_xml,
    shown,
    size_of,
    split_named,
    split_of,
    whole,
)

_SHAPES = ("box", "polygon", "polyline", "points", "ellipse", "mask", "cuboid", "skeleton")
_BY = "<annotations> with <image> or <track>"
_MOST_FRAMES = 10_000_000
_WITHOUT_PLACE = ("tag", "attribute")  # they say something of the image, and are no objects


def recognise(reading: Reading) -> str | None:
    """Why this looks like CVAT's XML, or None."""
    return reading.recognised(_is_cvat, _BY, ".xml")


def _is_cvat(path: Path) -> bool:
    head = head_of(path)
    return b"<annotations" in head and (b"<image " in head or b"<track " in head or b"<meta>" in head)


def read(reading: Reading) -> SourceSet:
    """Reads all files of a set."""
    images: list[SourceImage] = []
    classes: dict[str, None] = {}
    for name in reading.chosen(_is_cvat, _BY, ".xml"):
        try:
            root = read_xml(reading.tree.path(name))
        except BrokenError as error:
            raise BrokenError(f"{shown(name)}: {error}") from None
        reading.account.went_in.files += 1
        classes |= dict.fromkeys(_declared(root))
        found = _without_deleted([*_images(root, name, reading), *_frames(root, name, reading)], root, reading)
        reading.account.went_in.images += len(found)
        images += found
    classes |= dict.fromkeys(sorted({found.label for image in images for found in image.objects}))
    return SourceSet(images, dict.fromkeys(classes))


def _declared(root: ET.Element) -> list[str]:
    """The names of the labels that the task or project has, not those of a skeleton's parts."""
    labels = (label for label in root.findall("./meta//labels/label") if child_text(label, "parent") is None)
    return [name for label in labels if (name := child_text(label, "name"))]


@dataclass(frozen=True, slots=True)
class _Frame:
    """An image with the number of its frame in its task."""

    number: int | None
    image: SourceImage


def _without_deleted(found: list[_Frame], root: ET.Element, reading: Reading) -> list[SourceImage]:
    """The images but those whose frame was deleted in the tool."""
    texts = [text for element in root.findall("./meta//deleted_frames") for text in element.itertext()]
    deleted = {whole(word) for text in texts for word in text.replace(",", " ").split()} - {None}
    images = []
    for frame in found:
        if frame.number in deleted:
            reading.account.went_in.images += 1
            reading.account.left_out("a frame that was deleted in the tool", frame.image.where, images=1,
                                     boxes=len(frame.image.objects))  # fmt: skip
        else:
            images.append(frame.image)
    return images


def _images(root: ET.Element, file: str, reading: Reading) -> Iterator[_Frame]:
    for index, element in enumerate(root.findall("image")):
        name = element.get("name") or ""
        where = f"{shown(file)}: image {shown(element.get('id') or str(index))} {shown(name)}".rstrip()
        image = SourceImage(
            name, where, f"{where}: shape {{}}", size=size_of(element.get("width"), element.get("height"))
        )
        image.split = split_named(element.get("subset") or "") or split_of(name.rpartition("/")[0])
        for position, shape in enumerate(element):
            _read_shape(shape, shape.get("label"), position, image, reading)
        yield _Frame(whole(element.get("id")), image)


def _frames(root: ET.Element, file: str, reading: Reading) -> Iterator[_Frame]:
    """The frames of videos that have a shape, as CVAT exports their images: frame_000012."""
    size = root.find("./meta//original_size")
    sides = (None, None) if size is None else (child_text(size, "width"), child_text(size, "height"))
    frames: dict[tuple[str, int], SourceImage] = {}
    for track in root.findall("track"):
        task = track.get("task_id") or ""
        for shape in track:
            if shape.get("outside") == "1" and shape.tag in _SHAPES:
                continue  # the object is not in the picture
            frame = whole(shape.get("frame"))
            if frame is None or frame < 0:
                reading.account.went_in.boxes += 1
                reading.account.broken(
                    "expected the number of a frame", f"{shown(file)}: track {shown(track.get('id') or '')}", boxes=1
                )
                continue
            if (task, frame) not in frames:
                name = f"frame_{frame:06}"
                where = f"{shown(file)}: {f'task {shown(task)} ' if task else ''}frame {frame}"
                image = SourceImage(name, where, f"{where}: track {{}}", size=size_of(*sides), stand_ins=(name,))
                image.split = split_named(track.get("subset") or "")
                frames[task, frame] = image
            _read_shape(shape, track.get("label"), whole(track.get("id")) or 0, frames[task, frame], reading)
    for frame in _empty_frames(root, {frame for _, frame in frames}):
        name = f"frame_{frame:06}"
        if reading.pictures.of_stem(name):
            where = f"{shown(file)}: frame {frame}"
            frames["", frame] = SourceImage(name, where, where, size=size_of(*sides), stand_ins=(name,))
    yield from (_Frame(frame, frames[task, frame]) for task, frame in sorted(frames))


def _empty_frames(root: ET.Element, marked: set[int]) -> Iterable[int]:
    """The frames without a shape of the video of a task; of several tasks it is not known which is whose."""
    tasks = [*root.findall("./meta/task"), *root.findall("./meta/job")]
    if len(tasks) != 1 or not root.findall("track"):
        return ()
    first, last = (whole(child_text(tasks[0], name) or "") for name in ("start_frame", "stop_frame"))
    step = whole((child_text(tasks[0], "frame_filter") or "step=1").rpartition("=")[2])
    if first is None or last is None or not step or not 0 <= last - first <= _MOST_FRAMES:
        return ()
    return sorted(set(range(first, last + 1, step)) - marked)


def _read_shape(shape: ET.Element, label: str | None, position: int, image: SourceImage, reading: Reading) -> None:
    account, where = reading.account, image.place_at(position)
    if shape.tag in _WITHOUT_PLACE:
        account.noted(f"<{shape.tag}> says something of the image and is not an object, ignored", where)
        return
    if shape.get("group_id") not in (None, "", "0"):
        account.noted("shapes of a group; each is an object of its own", where)
    if shape.tag not in _SHAPES:
        account.went_in.boxes += 1
        account.left_out(f"<{shown(shape.tag, 40)}> is not a shape that is known", where, boxes=1, of=image)
        return
    account.went_in.boxes += 1
    try:
        if (name := reading.class_name(label)) is None:
            raise BrokenError("expected a label")
        bbox = _bbox(shape, where, reading)
    except BrokenError as error:
        account.broken(str(error), where, boxes=1, of=image)
        return
    if bbox is None:
        account.left_out(f"{shape.tag} has no extent", where, boxes=1, of=image)
        return
    image.objects.append(SourceObject(name, bbox, position))


def _bbox(shape: ET.Element, where: str, reading: Reading) -> BBox | None:
    def get(*names: str) -> list[float]:
        return [number(shape.get(name), name) for name in names]

    if shape.tag == "box":
        xmin, ymin, xmax, ymax = get("xtl", "ytl", "xbr", "ybr")
        if not (angle := number(shape.get("rotation", 0), "rotation")):
            return xmin, ymin, xmax, ymax
        reading.account.changed("box made around a rotated one", where)
        return around_rotated((xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin, angle)
    if shape.tag in ("points", "polyline"):
        return None
    reading.account.changed(f"box made around a shape: {shape.tag}", where)
    if shape.tag == "ellipse":
        x, y, across, down = get("cx", "cy", "rx", "ry")
        return around_ellipse(x, y, across, down, number(shape.get("rotation", 0), "rotation"))
    if shape.tag == "mask":
        left, top, width, height = get("left", "top", "width", "height")
        return left, top, left + width, top + height
    if shape.tag == "cuboid":
        corners = [
            f"{axis}{corner}" for corner in ("tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2") for axis in "xy"
        ]
        return around(shape.get(name) for name in corners)
    parts = [shape] if shape.tag == "polygon" else [part for part in shape if part.get("outside") != "1"]
    texts = [part.get("points") or "" for part in parts]
    if not "".join(texts):
        return None
    return around(value for text in texts for pair in text.split(";") if pair for value in pair.split(","))
