"""From an image's bytes to its boxes: a model in each runtime beside Ultralytics' nano models, in turns.

`python -m benchmarks.inference MODEL IMAGES --peer-python ENV/bin/python` exports the model in each format, and the
peers with random weights in an environment of their own (`uv venv ENV`, `uv pip install ultralytics onnx openvino` into
it), to OpenVINO at the model's input size. Each has a process of its own; all look at an image before any looks at the
next. The peers' images are decoded and fitted, and their boxes chosen, by the same code as Boxwright's own.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from boxwright.exporting import ExportedDetector, export_model, read_image
from boxwright.exporting.calibrating import Calibration
from boxwright.exporting.facts import Choice, Fitting
from boxwright.exporting.pixels import fit
from boxwright.exporting.selecting import select
from boxwright.model import load_card
from boxwright.registry import open_model, resolve_model

FORMATS = ("litert:float32", "litert:int8", "openvino:float32", "openvino:float16", "openvino:int8")
PEERS = ("yolo26n", "yolo11n")
WARM = 3
_EXPORT = """
import shutil, sys
from ultralytics import YOLO
name, size, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
made = YOLO(f"{name}.yaml").export(format="openvino", imgsz=size, end2end=False)
shutil.copytree(made, folder)
"""
# Milliseconds until the network's input is there, in the network, and until the boxes are chosen.
Stages = tuple[float, float, float]


def exported(folder: str, threads: int) -> Callable[[bytes], Stages]:
    """An export of Boxwright."""
    detector = ExportedDetector(Path(folder), threads)

    def look(data: bytes) -> Stages:
        began = time.perf_counter()
        pixels, extent = detector.fit(read_image(data))
        fitted = time.perf_counter()
        answer = detector.run(pixels)
        ran = time.perf_counter()
        detector.choose(answer, extent)
        return _stages(began, fitted, ran)

    return look


def tensorflow(model: str, threads: int) -> Callable[[bytes], Stages]:
    """The model itself, in one graph from bytes to boxes; its middle stage is all of it."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    from boxwright.serving.engine.network import RebuiltNetwork

    network = RebuiltNetwork(Path(model))

    def look(data: bytes) -> Stages:
        began = time.perf_counter()
        network([data])
        return 0.0, 1000 * (time.perf_counter() - began), 0.0

    return look


def peer(folder: str, threads: int, exact: bool) -> Callable[[bytes], Stages]:
    """An Ultralytics model in OpenVINO: `(1, 3, size, size)` in [0, 1] in, `(1, 4 + classes, places)` out."""
    import openvino

    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    if exact:
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = openvino.Core().compile_model(str(next(Path(folder).glob("*.xml"))), "CPU", settings)
    request, size = compiled.create_infer_request(), compiled.input(0).shape[2]
    fitting = Fitting(image_size=size, keep_aspect=True, fill=(114, 114, 114), antialias=True)
    choice = Choice(
        nms="per_class", iou_threshold=0.7, score_threshold=0.05, candidates=1000, needs_area=True, max_detections=100
    )

    def look(data: bytes) -> Stages:
        began = time.perf_counter()
        pixels, extent = fit(read_image(data), fitting)
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]).astype(np.float32) / 255
        fitted = time.perf_counter()
        request.infer([planes])
        answer = np.array(request.get_output_tensor(0).data)[0].T
        ran = time.perf_counter()
        middles, sides = answer[:, :2] / size, answer[:, 2:4] / size
        corners = np.concatenate([middles - sides / 2, middles + sides / 2], axis=1)[:, [1, 0, 3, 2]]
        select(corners.astype(np.float32), answer[:, 4:], extent, choice)
        return _stages(began, fitted, ran)

    return look


def _stages(began: float, fitted: float, ran: float) -> Stages:
    return 1000 * (fitted - began), 1000 * (ran - fitted), 1000 * (time.perf_counter() - ran)


def work(kind: str, source: str, threads: int) -> None:
    """The process of one contestant: reads paths, answers with milliseconds."""
    if kind == "tensorflow":
        look = tensorflow(source, threads)
    else:
        look = exported(source, threads) if kind == "exported" else peer(source, threads, kind == "peer-exact")
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(look(Path(line.strip()).read_bytes())), flush=True)


class Contestant:
    """A process that looks at images when it is asked.

    Args:
        name: for the table.
        kind, source, threads: see `work`.
    """

    def __init__(self, name: str, kind: str, source: str, threads: int) -> None:
        self.name, self.times = name, list[Stages]()
        command = [sys.executable, "-m", "benchmarks.inference", "--work", kind, source, "--threads", str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None and self._process.stdin is not None
        self._out, self._in = self._process.stdout, self._process.stdin
        if self._out.readline().strip() != "ready":
            raise SystemExit(f"{name} did not start")

    def look(self, image: Path) -> None:
        """Looks at an image, and keeps the times."""
        print(image, file=self._in, flush=True)
        self.times.append(tuple(json.loads(self._out.readline())))

    def stop(self) -> None:
        """Ends the process."""
        self._in.close()
        self._process.wait()

    def row(self) -> list[str]:
        """Medians: from bytes to boxes, and of each stage."""
        whole = [sum(times) for times in self.times[WARM:]]
        stages = zip(*self.times[WARM:], strict=True)
        best = f"{min(whole):.1f}"
        return [f"{statistics.median(whole):.1f}", best, *(f"{statistics.median(stage):.1f}" for stage in stages)]


def multiply_adds(path: Path) -> float:
    """Billions of multiply-adds in the convolutions of an OpenVINO network."""
    import openvino

    total = 0
    for operation in openvino.Core().read_model(str(path)).get_ordered_ops():
        if operation.get_type_name() in ("Convolution", "GroupConvolution"):
            kernel = list(operation.input(1).get_partial_shape().to_shape())
            # A group's own output channels are the second side of a grouped kernel.
            each = kernel[1:] if operation.get_type_name() == "Convolution" else kernel[2:]
            total += math.prod(each) * math.prod(operation.output(0).get_partial_shape().to_shape())
    return total / 1e9


def contestants(given: argparse.Namespace, folder: Path, model: Path) -> Iterator[tuple[str, str, str, str]]:
    """Name, kind, source and billions of multiply-adds of each."""
    yield "Boxwright, tensorflow", "tensorflow", str(model), ""
    counted = ""
    for name in FORMATS:
        kind, precision = name.split(":")
        calibration = Calibration(folder=given.images) if precision == "int8" else None
        export_model(model, folder / name.replace(":", "-"), kind, precision, given.model, calibration)
    counted = f"{multiply_adds(folder / 'openvino-float32' / 'model.xml'):.2f}"
    for name in FORMATS:
        yield f"Boxwright, {name}", "exported", str(folder / name.replace(":", "-")), counted
    if given.peer_python:
        size = load_card(model).image_size
        for peer_name in PEERS:
            target = folder / peer_name
            command = [given.peer_python, "-c", _EXPORT, peer_name, str(size), str(target)]
            subprocess.run(command, check=True, cwd=folder, capture_output=True)
            counted = f"{multiply_adds(next(target.glob('*.xml'))):.2f}"
            yield f"{peer_name}, OpenVINO, float32", "peer-exact", str(target), counted
            yield f"{peer_name}, OpenVINO, its default", "peer", str(target), counted


def measure(given: argparse.Namespace) -> Table:
    """The table of one run."""
    images = sorted(path for path in given.images.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    images = images[: given.count]
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-inference-") as temporary,
        open_model(resolve_model(given.model)) as model,
    ):
        rows = list(contestants(given, Path(temporary), model))
        running = [Contestant(name, kind, source, given.threads) for name, kind, source, _ in rows]
        for turn, image in enumerate([*images[:1] * WARM, *images]):
            # Whoever comes first finds the caches of somebody else.
            for place in range(len(running)):
                running[(turn + place) % len(running)].look(image)
        for one in running:
            one.stop()
    table = Table("", "10⁹ multiply-adds", "ms: median", "best", "decode, fit", "network", "choose")
    for one, (*_, counted) in zip(running, rows, strict=True):
        table.add_row(one.name, counted, *one.row())
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="models:/NAME/VERSION or a model.tar.gz")
    parser.add_argument("images", nargs="?", type=Path, help="folder of JPEGs, on which int8 is calibrated too")
    parser.add_argument("--peer-python", help="interpreter of an environment with ultralytics")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=60, help="images to look at")
    parser.add_argument("--work", nargs=2, metavar=("KIND", "SOURCE"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.work:
        work(*given.work, given.threads)
        return
    Console(width=120).print(measure(given))


if __name__ == "__main__":
    main()
