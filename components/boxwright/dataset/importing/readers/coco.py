"""COCO's detection format, as all tools write it: fields that play no part are not looked at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from boxwright.config import ValidationConfig
from boxwright.dataset.annotations import evidence_of, judge
from boxwright.dataset.importing.readers.coco_records import (
    Id,
    box_of,
    document_of,
    file_name_of,
    id_of,
    is_label_studios,
    own_id,
)
from boxwright.dataset.importing.source import (
    BBox,
    BrokenError,
    Reading,
    SourceImage,
    SourceObject,
    SourceSet,
    class_name,
    parts_of,
    place,
    shown,
    size_of,
    whole,
)
from boxwright.errors import shorten

# Lists of objects: those of Label Studio's tasks are of names.
_KEYS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[\s*[{\]]')
_BY = "lists of images, annotations and categories"
_GROUPS = frozenset(("none", "None", "background", "__background__", "_background_", "__ignore__"))
_WITHOUT_BOXES = ("captions_", "panoptic_", "stuff_", "image_info_")


def recognise(reading: Reading) -> str | None:
    """Why this looks like COCO, or None."""
    return reading.recognised(is_coco, _BY, ".json")


def is_coco(path: Path) -> bool:
    """Whether a JSON file has COCO's lists; it is searched, not parsed."""
    found: set[bytes] = set()
    tail = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 22):
                found |= set(_KEYS.findall(tail + chunk.replace(b"\0", b"")))
                if {b"images", b"annotations"} <= found:
                    return True
                tail = chunk[-64:]
    except OSError:
        return False
    return False


def read(reading: Reading) -> SourceSet:
    """Reads all files of a set, a split each."""
    files = _files(reading)
    images: list[SourceImage] = []
    classes: dict[str, int | None] = {}
    groups: set[str] = set(_GROUPS)
    for file in files:
        found = _File(reading, file)
        images += found.read()
        groups |= found.groups
        for name, number_ in found.classes.items():
            classes.setdefault(name, number_)
    numbers = [key for key in classes.values() if key is not None]
    if len(numbers) != len(classes) or len(set(numbers)) != len(numbers):
        reason = "ids of categories are missing, below 0, too large, or differ among the files; they are numbered anew"
        reading.account.noted(reason, shown(files[0]))
        classes = dict.fromkeys(classes)
    return SourceSet(images, classes, frozenset(groups))


def _files(reading: Reading) -> list[str]:
    """The files to read: the given one, or in a folder one a split, instances rather than keypoints."""
    found = reading.chosen(is_coco, _BY, ".json")
    if reading.file is not None:
        return found
    instances = [name for name in found if name.rpartition("/")[2].startswith("instances")]
    chosen = []
    for name in found:
        last = name.rpartition("/")[2]
        if instances and name not in instances and (last.startswith("person_keypoints") or _is_other(last)):
            reading.account.noted("not read: instances_*.json beside it has the boxes", shown(name))
        elif _is_other(last):
            reading.account.noted("not read: it has no boxes", shown(name))
        else:
            chosen.append(name)
    if not chosen:
        raise BrokenError("expected a JSON file with the lists images and annotations")
    return chosen


def _is_other(name: str) -> bool:
    return name.startswith(_WITHOUT_BOXES)


class _File:
    """One file while it is read."""

    def __init__(self, reading: Reading, file: str) -> None:
        self.reading, self.account, self.file = reading, reading.account, file
        self.split = reading.split_of_file(file)
        self.groups: set[str] = set()
        self.classes: dict[str, int | None] = {}
        # Boxes as they stand there, with their image and the numbers: corner and size, if they are COCO's.
        self.written: list[tuple[SourceImage, SourceObject, BBox]] = []
        self.told = False  # whether an area says that boxes are a corner and a size
        self.bare = True  # whether no annotation has an id or an area

    def read(self) -> list[SourceImage]:
        document = document_of(self.reading.tree.path(self.file), self.file)
        self.account.went_in.files += 1
        labels = self._categories(document.get("categories", []))
        images, twice, dropped = self._images(document["images"])
        self._annotations(document["annotations"], images, twice, dropped, labels)
        self._mend_corners()
        if is_label_studios(document):
            for image in images.values():
                image.frame_unknown = True
        return list(images.values())

    def at(self, *record: str | int) -> str:
        return place(self.file, *record)

    def _categories(self, records: list[Any]) -> dict[Id, str]:
        labels: dict[Id, str] = {}
        ids: dict[str, Id] = {}
        for index, record in enumerate(records):
            where = self.at("categories", index)
            name, key = (record.get("name"), id_of(record.get("id"))) if isinstance(record, dict) else (None, None)
            if isinstance(name, int | float) and not isinstance(name, bool):
                name = str(name)
            if key is None or (name := class_name(name)) is None:
                self.account.broken(f"expected an id and a name, got {shorten(record)}", where)
                continue
            if key in labels and labels[key] != name:
                self.account.broken(f"id {key} is that of {shown(labels[key])} already; give each its own", where)
                continue
            if name in ids and ids[name] != key:
                self.account.changed(
                    f"category {key} is called {shown(name)} like {ids[name]}; they are one class", where
                )
            labels[key] = name
            ids.setdefault(name, key)
            if isinstance(group := record.get("supercategory"), str) and group.strip() != name:
                self.groups.add(group.strip())
        self.classes = {name: own_id(key) for name, key in ids.items()}
        return labels

    def _images(self, records: list[Any]) -> tuple[dict[Id, SourceImage], set[Id], set[Id]]:
        """The images by id, the ids that several have, and those of images that cannot be used."""
        images: dict[Id, SourceImage] = {}
        first: dict[Id, int] = {}
        names: dict[str, int] = {}
        twice: set[Id] = set()
        dropped: set[Id] = set()
        self.account.went_in.images += len(records)
        objects = self.at("annotations", "{}")
        for index, record in enumerate(records):
            where = self.at("images", index)
            key = id_of(record.get("id")) if isinstance(record, dict) else None
            try:
                name = self._file_name(record, where)
            except BrokenError as error:
                self.account.broken(str(error), where, images=1)
                dropped |= {key} if key is not None else set()
                continue
            assert key is not None
            if key in first:
                twice.add(key)
                reason = f"id {shorten(key)} is that of images[{first[key]}] already; give each its own"
                self.account.broken(reason, f"{where} {shown(name)}", images=1)
                continue
            first[key] = index
            earlier = names.setdefault("/".join(parts_of(name)), index)
            if earlier != index:
                dropped.add(key)
                reason = f"file_name {shown(name)} is that of images[{earlier}] already; join their records"
                self.account.broken(reason, where, images=1)
                continue
            size = size_of(record.get("width"), record.get("height"))
            images[key] = SourceImage(name, where, objects, size=size, split=self.split)
        return images, twice, dropped

    def _annotations(
        self, records: list[Any], images: dict[Id, SourceImage], twice: set[Id], dropped: set[Id], labels: dict[Id, str]
    ) -> None:
        self.account.went_in.boxes += len(records)
        made_up: dict[Id, str] = {}
        for index, record in enumerate(records):
            owner = None
            try:
                if not isinstance(record, dict):
                    raise BrokenError(f"expected an object, got {shorten(record)}")
                self.bare = self.bare and not {"id", "area"} & set(record)
                owner = self._owner(record, images, twice, dropped)
                found = box_of(record)
                label = self._label(record, labels, made_up)
                crowd = self._is_crowd(record, index)
            except BrokenError as error:
                self.account.broken(str(error), self.at("annotations", index), boxes=1, of=owner)
                continue
            if found.made:
                self.account.changed(f"box made {found.made}", self.at("annotations", index))
            if owner is None:
                self.account.left_out("its image could not be used", self.at("annotations", index), boxes=1)
            elif found.bbox is None:
                self.account.left_out("no bbox and no segmentation", self.at("annotations", index), boxes=1, of=owner)
            else:
                owner.objects.append(SourceObject(label, found.bbox, index, crowd))
                if found.written is not None:
                    self.told = self.told or record.get("area") == found.written[2] * found.written[3]
                    self.written.append((owner, owner.objects[-1], found.written))

    def _is_crowd(self, record: dict[str, Any], index: int) -> bool:
        """Whether an annotation is a crowd, or marked to be ignored, as converters mark what is difficult."""
        if whole(record.get("ignore") or 0) or record.get("ignore") is True:
            reason = "marked with ignore: neither trained on nor counted (a crowd)"
            self.account.changed(reason, self.at("annotations", index))
            return True
        return whole(record.get("iscrowd") or 0) == 1 or record.get("iscrowd") is True

    def _mend_corners(self) -> None:
        """Takes the boxes as corners, which Boxwright and some scripts write, where nearly all are possible only so."""
        boxes = np.array([numbers for _, _, numbers in self.written], np.float64).reshape(-1, 4)
        sizes = np.array([owner.size or (np.nan, np.nan) for owner, _, _ in self.written], np.float64).reshape(-1, 2)
        config = ValidationConfig.model_validate({"bbox_format": "auto"})
        evidence = evidence_of(boxes, sizes, config.box_tolerance)
        verdict = judge({"": evidence}, config)[""]
        reason = "as [x, y, width, height] too many leave their images"
        if verdict.mistaken_for == "ambiguous" and not evidence.impossible["corners"]:
            if self.told:
                return
            if not self.bare:
                reason = (
                    "too few boxes to tell: taken as [x, y, width, height], possible as [xmin, ymin, xmax, ymax], too"
                )
                self.account.noted(reason, self.at())
                return
            reason = "no record has an id or an area, as in Boxwright's own sets"
        elif not evidence.boxes or verdict.reading != "corners":
            return
        for _, found, numbers in self.written:
            found.bbox = numbers
            self.account.changed(f"box taken as [xmin, ymin, xmax, ymax]: {reason}", self.at("annotations", found.at))

    def _owner(
        self, record: dict[str, Any], images: dict[Id, SourceImage], twice: set[Id], dropped: set[Id]
    ) -> SourceImage | None:
        key = id_of(record.get("image_id"))
        if key is None:
            raise BrokenError(f"expected image_id, got {shorten(record.get('image_id'))}")
        if key in twice:
            raise BrokenError(f"image_id {shorten(key)} is that of several images")
        if key in dropped:
            return None
        if key not in images:
            raise BrokenError(f"image_id {shorten(key)} is that of no image")
        return images[key]

    def _label(self, record: dict[str, Any], labels: dict[Id, str], made_up: dict[Id, str]) -> str:
        key = id_of(record.get("category_id"))
        if key is not None and key in labels:
            return labels[key]
        if key is None or labels:
            known = f"; categories has the ids {shorten(list(labels))}" if labels else ""
            raise BrokenError(f"category_id {shorten(record.get('category_id'))} is that of no category{known}")
        if key not in made_up:
            made_up[key] = f"class_{key}"
            self.classes[made_up[key]] = key if isinstance(key, int) else None
            self.account.noted(f"no categories: class {key} is named {made_up[key]}", self.at())
        return made_up[key]

    def _file_name(self, record: Any, where: str) -> str:
        name, field = file_name_of(record)
        if field != "file_name":
            self.account.changed(f"no file_name; the name is that of {field}", where)
        return name
