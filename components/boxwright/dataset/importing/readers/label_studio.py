"""Label Studio's JSON and JSON-MIN: tasks with regions in percent of the image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from boxwright.dataset.importing.source import (
    Account,
    BBox,
    BrokenError,
    Reading,
    SourceImage,
    SourceObject,
    SourceSet,
    around,
    around_ellipse,
    head_of,
    is_picture,
    number,
    parts_of,
    read_json,
    shown,
    size_of,
    whole,
)
from boxwright.errors import shorten

_BY = "tasks with results of labels"
_VIDEOS = (".mp4", ".webm", ".ogg", ".mov", ".avi", ".mkv")
_KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels")
_WITHOUT_BOX = ("keypointlabels", "brushlabels", "vectorlabels", "bitmasklabels")


def recognise(reading: Reading) -> str | None:
    """Why this looks like Label Studio's JSON, or None."""
    return reading.recognised(_is_export, _BY, ".json")


def _is_export(path: Path) -> bool:
    head = head_of(path)
    regions = b'"result"' in head or b'"completed_by"' in head
    if head.startswith(b"{"):  # one task, as it is synchronised to a bucket
        return regions and b'"data"' in head and (b'"annotations"' in head or b'"task"' in head)
    lists = b'"annotations"' in head or b'"completions"' in head
    full = lists and b'"data"' in head and regions
    return head.startswith(b"[") and (full or any(f'"{kind}"'.encode() in head for kind in (*_KINDS, *_WITHOUT_BOX)))


def read(reading: Reading) -> SourceSet:
    """Reads all exports of a set."""
    images: list[SourceImage] = []
    for file in reading.chosen(_is_export, _BY, ".json"):
        try:
            tasks = _tasks(read_json(reading.tree.path(file)))
        except BrokenError as error:
            raise BrokenError(f"{shown(file)}: {error}") from None
        reading.account.went_in.files += 1
        last = {_task_id(task): index for index, task in enumerate(tasks)}
        for index, task in enumerate(tasks):
            where = f"{shown(file)}: [{index}]"
            if _task_id(task) is not None and last[_task_id(task)] != index:
                reading.account.noted("several annotations of one task, each a record: the last is taken", where)
                continue
            reading.account.went_in.images += 1
            if (image := _task(task, where, reading)) is not None:
                images.append(image)
    labels = sorted({found.label for image in images for found in image.objects})
    return SourceSet(images, dict.fromkeys(labels))


def _tasks(document: Any) -> list[Any]:
    if isinstance(document, dict) and isinstance(document.get("task"), dict) and "result" in document:
        return [document["task"] | {"annotations": [document]}]  # one annotation with its task
    if isinstance(document, dict) and "data" in document:
        return [document]
    if not isinstance(document, list):
        raise BrokenError(f"expected a list of tasks, got {type(document).__name__}")
    return document


def _task_id(task: Any) -> int | str | None:
    """The id of a task in JSON-MIN, which has a record for each annotation; None in JSON."""
    if not isinstance(task, dict) or _annotations(task) is not None:
        return None
    key = task.get("id")
    return key if isinstance(key, int | str) else None


def _annotations(task: dict[str, Any]) -> list[Any] | None:
    """What people drew; None in JSON-MIN. Before version 1 it was called completions."""
    found = task.get("annotations", task.get("completions"))
    return found if isinstance(found, list) else None


def _task(task: Any, where: str, reading: Reading) -> SourceImage | None:
    try:
        if not isinstance(task, dict):
            raise BrokenError(f"expected a task, got {shorten(task)}")
        regions = _regions(task, where, reading)
        name = _image_name(task, regions or [], where, reading)
    except BrokenError as error:
        reading.account.broken(str(error), where, images=1)
        return None
    if regions is None:
        reading.account.left_out("a task without a finished annotation", where, images=1)
        return None
    image = SourceImage(name, where, f"{where}: result[{{}}]", normalised=True)
    labelled = {str(region.get("id")) for region in regions if isinstance(region, dict) and _kind_of(region)}
    for position, region in enumerate(regions):
        _region(region, position, labelled, image, reading)
    return image


def _image_name(task: dict[str, Any], regions: list[Any], where: str, reading: Reading) -> str:
    """The name of the image that the regions are on."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    names = {key: value for key, value in data.items() if isinstance(value, str) and parts_of(value)
             and (is_picture(parts_of(value)[-1]) or key == "image")}  # fmt: skip
    if not names:
        raise BrokenError(f"expected the image of the task, got {shorten(data)}{_what_else(data)}")
    targets = {str(region["to_name"]) for region in regions if isinstance(region, dict) and region.get("to_name")}
    if len(names) == 1:
        return next(iter(names.values()))
    if len(targets) > 1:
        raise BrokenError(f"several images in one task, and regions of {shorten(sorted(targets))}; "
                          "which image is which is not in the export")  # fmt: skip
    key = next((key for key in (*targets, "image") if key in names), next(iter(names)))
    reading.account.noted(f"several images in one task; its regions are taken as those of {shown(key)}", where)
    return names[key]


def _what_else(data: dict[str, Any]) -> str:
    """What a task without a single image is of, and the way out, where that is known."""
    last = [parts_of(value)[-1].lower() for value in data.values() if isinstance(value, str) and parts_of(value)]
    if any(name.endswith(_VIDEOS) for name in last):
        return "; regions of videos are not read: label frames as images"
    lists = [value for value in data.values() if isinstance(value, list)]
    is_several = any(isinstance(name, str) and is_picture(name) for value in lists for name in value)
    return "; several images of one task are not read: give each a task" if is_several else ""


def _regions(task: dict[str, Any], where: str, reading: Reading) -> list[Any] | None:
    """The regions of a task; None where nobody has finished it."""
    annotations = _annotations(task)
    if annotations is None:
        lists = [value for value in task.values() if isinstance(value, list) and value and _are_regions(value)]
        if lists or task.get("annotation_id") is not None:
            return [region for value in lists for region in value]
        return None
    done = [found for found in annotations if isinstance(found, dict)
            and not found.get("was_cancelled") and isinstance(found.get("result"), list)]  # fmt: skip
    if not done:
        return None
    chosen = next((found for found in done if found.get("ground_truth")), done[-1])
    if len(done) > 1:
        reading.account.noted("several annotations of one task: its ground truth, or else the last, is taken", where)
    result: list[Any] = chosen["result"]
    return result


def _are_regions(values: list[Any]) -> bool:
    marks = {"x", "points", *_KINDS, *_WITHOUT_BOX}
    return all(isinstance(value, dict) for value in values) and any(marks & set(value) for value in values)


def _value_of(region: dict[str, Any]) -> Any:
    return region.get("value", region)


def _kind_of(region: dict[str, Any]) -> str | None:
    """The key of a region's labels; None where it has none."""
    value = _value_of(region)
    kinds = (*_KINDS, *_WITHOUT_BOX, "labels")
    return next(
        (key for key in kinds if isinstance(value, dict) and isinstance(value.get(key), list) and value[key]), None
    )


def _region(region: Any, position: int, labelled: set[str], image: SourceImage, reading: Reading) -> None:
    account, where = reading.account, image.place_at(position)
    value = _value_of(region) if isinstance(region, dict) else None
    if not isinstance(value, dict):
        account.went_in.boxes += 1
        account.broken(f"expected a region, got {shorten(region)}", where, boxes=1, of=image)
        return
    if "original_width" in region:
        image.size = size_of(region.get("original_width"), region.get("original_height"))
    kind = _kind_of(region)
    if kind is None:
        is_region = region.get("type") in (*_KINDS, *_WITHOUT_BOX) or {"x", "y", "width", "height"} <= set(value)
        # What is said of a region by further results is counted once; one without an id is another each time.
        key = region.get("id")
        _note_unlabelled(is_region and (key is None or str(key) not in labelled), where, image, account)
        labelled.add(str(key))
        return
    if whole(region.get("image_rotation") or 0):
        account.noted("the image was turned in the tool; the box is taken as drawn on it as it is shown", where)
    names = value[kind]
    account.went_in.boxes += len(names)
    if len(names) > 1:
        account.changed("a region with several labels becomes an object of each", where)
    try:
        labels = [label for label in map(reading.class_name, names) if label is not None]
        if len(labels) < len(names):
            raise BrokenError(f"expected labels, got {shorten(names)}")
        bbox = None if kind in _WITHOUT_BOX else _bbox(value, image.size, where, reading)
    except BrokenError as error:
        account.broken(str(error), where, boxes=len(names), of=image)
        return
    if bbox is None:
        account.left_out(f"{kind} have no box", where, boxes=len(names), of=image)
        return
    image.objects += [SourceObject(label, bbox, position) for label in labels]


def _note_unlabelled(is_region: bool, where: str, image: SourceImage, account: Account) -> None:
    """Names a result without labels: a region that nobody named, or what says more about one or about the image."""
    if is_region:
        account.went_in.boxes += 1
        account.left_out("a region without a label", where, boxes=1, of=image)
    else:
        account.noted("a result that is not a region, ignored", where)


def _bbox(value: dict[str, Any], size: tuple[int, int] | None, where: str, reading: Reading) -> BBox | None:
    """The box of a region as shares of the image; Label Studio has percents."""
    if isinstance(points := value.get("points"), list):
        reading.account.changed("box made from a polygon", where)
        flat = [side for point in points for side in (point if isinstance(point, list) else [point])]
        xmin, ymin, xmax, ymax = around(flat)
        return xmin / 100, ymin / 100, xmax / 100, ymax / 100
    if "radiusX" in value:
        reading.account.changed("box made from an ellipse", where)
        return _around_ellipse(value, size)
    x, y, width, height = (number(value.get(key), key) / 100 for key in ("x", "y", "width", "height"))
    if number(value.get("rotation") or 0, "rotation"):
        reading.account.changed("box made around a rotated one", where)
        return _around_rotated((x, y, width, height), number(value["rotation"], "rotation"), size)
    return x, y, x + width, y + height


def _around_ellipse(value: dict[str, Any], size: tuple[int, int] | None) -> BBox:
    x, y, across, down = (number(value.get(key), key) / 100 for key in ("x", "y", "radiusX", "radiusY"))
    if not (angle := number(value.get("rotation") or 0, "rotation")):
        return x - across, y - down, x + across, y + down
    width, height = _needed(size)
    left, top, right, bottom = around_ellipse(x * width, y * height, across * width, down * height, angle)
    return left / width, top / height, right / width, bottom / height


def _needed(size: tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        raise BrokenError("expected original_width and original_height of the image of a rotated region")
    return size


def _around_rotated(box: BBox, degrees: float, size: tuple[int, int] | None) -> BBox:
    """The box around one that is turned clockwise about its upper left corner."""
    sides = _needed(size)
    (x, y, width, height), angle, ratio = box, math.radians(degrees), sides[0] / sides[1]
    points: list[float] = []
    for along, down in ((0.0, 0.0), (width, 0.0), (0.0, height), (width, height)):
        points.append(x + along * math.cos(angle) - down / ratio * math.sin(angle))
        points.append(y + along * ratio * math.sin(angle) + down * math.cos(angle))
    return around(points)
