"""How fast a dataset of COCO's size is validated, beside what others take: `python -m benchmarks.validation`.

1. The annotation rules on a COCO file of 118,000 images and 860,000 boxes (some 150 MB), as `validate_annotations`
   runs them: reading, listing, all rules through Great Expectations, report and Data Docs.
   Beside it, on the same file, `pycocotools` merely loading and indexing, and `datumaro` reading and validating. The
   latter does not fit into this environment: `--datumaro-python` names the interpreter of one with it and `rich`.
2. The image rules on pictures of COCO's size, beside bare Pillow that verifies and decodes the same files.

Each measurement has a process of its own, on two cores, one after the other. Peak memory is the process's own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.synthetic import BOXES_PER_IMAGE, annotated_set, pictures

CORES = 2
ROUNDS = 5
LIMIT_SECONDS, LIMIT_MEGABYTES, LIMIT_RATIO = 30, 3_000, 0.8
ROOT = Path(__file__).resolve().parent.parent

# --- what is measured, each in its own process ---


def boxwright(folder: Path) -> dict[str, Any]:
    """All annotation rules, with everything that a run of the pipeline writes."""
    from boxwright.config import parse_config
    from boxwright.dataset.validation.validate import validate_annotations

    settings = {"bbox_format": "coco"}
    config = parse_config({"training": str(folder), "output": "unused", "data_validation": settings})
    with tempfile.TemporaryDirectory() as out:
        validate_annotations(config, Path(out), 320)
        report = json.loads((Path(out) / "validation_report.json").read_bytes())
    return {"findings": len(report["findings"])}


def great_expectations(_: Path) -> dict[str, Any]:
    """The engine's import alone, which is part of Boxwright's time."""
    from boxwright.dataset.validation.expectations import great_expectations as load

    load()
    return {}


def page(folder: Path) -> dict[str, Any]:
    """The report page of that set, with pictures, from the files."""
    from boxwright.config import ValidationConfig
    from boxwright.dataset.report.page import write_early_page
    from boxwright.dataset.validation.findings import Report
    from boxwright.dataset.validation.rules import rules_of

    report = Report.start(rules_of(ValidationConfig()), {})
    report.splits["training"] = {"annotations": str(folder / "annotations.json"), "bbox_format": "coco"}
    with tempfile.TemporaryDirectory() as out:
        write_early_page(Path(out) / "page.html", report)
    return {}


def pycocotools(folder: Path) -> dict[str, Any]:
    """Loading and indexing; nothing is checked."""
    from pycocotools.coco import COCO

    return {"boxes": len(COCO(str(folder / "annotations.json")).anns)}


def datumaro(folder: Path) -> dict[str, Any]:
    """Reading and validating."""
    from datumaro.components.dataset import Dataset
    from datumaro.plugins.validators import DetectionValidator

    dataset = Dataset.import_from(str(folder / "annotations" / "instances_train.json"), "coco_instances")
    # The thresholds of its command line.
    validator = DetectionValidator(
        few_samples_thr=1, imbalance_ratio_thr=50, far_from_mean_thr=5.0, dominance_ratio_thr=0.8, topk_bins=0.1
    )
    return {"findings": len(validator.validate(dataset)["validation_reports"])}


def image_rules(folder: Path) -> dict[str, Any]:
    """Image rules and bare Pillow in turn, so that what else the machine does falls on both."""
    from boxwright.dataset.annotations.records import ImageRecord
    from boxwright.dataset.validation.image_rules import inspect_images

    files = sorted((folder / "images").iterdir())
    records = [ImageRecord(i, file.name, 640, 480) for i, file in enumerate(files)]
    names = [str(file) for file in files]
    if problems := [one for one in inspect_images(folder / "images", records, 80) if one.problems]:
        raise SystemExit(f"expected flawless pictures, got {problems[0]}")
    subjects: dict[str, Callable[[], object]] = {
        "image rules": lambda: inspect_images(folder / "images", records, 80),
        "Pillow, threads": lambda: _in_pool(ThreadPoolExecutor(CORES), names),
        "Pillow, processes": lambda: _in_pool(ProcessPoolExecutor(CORES), names),
    }
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    cpu: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(ROUNDS):
        for name, subject in subjects.items():
            started, used = time.perf_counter(), sum(os.times()[:4])
            subject()
            seconds[name].append(time.perf_counter() - started)
            cpu[name].append(sum(os.times()[:4]) - used)
    return {
        "per_second": {name: len(files) / median(times) for name, times in seconds.items()},
        "cpu_milliseconds": {name: 1e3 * median(times) / len(files) for name, times in cpu.items()},
    }


def _in_pool(pool: Executor, names: list[str]) -> None:
    with pool:
        list(pool.map(verify_and_decode, [names[part::CORES] for part in range(CORES)]))


def verify_and_decode(names: list[str]) -> None:
    """What Pillow's documentation says to do to be sure that a file is whole."""
    from PIL import Image

    for name in names:
        with Image.open(name) as image:
            image.verify()
        with Image.open(name) as image:
            image.load()


PARTS = {part.__name__: part for part in (boxwright, great_expectations, page, pycocotools, datumaro, image_rules)}

# --- how it is measured and shown ---


def measure(part: str, folder: Path, python: str = sys.executable) -> dict[str, Any]:
    """Runs one part in a new process: its result, `seconds`, `cpu` (seconds) and `megabytes` (peak)."""
    command = [python, "-m", "benchmarks.validation", "--part", part, "--folder", str(folder)]
    # Modules are compiled once, as where they are installed: not what is to be measured.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder.parent / "pycache")
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{part} ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_part(part: str, folder: Path) -> None:
    """The inner process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    started = time.perf_counter()
    found = PARTS[part](folder)
    seconds, cpu = time.perf_counter() - started, time.process_time()
    found |= {"seconds": seconds, "cpu": cpu, "megabytes": _peak_megabytes()}
    print(f"\n{json.dumps(found)}")


def _peak_megabytes() -> float:
    # Unlike getrusage's, this peak does not begin with that of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def annotations_table(folder: Path, images: int, datumaro_python: str | None) -> Table:
    """Measures and shows the annotation rules beside the others."""
    megabytes = (folder / "annotations.json").stat().st_size / 1e6
    title = f"{images:,} images, {round(images * BOXES_PER_IMAGE):,} boxes, {megabytes:.0f} MB of JSON, {CORES} cores"
    table = Table("what", "seconds", "CPU s", "peak MB", "x pycocotools", "findings", title=title)
    for part in ("pycocotools", "boxwright"):
        measure(part, annotated_set(folder.parent, 100))  # compiles the modules
    base = measure("pycocotools", folder)
    ours, engine, drawn = (measure(part, folder) for part in ("boxwright", "great_expectations", "page"))
    rows = {
        f"boxwright: all rules (at most {LIMIT_SECONDS} s, {LIMIT_MEGABYTES:,} MB)": ours,
        "  of it: import of Great Expectations": engine,
        "boxwright: report page, by itself": drawn,
        "pycocotools: load and index": base,
    }
    if datumaro_python:
        rows["datumaro: read and validate"] = measure("datumaro", folder, datumaro_python)
    for name, found in rows.items():
        ratio, findings = found["seconds"] / base["seconds"], str(found.get("findings", ""))
        times = f"{found['seconds']:.1f}", f"{found['cpu']:.1f}"
        table.add_row(name, *times, f"{found['megabytes']:,.0f}", f"{ratio:.2f}", findings)
    if not datumaro_python:
        table.add_row("datumaro: read and validate", "not measured: --datumaro-python is not set")
    return table


def images_table(folder: Path, count: int) -> Table:
    """Measures and shows the image rules beside bare Pillow."""
    found = measure("image_rules", folder)
    speeds, cpu = found["per_second"], found["cpu_milliseconds"]
    best = max(speed for name, speed in speeds.items() if name != "image rules")
    title = f"{count:,} pictures of 640 x 480, {CORES} cores, median of {ROUNDS} rounds"
    table = Table("what", "images a second", "x fastest Pillow", "CPU ms an image", title=title)
    for name, speed in speeds.items():
        shown = f"{name} (at least {LIMIT_RATIO:g})" if name == "image rules" else f"{name}: verify and decode"
        table.add_row(shown, f"{speed:,.0f}", f"{speed / best:.2f}", f"{cpu[name]:.2f}")
    return table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=118_000, help="images of the annotated set (118000)")
    parser.add_argument("--pictures", type=int, default=1_500, help="pictures for the image rules (1500)")
    parser.add_argument(
        "--datumaro-python", metavar="PATH", help="interpreter of an environment with datumaro and rich"
    )
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        run_part(given.part, given.folder)
        return
    console, cache = Console(width=100), Path(tempfile.gettempdir()) / "boxwright-benchmarks"
    console.print(f"sets are made once, and kept in {cache}")
    console.print(annotations_table(annotated_set(cache, given.images), given.images, given.datumaro_python))
    console.print(images_table(pictures(cache, given.pictures), given.pictures))


if __name__ == "__main__":
    main()
