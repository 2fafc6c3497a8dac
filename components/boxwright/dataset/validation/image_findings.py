"""Brings what the inspection of images found into the report, and leaves out bad images where that is asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from boxwright.dataset.annotations import Annotations
from boxwright.dataset.validation.dropping import share_finding
from boxwright.dataset.validation.findings import Dropped, Finding, Report
from boxwright.dataset.validation.image_measures import Place
from boxwright.dataset.validation.image_rules import Inspection, Problem, duplicates
from boxwright.dataset.validation.rules import RULES

Inspected = Sequence[tuple[Place, Inspection]]


def places_of(split: str, annotations: Annotations, report: Report) -> list[Place]:
    """The place of each image of cleaned annotations in the dataset's own file."""
    gone = {index for of, kind, index in report.dropped_keys if (of, kind) == (split, "images")}
    kept = (index for index in range(len(annotations.images) + len(gone)) if index not in gone)
    return [Place(split, index, image.file_name) for index, image in zip(kept, annotations.images, strict=True)]


def add_image_findings(report: Report, inspected: Mapping[str, Inspected]) -> None:
    """Adds a finding for each rule that an image breaks, alone or compared with others; splits in the run's order.

    Each split's facts get `images_checked`, the number of its images that were inspected.
    """
    asked = [rule.name for rule in RULES.values() if rule.is_asked_of_images]
    for split, images in inspected.items():
        for rule in asked:
            report.checked(rule, split, len(images))
        report.splits.setdefault(split, {})["images_checked"] = len(images)
        for place, inspection in images:
            for problem in inspection.problems:
                report.add(_finding(place, problem))
    for place, problem in duplicates(inspected):
        report.add(_finding(place, problem))


def _finding(place: Place, problem: Problem) -> Finding:
    rule, value = RULES[problem[0]], problem[1]
    value = place.file if value is None else value
    return Finding(rule.name, rule.severity, place.split, "images", place.index, place.file, value, rule.advice)


def drop_images(
    report: Report, annotations: Mapping[str, Annotations], inspected: Mapping[str, Inspected], most: float
) -> dict[str, Annotations]:
    """Leaves out images with errors, and their boxes; the report lists them.

    Args:
        report: gets the error `too_much_dropped` where the limit is passed.
        annotations: as they were downloaded.
        inspected: the images of each split, in the order of the annotations.
        most: largest share of a split's images or boxes to drop, over the whole validation.
    """
    reasons: dict[tuple[str, int], list[str]] = defaultdict(list)
    for found in report.errors:
        if found.list == "images" and found.index is not None:
            reasons[found.split, found.index].append(found.rule)
    kept = {}
    for split, part in annotations.items():
        bad = {
            image.id: place
            for image, (place, _) in zip(part.images, inspected[split], strict=True)
            if (split, place.index) in reasons
        }
        report.drop(_dropped_images(bad.values(), reasons))
        report.drop(
            Dropped(split, "annotations", box.index, owner.file, f"images[{owner.index}] is dropped")
            for box in part.boxes
            if (owner := bad.get(box.image_id))
        )
        if bad and (too_much := share_finding(split, report.dropped, report.splits[split], most)):
            report.add(too_much)
        kept[split] = replace(
            part,
            images=tuple(image for image in part.images if image.id not in bad),
            boxes=tuple(box for box in part.boxes if box.image_id not in bad),
        )
    return kept


def _dropped_images(places: Iterable[Place], reasons: Mapping[tuple[str, int], list[str]]) -> list[Dropped]:
    return [
        Dropped(place.split, "images", place.index, place.file, ", ".join(reasons[place.split, place.index]))
        for place in places
    ]
