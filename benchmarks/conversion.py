"""How long sets of COCO's size take to come in, beside what others take: `python -m benchmarks.conversion`.

118,000 images and 860,000 boxes, as one COCO file and as YOLO's 118,000 label files. Boxwright converts each whole: it
opens the header of every image, accounts for every record, and links the images into the set it writes. Beside it
datumaro reads the same set and writes it as COCO with its images, and `pycocotools` merely loads and indexes the file.
datumaro does not fit into this environment: `--datumaro-python` names the interpreter of one with it.

Each measurement has a process of its own, one after the other. CPU seconds are those of all its threads, and differ
little beside other work; peak memory is the process's own.
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

from rich.console import Console
from rich.table import Table

from benchmarks.synthetic import annotated_set

ROOT = Path(__file__).resolve().parent.parent
_LINKS = 4_000  # names that one file gets; file systems allow some ten thousand

BOXWRIGHT = """
from pathlib import Path
from boxwright.dataset.importing import convert_dataset
came = convert_dataset(Path(source), Path(out)).account.came_out
print(came.images, came.boxes)
"""
DATUMARO = """
from datumaro.components.dataset import Dataset
dataset = Dataset.import_from(source, kind)
dataset.export(out, "coco_instances", save_media=True)
print(len(dataset), sum(len(item.annotations) for item in dataset))
"""
PYCOCOTOOLS = """
from pycocotools.coco import COCO
found = COCO(source + "/annotations/instances_train.json")
print("loaded", len(found.imgs), len(found.anns))
"""


def coco_set(cache: Path, images: int) -> Path:
    """The COCO file of the other benchmarks, in datumaro's layout, beside images that can be opened."""
    folder = cache / f"conversion-coco-{images}"
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    source = annotated_set(cache, images) / "annotations.json"
    (folder / "annotations").mkdir(parents=True)
    shutil.copyfile(source, folder / "annotations" / "instances_train.json")
    _link_pictures(json.loads(source.read_text())["images"], folder / "images" / "train", cache)
    (folder / "done").touch()
    return folder


def yolo_set(cache: Path, images: int) -> Path:
    """The same in Ultralytics' layout."""
    folder = cache / f"conversion-yolo-{images}"
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    document = json.loads((annotated_set(cache, images) / "annotations.json").read_text())
    sizes = {image["id"]: (image["width"], image["height"]) for image in document["images"]}
    lines: dict[int, list[str]] = {key: [] for key in sizes}
    for box in document["annotations"]:
        (x, y, w, h), (width, height) = box["bbox"], sizes[box["image_id"]]
        shares = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
        lines[box["image_id"]].append(" ".join([str(box["category_id"] - 1), *(f"{share:.6f}" for share in shares)]))
    (folder / "labels" / "train").mkdir(parents=True)
    for image in document["images"]:
        path = folder / "labels" / "train" / image["file_name"].replace(".jpg", ".txt")
        path.write_text("".join(f"{line}\n" for line in lines[image["id"]]))
    _link_pictures(document["images"], folder / "images" / "train", cache)
    names = "".join(f"  {number}: {category['name']}\n" for number, category in enumerate(document["categories"]))
    (folder / "data.yaml").write_text(f"path: .\ntrain: images/train\nval: images/train\nnames:\n{names}")
    (folder / "done").touch()
    return folder


def _link_pictures(records: list[dict], folder: Path, cache: Path) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        for number, record in enumerate(records):
            size = record["width"], record["height"]
            original = Path(scratch, f"{size[0]}x{size[1]}-{number // _LINKS}.jpg")
            if not original.exists():
                Image.new("RGB", size, (90, 120, 60)).save(original)
            os.link(original, folder / record["file_name"])


def measure(program: str, source: Path, kind: str, python: str) -> tuple[str, float, float, float]:
    """What a program printed, its seconds, its CPU seconds, and its peak memory in megabytes."""
    with tempfile.TemporaryDirectory(dir=source.parent) as scratch:
        values = f"source, out, kind = {str(source)!r}, {scratch + '/out'!r}, {kind!r}\n"
        environment = os.environ | {"PYTHONPATH": f"{ROOT}/components"}
        started = time.perf_counter()
        process = subprocess.Popen([python, "-c", values + program], stdout=subprocess.PIPE, env=environment, text=True)
        assert process.stdout is not None
        printed = process.stdout.read().strip()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    answer = printed.splitlines()[-1] if not status and printed else f"exit {status}"
    return answer, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=118_000)
    parser.add_argument("--cache", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--datumaro-python", help="interpreter of an environment with datumaro")
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    coco, yolo = (make(given.cache.resolve(), given.images) for make in (coco_set, yolo_set))
    rows = [
        ("COCO", "Boxwright: convert", BOXWRIGHT, coco, "coco", sys.executable),
        ("COCO", "pycocotools: load", PYCOCOTOOLS, coco, "coco", sys.executable),
        ("YOLO", "Boxwright: convert", BOXWRIGHT, yolo, "yolo", sys.executable),
    ]
    if given.datumaro_python:
        rows.insert(1, ("COCO", "datumaro: convert", DATUMARO, coco, "coco", given.datumaro_python))
        rows.append(("YOLO", "datumaro: convert", DATUMARO, yolo, "yolo", given.datumaro_python))
    table = Table("set", "what", "images and boxes", "seconds", "CPU seconds", "MB")
    for of_set, name, program, source, kind, python in rows:
        printed, seconds, cpu_seconds, megabytes = measure(program, source, kind, python)
        table.add_row(of_set, name, printed, f"{seconds:.1f}", f"{cpu_seconds:.1f}", f"{megabytes:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
