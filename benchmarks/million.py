"""What the data steps of a million images would take, from their slopes: `python -m benchmarks.million`.

Each step of a dataset that several workers share is done for sets of growing size (pictures of COCO's size and weight,
7.3 boxes an image), each in a process of its own: the annotations are validated, one of two workers checks its half of
the images, the dataset is put together from both halves without an image, and the shards are planned and written by
Beam's workers. For each step: CPU seconds, peak memory and what it writes, with the slope of each over the two largest
sets, carried on to a million. What grows faster than in proportion would show as a slope that rises with the sizes.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.own_process import ROOT, cpu_seconds, measured, peak_megabytes
from benchmarks.synthetic import pictured_set

SIZES = (2_500, 5_000, 10_000)
MILLION = 1_000_000
MOST_SHOWN = 20
BEAM = "--runner=DirectRunner"


def _config(folder: Path) -> Any:
    from boxwright.config import parse_config

    rules = {"bbox_format": "coco"}
    return parse_config({"training": str(folder / "set"), "output": "unused", "data_validation": rules})


def _report(folder: Path) -> Path:
    return folder / "validate" / "validation_report.json"


def validate(folder: Path) -> None:
    """`validate_annotations`."""
    from boxwright.dataset.validation import validate_annotations

    validate_annotations(_config(folder), folder / "validate")


def check_half(folder: Path, number: int = 0) -> None:
    """`check_images`, of one worker of two."""
    from boxwright.dataset.snapshot import check_part

    check_part(_config(folder), _report(folder), number, 2, str(folder / "parts"), folder)


def put_together(folder: Path) -> None:
    """`download_dataset`, when all images are checked."""
    from boxwright.dataset.snapshot import download_dataset

    download_dataset(_config(folder), folder / "put_together", _report(folder), parts_uri=str(folder / "parts"))


def plan_and_write(folder: Path) -> None:
    """`build_examples` by Beam, all of whose workers are this process."""
    from boxwright.config import StorageConfig
    from boxwright.dataset.examples import SharedPlace, build_examples

    place = SharedPlace(str(folder / "shared"), str(folder / "plans"), StorageConfig())
    build_examples(folder / "put_together", folder / "plan_and_write", 0.2, beam_args=BEAM, place=place)


# Each with the folder that it writes.
STEPS: dict[str, tuple[Callable[[Path], None], str]] = {
    "validate": (validate, "validate"),
    "check_half": (check_half, "parts"),
    "check_other_half": (lambda folder: check_half(folder, 1), "parts"),
    "put_together": (put_together, "put_together"),
    "plan_and_write": (plan_and_write, "shared"),
}


def run_step(name: str, folder: Path) -> None:
    """The inner process: does a step, and prints what it took."""
    work, target = STEPS[name]
    before = _megabytes(folder / target)
    work(folder)
    found = {"cpu": cpu_seconds(), "megabytes": peak_megabytes(), "written": _megabytes(folder / target) - before}
    print(f"\n{json.dumps(found)}")


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measure(name: str, folder: Path) -> dict[str, float]:
    """Runs a step in a process of its own."""
    return measured("benchmarks.million", "--step", name, "--folder", str(folder))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "benchmarks" / "million", help="working folder")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="images of each set, rising")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        run_step(given.step, given.folder)
        return
    if len(given.sizes) < 2:
        parser.error("a slope needs two sizes at least")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in STEPS}
    for count in given.sizes:
        folder = given.work / f"set-{count}"
        shutil.rmtree(folder, ignore_errors=True)
        pictured_set(folder / "set", given.work, count)
        for name, costs in found.items():
            costs.append(measure(name, folder))
        # The report shows those with the most findings.
        if (fetched := len(list((folder / "put_together").glob("*/images/*")))) > MOST_SHOWN:
            raise SystemExit(f"{fetched} images were fetched for a dataset that was checked in parts")
        shutil.rmtree(folder)
    tell(given.sizes, found)


def tell(sizes: Sequence[int], found: dict[str, list[dict[str, float]]]) -> None:
    """Prints the table."""
    measured = [f"{count:,} images" for count in sizes]
    table = Table("step", *measured, "slope an image", "a million", title="CPU seconds, MB held, MB written")
    more = sizes[-1] - sizes[-2]
    for name, costs in found.items():
        last, before = costs[-1], costs[-2]
        slope = {kind: (last[kind] - before[kind]) / more for kind in last}
        whole = {kind: last[kind] + slope[kind] * (MILLION - sizes[-1]) for kind in last}
        table.add_row(
            name,
            *(f"{one['cpu']:.1f}, {one['megabytes']:,.0f}, {one['written']:,.1f}" for one in costs),
            f"{slope['cpu'] * 1e3:.2f} ms, {slope['megabytes'] * 1e3:.2f} kB, {slope['written'] * 1e3:.2f} kB",
            f"{whole['cpu'] / 60:.1f} min, {whole['megabytes'] / 1e3:.1f} GB, {whole['written'] / 1e3:.1f} GB",
        )
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
