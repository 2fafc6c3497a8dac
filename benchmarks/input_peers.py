"""The peers of `benchmarks.input`, for an interpreter that has them: knows nothing of Boxwright.

    python input_peers.py {albumentations|torchvision} FOLDER SIZE BATCH SECONDS

FOLDER has JPEGs and `boxes.json`: for each file `[[xmin, ymin, xmax, ymax], ...]` in pixels. Prints images a second.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Boxes = list[list[float]]


def albumentations(size: int) -> Callable[[bytes, Boxes], Any]:
    """Decoding by OpenCV; a random crop of like range, a flip, colours."""
    import albumentations as A
    import cv2

    cv2.setNumThreads(1)
    change = A.Compose(
        [
            A.RandomResizedCrop((size, size), scale=(0.3, 1.0), ratio=(0.83, 1.2)),
            A.HorizontalFlip(p=0.5),
            A.ColorJitter(brightness=0.12, contrast=(0.8, 1.25), saturation=(0.7, 1.3), hue=0.03, p=1.0),
        ],
        bbox_params=A.BboxParams(format="pascal_voc", label_fields=["labels"], min_visibility=0.3),
    )

    def load(data: bytes, boxes: Boxes) -> Any:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        return change(image=image, bboxes=boxes, labels=[0] * len(boxes))["image"].astype(np.float32)

    return load


def torchvision(size: int) -> Callable[[bytes, Boxes], Any]:
    """Decoding by libjpeg-turbo; transforms of version 2 on uint8 tensors."""
    import torch
    from torchvision import tv_tensors
    from torchvision.io import decode_jpeg
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    change = v2.Compose(
        [
            v2.RandomResizedCrop((size, size), scale=(0.3, 1.0), ratio=(0.83, 1.2), antialias=True),
            v2.RandomHorizontalFlip(0.5),
            v2.ColorJitter(brightness=0.12, contrast=(0.8, 1.25), saturation=(0.7, 1.3), hue=0.03),
            v2.ClampBoundingBoxes(),
            v2.SanitizeBoundingBoxes(),
            v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}),
        ]
    )

    def load(data: bytes, boxes: Boxes) -> Any:
        image = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        shape = tuple(image.shape[1:])
        marked: Any = tv_tensors.BoundingBoxes(torch.tensor(boxes), format="XYXY", canvas_size=shape)
        target = {"boxes": marked, "labels": torch.zeros(len(boxes), dtype=torch.int64)}
        return change(tv_tensors.Image(image), target)[0].numpy()

    return load


def main() -> None:
    """Measures one peer on one core."""
    name, folder, size, batch, seconds = sys.argv[1:]
    boxes: dict[str, Boxes] = json.loads(Path(folder, "boxes.json").read_text())
    files = [(Path(folder, file).read_bytes(), found) for file, found in boxes.items()]
    load = {"albumentations": albumentations, "torchvision": torchvision}[name](int(size))
    random.seed(0)
    for data, found in files[:8]:
        load(data, found)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < float(seconds):
        np.stack([load(*random.choice(files)) for _ in range(int(batch))])
        count += int(batch)
    print(count / (time.perf_counter() - start))


if __name__ == "__main__":
    main()
