"""The zoo's archives that the managed algorithm starts from: one row a model. Knows no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from boxwright.model.zoo.architecture import MOBILENET_V1, MOBILENET_V2, ZooArchitecture, efficientdet, resnet


@dataclass(frozen=True)
class PublishedModel:
    """A model of the zoo.

    Attributes:
        name: its managed model id, without the prefix that all have.
        archive: name of the archive, without `.tar.gz`.
        image_size: input height and width in pixels.
        architecture: its network.
        coco_ap: AP that the zoo states, in percent.
        parameters: numbers that its weights hold, with 90 classes.
        epochs: as the managed algorithm trains; its larger models one only.
    """

    name: str
    archive: str
    image_size: int
    architecture: ZooArchitecture
    coco_ap: float
    parameters: int
    epochs: int = 5


def _ssd(
    backbone: str, image_size: int, architecture: ZooArchitecture, coco_ap: float, parameters: int, epochs: int = 5
) -> PublishedModel:
    name = f"ssd-{backbone}-{image_size}x{image_size}-coco17"
    archive = f"{name.replace('-', '_')}_tpu-8"
    return PublishedModel(f"{name}-tpu-8", archive, image_size, architecture, coco_ap, parameters, epochs)


def _efficientdet(
    index: int,
    image_size: int,
    cores: int,
    architecture: ZooArchitecture,
    coco_ap: float,
    parameters: int,
    epochs: int = 5,
) -> PublishedModel:
    name = f"ssd-efficientdet-d{index}-{image_size}x{image_size}-coco17-tpu-{cores}"
    archive = f"efficientdet_d{index}_coco17_tpu-32"
    return PublishedModel(name, archive, image_size, architecture, coco_ap, parameters, epochs)


PUBLISHED = (
    _ssd("resnet50-v1-fpn", 640, resnet(50), 34.3, 32_916_222),
    _ssd("resnet50-v1-fpn", 1024, resnet(50), 38.3, 32_916_222, epochs=1),
    _ssd("resnet101-v1-fpn", 640, resnet(101), 35.6, 51_960_574, epochs=1),
    _ssd("resnet101-v1-fpn", 1024, resnet(101), 39.5, 51_960_574, epochs=1),
    _ssd("resnet152-v1-fpn", 640, resnet(152), 35.4, 67_650_302, epochs=1),
    _ssd("resnet152-v1-fpn", 1024, resnet(152), 39.6, 67_650_302, epochs=1),
    _ssd("mobilenet-v1-fpn", 640, MOBILENET_V1, 29.1, 12_125_182),
    _ssd("mobilenet-v2-fpnlite", 320, MOBILENET_V2, 22.2, 2_667_006),
    _ssd("mobilenet-v2-fpnlite", 640, MOBILENET_V2, 28.2, 2_667_006),
    _efficientdet(0, 512, 8, efficientdet(0, 64, 3), 33.6, 3_927_207),
    _efficientdet(1, 640, 8, efficientdet(1, 88, 4), 38.4, 5_125_438),
    _efficientdet(2, 768, 8, efficientdet(2, 112, 5), 41.8, 6_280_747, epochs=1),
    _efficientdet(3, 896, 32, efficientdet(3, 160, 6, head_layers=4), 45.4, 9_891_660, epochs=1),
)
