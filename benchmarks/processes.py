"""What a second process brings, on one machine: `python -m benchmarks.processes OUT_DIR`.

Three parts of a run that several workers share are each done by one process that has one core, by two processes that
have one each, and by one process that has both:

- images are inspected: pictures of COCO's size, by one worker, or by two that have half of them each;
- examples are built of them, by processes of one worker, of which there is one for each of its cores;
- the default model is trained at 224 x 224: alone, or by two machines that share each batch of eight.

Printed are the seconds of each; of a training those of an epoch, the first left out. Two cores of one machine share its
memory and caches, and two machines have a network between them: it shows what dividing costs, not what machines bring.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.own_process import ROOT
from benchmarks.synthetic import pictured_set

IMAGE_SIZE, BATCH, EPOCHS, IMAGES = 224, 8, 4, 80
WAYS = {"one process, one core": [[0]], "two processes, one core each": [[0], [1]], "one process, two cores": [[0, 1]]}


def prepare(folder: Path, pictures: int) -> None:
    """The inputs of all parts, once."""
    from boxwright.dataset.sample import generate_sample
    from boxwright.dataset.snapshot import download_dataset
    from boxwright.dataset.validation import validate_annotations
    from boxwright.model.seeds import fetch_pretrained

    if (folder / "done").exists():
        return
    pictured_set(folder / "set", folder, pictures)
    for name in ("validated", "dataset", "sample-dataset", "seed"):
        (folder / name).mkdir(exist_ok=True)
    coco = _config(folder / "set", data_validation={"bbox_format": "coco"})
    validate_annotations(coco, folder / "validated")
    download_dataset(coco, folder / "dataset")
    generate_sample(folder / "sample", images=IMAGES, seed=5)
    config = _training(folder)
    download_dataset(config, folder / "sample-dataset")
    _examples(folder / "sample-dataset", folder / "examples")
    fetch_pretrained(config, folder / "seed")
    (folder / "done").touch()


def _config(training: Path, **more: Any) -> Any:
    from boxwright.config import parse_config

    return parse_config({"training": str(training), "output": "unused"} | more)


def _training(folder: Path) -> Any:
    chosen = {"image_size": IMAGE_SIZE, "batch_size": BATCH, "epochs": EPOCHS, "validation_ap_epochs": 0}
    return _config(folder / "sample" / "training", hyperparameters=chosen | {"freeze_batch_norm": "True"})


def _examples(dataset: Path, out_dir: Path) -> None:
    from boxwright.dataset.examples import build_examples

    out_dir.mkdir(parents=True, exist_ok=True)
    build_examples(dataset, out_dir, 0.2)


def inspect(folder: Path, out_dir: Path, number: int, parts: int) -> float:
    """Inspects a worker's part of the images; the seconds it took."""
    from boxwright.dataset.snapshot import check_part
    from boxwright.dataset.validation import REPORT_FILE

    config = _config(folder / "set", data_validation={"bbox_format": "coco"})
    started = time.monotonic()
    check_part(config, folder / "validated" / REPORT_FILE, number, parts, str(out_dir / "parts"), out_dir)
    return time.monotonic() - started


def build(folder: Path, out_dir: Path, number: int, parts: int) -> float:
    """Builds all examples; the seconds it took."""
    started = time.monotonic()
    _examples(folder / "dataset", out_dir / "examples")
    return time.monotonic() - started


def train(folder: Path, out_dir: Path, number: int, parts: int) -> float:
    """Trains as one of the machines; the seconds of an epoch."""
    from boxwright.training.fine_tuning import fine_tune

    model = out_dir / f"model-{number}"
    model.mkdir(parents=True)
    summary = fine_tune(
        _training(folder), folder / "examples", folder / "seed", model, out_dir / f"checkpoints-{number}"
    )
    return median(record["seconds"] for record in summary.history[1:])


PARTS = {"images inspected": inspect, "examples built": build, "an epoch of training": train}


def run(part: str, cores: Sequence[Sequence[int]], folder: Path, out_dir: Path) -> float:
    """Starts a process for each set of cores; the seconds of the slowest."""
    if part == "examples built":
        # One worker builds them, by as many processes as it has cores.
        cores = [[core for of_one in cores for core in of_one]]
    out_dir.mkdir(parents=True)
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(len(cores))]
    started = []
    for number, own in enumerate(cores):
        variables = {"TF_CPP_MIN_LOG_LEVEL": "3"}
        if len(cores) > 1 and part == "an epoch of training":
            from boxwright.training import tf_config

            variables["TF_CONFIG"] = tf_config(addresses, number)
        command = [sys.executable, "-m", "benchmarks.processes", str(folder), "--part", part, "--out", str(out_dir)]
        command += ["--number", str(number), "--of", str(len(cores)), "--cores", *map(str, own)]
        started.append(
            subprocess.Popen(command, env=os.environ | variables, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        )
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit(f"{part}: a process ended with {[process.returncode for process in started]}")
    return max(float(json.loads(text.splitlines()[-1])["seconds"]) for text in said)


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OUT_DIR")
    parser.add_argument("--pictures", type=int, default=6000, help="to inspect and to build examples of")
    parser.add_argument("--rounds", type=int, default=2)
    for inner in ("--part", "--out"):
        parser.add_argument(inner, help=argparse.SUPPRESS)
    for inner in ("--number", "--of"):
        parser.add_argument(inner, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--cores", type=int, nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.folder.absolute()
    if given.part:
        os.sched_setaffinity(0, given.cores)
        print(f"\n{json.dumps({'seconds': PARTS[given.part](folder, Path(given.out), given.number, given.of)})}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder, given.pictures)
    found: dict[tuple[str, str], list[float]] = {}
    # The ways in turn, so that what else the machine does hits all of them.
    for number in range(given.rounds):
        for part in PARTS:
            for way, cores in WAYS.items():
                if part == "examples built" and way == "one process, two cores":
                    continue
                out_dir = folder / f"{time.time_ns()}"
                found.setdefault((part, way), []).append(run(part, cores, folder, out_dir))
                print(f"round {number}: {part}, {way}: {found[part, way][-1]:.1f} s", flush=True)
    table = Table("seconds", *WAYS)
    for part in PARTS:
        figures = [found.get((part, way)) for way in WAYS]
        table.add_row(part, *("-" if one is None else f"{min(one):.1f}" for one in figures))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
