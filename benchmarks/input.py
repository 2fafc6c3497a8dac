"""How fast examples become batches on one core: `python -m benchmarks.input [--peers PYTHON]`.

BCCD's training photos (`BOXWRIGHT_BCCD`, 640 x 480), decoded, cropped, resized, flipped, their colours changed, and put
into batches of floats, by

- `boxwright`: the training's own pipeline with `augmentation=standard`, from shards on disk and from memory;
- `tf.image`: `tf.data` over the same bytes in memory with TensorFlow's own functions, as its guides have it;
- `albumentations` and `torchvision` (transforms v2), where `--peers` names an interpreter that has them.

Each is a process of its own that may use one core, in turn, some rounds; shown is the median in images a second. A GPU
that trains N images a second needs N / that number of cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

SIZES, BATCH, ROUNDS, SECONDS = (320, 640), 8, 3, 6.0
OWN = ("boxwright, shards", "boxwright, memory", "tf.image")
PEERS = ("albumentations", "torchvision")


def write_input(folder: Path) -> None:
    """Writes the examples of BCCD, and its photos with their boxes for the peers."""
    from benchmarks.accuracy import configuration, prepared
    from boxwright.dataset.annotations import load_annotations

    examples = prepared(configuration("bccd", 0, folder), folder / "prepared")
    annotations = load_annotations(examples / "training" / "annotations.json")
    (folder / "photos").mkdir(exist_ok=True)
    source = folder / "prepared" / "dataset" / "training" / "images"
    boxes = {}
    for image in annotations.images:
        shutil.copy(source / image.file_name, folder / "photos")
        boxes[image.file_name] = [list(box.bbox) for box in annotations.boxes_by_image[image.id]]
    (folder / "photos" / "boxes.json").write_text(json.dumps(boxes))


def own(name: str, folder: Path, size: int) -> float:
    """Images a second of a subject of this interpreter."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    batches = _plain(folder, size) if name == "tf.image" else _boxwright(folder, size, "memory" in name)
    found = iter(batches)
    for _ in range(6):
        next(found)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        next(found)
        count += BATCH
    return count / (time.perf_counter() - start)


def _boxwright(folder: Path, size: int, in_memory: bool) -> Any:
    from boxwright.dataset.examples import ExamplesSummary, shards_of
    from boxwright.model import Resizing
    from boxwright.training.input import training_batches

    examples = folder / "prepared" / "examples"
    images = ExamplesSummary.read(examples).splits["training"].images
    shards = shards_of(examples, "training")
    return training_batches(shards, images, BATCH, Resizing(size), "standard", seed=0, in_memory=in_memory)


def _plain(folder: Path, size: int) -> Any:
    """What TensorFlow's guide to image data has; boxes follow the crop and the flip."""
    import tensorflow as tf

    boxes: dict[str, Any] = json.loads((folder / "photos" / "boxes.json").read_text())
    files = tf.constant([(folder / "photos" / name).read_bytes() for name in boxes])
    corners = tf.ragged.constant(list(boxes.values()), ragged_rank=1, inner_shape=(4,), dtype=tf.float32)

    def load(data: Any, found: Any) -> tuple[Any, Any]:
        image = tf.io.decode_jpeg(data, channels=3)
        shape = tf.cast(tf.shape(image), tf.float32)
        found = found / tf.stack([shape[1], shape[0], shape[1], shape[0]])
        yxyx = tf.gather(found, [1, 0, 3, 2], axis=1)[None]
        start, extent, place = tf.image.sample_distorted_bounding_box(
            tf.shape(image), yxyx, 0, area_range=(0.3, 1.0), aspect_ratio_range=(0.83, 1.2),
            use_image_if_no_bounding_boxes=True,
        )  # fmt: skip
        view = tf.image.resize(tf.slice(image, start, extent), (size, size), antialias=True) / 255.0
        low, high = place[0, 0, :2], place[0, 0, 2:]
        moved = tf.clip_by_value((yxyx[0] - tf.tile(low, (2,))) / tf.tile(high - low, (2,)), 0.0, 1.0)
        turn = tf.random.uniform(()) < 0.5
        view = tf.cond(turn, lambda: tf.image.flip_left_right(view), lambda: view)
        mirrored = tf.stack([moved[:, 0], 1 - moved[:, 3], moved[:, 2], 1 - moved[:, 1]], axis=1)
        view = tf.image.random_brightness(view, 0.12)
        view = tf.image.random_contrast(view, 0.8, 1.25)
        view = tf.image.random_saturation(view, 0.7, 1.3)
        view = tf.image.random_hue(view, 0.03)
        return tf.clip_by_value(view, 0, 1) * 255.0, tf.where(turn, mirrored, moved)

    dataset = tf.data.Dataset.from_tensor_slices((files, corners)).map(lambda data, found: (data, found.to_tensor()))
    dataset = dataset.shuffle(len(boxes)).repeat().map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.padded_batch(BATCH, ((size, size, 3), (None, 4))).prefetch(2)


def rate(name: str, folder: Path, size: int, peers: str | None) -> float:
    """Images a second of any subject, in a process of its own on one core."""
    core = min(os.sched_getaffinity(0))
    if name in OWN:
        command = [sys.executable, "-c", _OWN, name, str(folder), str(size)]
    else:
        script = Path(__file__).with_name("input_peers.py")
        command = [str(peers), str(script), name, str(folder / "photos"), str(size), str(BATCH), str(SECONDS)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )
    return float(done.stdout.split()[-1])


_OWN = "import sys; from pathlib import Path; from benchmarks.input import own; print(own(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))"  # noqa: E501


def main() -> None:
    """Measures all in turn and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="interpreter that has albumentations and torchvision")
    parser.add_argument("--only", nargs="*", default=list(PEERS), help="peers to measure")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    names = [*OWN, *(arguments.only if arguments.peers else ())]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_input(folder)
        found: dict[tuple[str, int], list[float]] = {(name, size): [] for name in names for size in SIZES}
        for _ in range(arguments.rounds):
            for name, size in found:
                found[name, size].append(rate(name, folder, size, arguments.peers))
    table = Table(
        "subject", *(f"{size} x {size}" for size in SIZES), title=f"Images a second a core, batches of {BATCH}"
    )
    for name in names:
        table.add_row(name, *(f"{median(found[name, size]):.1f}" for size in SIZES))
    Console().print(table)
    fastest = {size: max(names, key=lambda one: median(found[one, size])) for size in SIZES}
    print("; ".join(f"{size}: {fastest[size]} is the fastest" for size in SIZES))


if __name__ == "__main__":
    main()
