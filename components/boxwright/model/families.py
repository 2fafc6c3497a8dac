"""The families by the name that the catalogue's rows give, each in a module that is imported when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from boxwright.model.catalogue import ModelSpec

# Module and class by family.
FAMILIES = {
    "retinanet": ("boxwright.model.retinanet.detector", "RetinaNet"),
    "gfl": ("boxwright.model.gfl.detector", "GFL"),
    "dfine": ("boxwright.model.dfine.detector", "DFine"),
    "ssd_fpn": ("boxwright.model.zoo.detector", "ZooDetector"),
    "efficientdet": ("boxwright.model.zoo.detector", "ZooDetector"),
}


def create_detector(spec: ModelSpec, num_classes: int, image_size: int) -> Any:
    """The `Detector` of a catalogue's row, with fresh weights.

    Args:
        spec: the row.
        num_classes: classes, without background.
        image_size: input height and width in pixels.

    Raises:
        UsageError: the network cannot be built for this size.
    """
    spec.check_size(image_size)
    module, name = FAMILIES[spec.family]
    return getattr(import_module(module), name)(spec, num_classes, image_size)
