"""Label Studio's JSON and JSON-MIN: tasks with regions in percent of the image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from boxwright.dataset.importing.numbers import around, number, size_of
from boxwright.dataset.importing.reading import Reading
from boxwright.dataset.importing.records import BBox, BrokenError, SourceImage, SourceObject, SourceSet, shown
from boxwright.dataset.importing.texts import head_of, read_json
from boxwright.dataset.importing.tree import is_picture, parts_of
from boxwright.errors import shorten

_KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels")
_WITHOUT_BOX = ("keypointlabels", "brushlabels", "vectorlabels", "bitmasklabels")


def recognise(reading: Reading) -> str | None:
    """Why this looks like Label Studio's JSON, or None."""
    for name in reading.candidates(".json"):
        if _is_export(reading.tree.path(name)):
            return f"{shown(name)} has tasks with results of labels"
    return None


def _is_export(path: Path) -> bool:
    head = head_of(path)
    if not head.startswith(b"["):
        return False
    full = b'"annotations"' in head and b'"data"' in head and (b'"result"' in head or b'"completed_by"' in head)
    return full or any(f'"{kind}"'.encode() in head for kind in _KINDS)


def read(reading: Reading) -> SourceSet:
    """Reads all exports of a set."""
    images: list[SourceImage] = []
    for file in reading.candidates(".json"):
        if reading.file is None and not _is_export(reading.tree.path(file)):
            continue
        try:
            tasks = read_json(reading.tree.path(file))
        except BrokenError as error:
            raise BrokenError(f"{shown(file)}: {error}") from None
        if not isinstance(tasks, list):
            raise BrokenError(f"{shown(file)}: expected a list of tasks, got {type(tasks).__name__}")
        reading.account.went_in.files += 1
        for index, task in enumerate(tasks):
            reading.account.went_in.images += 1
            if (image := _task(task, file, index, reading)) is not None:
                images.append(image)
    labels = sorted({found.label for image in images for found in image.objects})
    return SourceSet(images, dict.fromkeys(labels))


def _task(task: Any, file: str, index: int, reading: Reading) -> SourceImage | None:
    where = f"{shown(file)}: [{index}]"
    try:
        name, regions = _name_and_regions(task, where, reading)
    except BrokenError as error:
        reading.account.broken(str(error), where, images=1)
        return None
    if regions is None:
        reading.account.left_out("a task without a finished annotation", where, images=1)
        return None
    image = SourceImage(name, where, f"{where}: result[{{}}]", normalised=True)
    for position, region in enumerate(regions):
        _region(region, position, image, reading)
    return image


def _name_and_regions(task: Any, where: str, reading: Reading) -> tuple[str, list[Any] | None]:
    if not isinstance(task, dict):
        raise BrokenError(f"expected a task, got {shorten(task)}")
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    assert isinstance(data, dict)
    names = [value for value in data.values() if isinstance(value, str) and parts_of(value)
             and (is_picture(parts_of(value)[-1]) or value is data.get("image"))]  # fmt: skip
    if not names:
        raise BrokenError(f"expected the image of the task, got {shorten(data)}")
    if "annotations" not in task or not isinstance(task["annotations"], list):
        lists = [value for value in task.values() if isinstance(value, list) and _are_regions(value)]
        return names[0], lists[0] if lists else None
    done = [found for found in task["annotations"] if isinstance(found, dict)
            and not found.get("was_cancelled") and isinstance(found.get("result"), list)]  # fmt: skip
    if not done:
        return names[0], None
    chosen = next((found for found in done if found.get("ground_truth")), done[-1])
    if len(done) > 1:
        reading.account.noted("several annotations of one task: its ground truth, or else the last, is taken", where)
    return names[0], chosen["result"]


def _are_regions(values: list[Any]) -> bool:
    return all(isinstance(value, dict) and ("x" in value or "points" in value) for value in values)


def _region(region: Any, position: int, image: SourceImage, reading: Reading) -> None:
    account, where = reading.account, image.object_at.format(position)
    value = region.get("value", region) if isinstance(region, dict) else None
    if not isinstance(value, dict):
        account.went_in.boxes += 1
        account.broken(f"expected a region, got {shorten(region)}", where, boxes=1)
        return
    if "original_width" in region:
        image.size = size_of(region.get("original_width"), region.get("original_height"))
    kind = next((key for key in (*_KINDS, *_WITHOUT_BOX, "labels") if isinstance(value.get(key), list)), None)
    if kind is None:
        if {"x", "y", "width", "height"} <= set(value):
            account.went_in.boxes += 1
            account.left_out("a region without a label", where, boxes=1)
        else:
            account.noted("a result that is not a region, ignored", where)
        return
    names = value[kind]
    account.went_in.boxes += len(names)
    if len(names) > 1:
        account.changed("a region with several labels becomes an object of each", where)
    try:
        if any(not isinstance(name, str) or not name.strip() or not name.isprintable() for name in names):
            raise BrokenError(f"expected labels, got {shorten(names)}")
        bbox = None if kind in _WITHOUT_BOX else _bbox(value, image.size, where, reading)
    except BrokenError as error:
        account.broken(str(error), where, boxes=len(names))
        return
    if bbox is None:
        account.left_out(f"{kind} have no box", where, boxes=len(names))
        return
    image.objects += [SourceObject(name.strip(), bbox, position) for name in names]


def _bbox(value: dict[str, Any], size: tuple[int, int] | None, where: str, reading: Reading) -> BBox | None:
    """The box of a region as shares of the image; Label Studio has percents."""
    if isinstance(points := value.get("points"), list):
        reading.account.changed("box made from a polygon", where)
        flat = [side for point in points for side in (point if isinstance(point, list) else [point])]
        xmin, ymin, xmax, ymax = around(flat)
        return xmin / 100, ymin / 100, xmax / 100, ymax / 100
    if "radiusX" in value:
        reading.account.changed("box made from an ellipse", where)
        x, y, across, down = (number(value.get(key), key) / 100 for key in ("x", "y", "radiusX", "radiusY"))
        return x - across, y - down, x + across, y + down
    x, y, width, height = (number(value.get(key), key) / 100 for key in ("x", "y", "width", "height"))
    if number(value.get("rotation") or 0, "rotation"):
        reading.account.changed("box made around a rotated one", where)
        return _around_rotated((x, y, width, height), number(value["rotation"], "rotation"), size)
    return x, y, x + width, y + height


def _around_rotated(box: BBox, degrees: float, size: tuple[int, int] | None) -> BBox:
    """The box around one that is turned clockwise about its upper left corner."""
    if size is None:
        raise BrokenError("expected original_width and original_height of the image of a rotated box")
    (x, y, width, height), angle, ratio = box, math.radians(degrees), size[0] / size[1]
    points: list[float] = []
    for along, down in ((0.0, 0.0), (width, 0.0), (0.0, height), (width, height)):
        points.append(x + along * math.cos(angle) - down / ratio * math.sin(angle))
        points.append(y + along * ratio * math.sin(angle) + down * math.cos(angle))
    return around(points)
