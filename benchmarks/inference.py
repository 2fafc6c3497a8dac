"""From an image's bytes to its boxes: a model in each runtime beside Ultralytics' nano models and D-FINE-N, in turns.

`python -m benchmarks.inference MODEL IMAGES --peer-python ENV/bin/python` exports the model in each format, and the
peers with random weights in an environment of their own (`uv venv ENV`, `uv pip install ultralytics onnx openvino
transformers` into it), to OpenVINO at the model's input size. Each has a process of its own; all look at an image
before any looks at the next. The peers' images are decoded and fitted, and their boxes chosen, by the same code as
Boxwright's own; of a peer that suppresses inside, or not at all, by score alone. With `--keep FOLDER` what is exported
is used again.

Asked for: the best of Boxwright takes at most as long as the fastest peer of no fewer multiply-adds, and at most a
quarter of what TensorFlow takes.
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
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from boxwright.exporting import export_model, read_image
from boxwright.exporting.calibrating import Calibration
from boxwright.exporting.facts import Choice, ExportFacts, Fitting
from boxwright.exporting.pixels import fit
from boxwright.exporting.runtimes import open_runtime
from boxwright.exporting.selecting import select
from boxwright.model import load_card
from boxwright.registry import open_model, resolve_model

TENSORFLOW = "Boxwright, tensorflow"
FORMATS = ("litert:float32", "litert:int8", "openvino:float32", "openvino:float16", "openvino:int8")
PEERS = ("yolo26n", "yolo11n", "dfine-nano")
WARM = 3
# Milliseconds until the network's input is there, in the network, and until the boxes are chosen.
Stages = tuple[float, float, float]
Floats = NDArray[np.float32]
CHOICE = Choice(
    nms="per_class", iou_threshold=0.7, score_threshold=0.05, candidates=1000, needs_area=True, max_detections=100
)


def exported(folder: str, threads: int) -> Callable[[bytes], Stages]:
    """An export of Boxwright without suppression inside."""
    facts = ExportFacts.read(folder)
    run = open_runtime(Path(folder), facts, threads)

    def look(data: bytes) -> Stages:
        began = time.perf_counter()
        pixels, extent = fit(read_image(data), facts.input)
        fitted = time.perf_counter()
        answer = run(pixels[None])
        ran = time.perf_counter()
        select(answer["boxes"][0], answer["scores"][0], extent, facts.choice)
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
    """A peer in OpenVINO: `(1, 3, size, size)` in [0, 1] in; what comes out is told by its shape, see `_candidates`."""
    import openvino

    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    if exact:
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = openvino.Core().compile_model(str(Path(folder, "model.xml")), "CPU", settings)
    request, size = compiled.create_infer_request(), compiled.input(0).shape[2]
    fitting = Fitting(image_size=size, keep_aspect=True, fill=(114, 114, 114), antialias=True)

    def look(data: bytes) -> Stages:
        began = time.perf_counter()
        pixels, extent = fit(read_image(data), fitting)
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]).astype(np.float32) / 255
        fitted = time.perf_counter()
        request.infer([planes])
        answers = [np.array(tensor.data)[0] for tensor in request.output_tensors]
        ran = time.perf_counter()
        boxes, scores, nms = _candidates(answers, size)
        select(boxes, scores, extent, CHOICE.model_copy(update={"nms": nms}))
        return _stages(began, fitted, ran)

    return look


def _candidates(answers: list[Floats], size: int) -> tuple[Floats, Floats, str]:
    """Boxes `[ymin, xmin, ymax, xmax]` in shares of the input, scores, and the suppression that is left to do.

    Args:
        answers: D-FINE: logits `(n, classes)` and middles and sides in shares; YOLO: `(4 + classes, n)`, middles and
            sides in pixels, then scores; YOLO without suppression: `(n, 6)`, corners in pixels, score, class.
        size: of the input.
    """
    if len(answers) == 2:
        logits, places = answers
        return _corners(places), 1 / (1 + np.exp(-logits)), "none"
    (answer,) = answers
    if answer.shape[1] == 6:
        return (answer[:, [1, 0, 3, 2]] / size).astype(np.float32), answer[:, 4:5], "none"
    return _corners(answer.T[:, :4] / size), answer.T[:, 4:], "per_class"


def _corners(places: Floats) -> Floats:
    middles, sides = places[:, :2], places[:, 2:]
    corners = np.concatenate([middles - sides / 2, middles + sides / 2], axis=1)
    return corners[:, [1, 0, 3, 2]].astype(np.float32)


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
        if not (line := self._out.readline()):
            raise SystemExit(f"{self.name} ended at {image}")
        self.times.append(tuple(json.loads(line)))

    def stop(self) -> None:
        """Ends the process."""
        self._in.close()
        self._process.wait()

    @property
    def whole(self) -> list[float]:
        """Milliseconds of each image, from bytes to boxes."""
        return [sum(times) for times in self.times[WARM:]]

    def row(self, base: Contestant) -> list[str]:
        """Medians from bytes to boxes, of its share of another's time for the same image, and of each stage."""
        shares = [one / other for one, other in zip(self.whole, base.whole, strict=True)]
        stages = zip(*self.times[WARM:], strict=True)
        told = [statistics.median(self.whole), min(self.whole), *(statistics.median(stage) for stage in stages)]
        return [f"{statistics.median(shares):.2f}", *(f"{value:.1f}" for value in told)]


def multiply_adds(path: Path) -> float:
    """Billions of multiply-adds in the convolutions and matrix products of an OpenVINO network."""
    import openvino

    total = 0
    for operation in openvino.Core().read_model(str(path)).get_ordered_ops():
        kind = operation.get_type_name()
        if kind not in ("Convolution", "GroupConvolution", "MatMul"):
            continue
        if kind == "MatMul":
            shape = list(operation.input(0).get_partial_shape().to_shape())
            each = [shape[-2 if operation.get_attributes()["transpose_a"] else -1]]
        else:
            # A group's own output channels are the second side of a grouped kernel.
            each = list(operation.input(1).get_partial_shape().to_shape())[1 if kind == "Convolution" else 2 :]
        total += math.prod(each) * math.prod(operation.output(0).get_partial_shape().to_shape())
    return total / 1e9


def contestants(given: argparse.Namespace, folder: Path, model: Path) -> Iterator[tuple[str, str, str, str]]:
    """Name, kind, source and billions of multiply-adds of each."""
    for name in FORMATS:
        kind, precision = name.split(":")
        calibration = Calibration(folder=given.images) if precision == "int8" else None
        if not (target := folder / name.replace(":", "-")).exists():
            export_model(model, target, kind, precision, given.model, calibration)
    counted = f"{multiply_adds(folder / 'openvino-float32' / 'model.xml'):.2f}"
    yield TENSORFLOW, "tensorflow", str(model), counted
    for name in FORMATS:
        yield f"Boxwright, {name}", "exported", str(folder / name.replace(":", "-")), counted
    size = str(load_card(model).image_size)
    for name in PEERS if given.peer_python else ():
        path = folder / name / "model.xml"
        if not path.exists():
            script = str(Path(__file__).with_name("inference_peers.py"))
            subprocess.run([given.peer_python, script, name, size, path.parent], check=True, stdout=sys.stderr)
        counted = f"{multiply_adds(path):.2f}"
        yield f"{name}, OpenVINO, float32", "peer-exact", str(path.parent), counted
        yield f"{name}, OpenVINO, its default", "peer", str(path.parent), counted


def measure(given: argparse.Namespace) -> Table:
    """The table of one run."""
    images = sorted(path for path in given.images.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    images = images[: given.count]
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-inference-") as temporary,
        open_model(resolve_model(given.model)) as model,
    ):
        rows = list(contestants(given, (given.keep or Path(temporary)).absolute(), model))
        running = [Contestant(name, kind, source, given.threads) for name, kind, source, _ in rows]
        for turn, image in enumerate([*images[:1] * WARM, *images]):
            # Whoever comes first finds the caches of somebody else.
            for place in range(len(running)):
                running[(turn + place) % len(running)].look(image)
        for one in running:
            one.stop()
    table = Table(
        "", "10⁹ multiply-adds", "of TensorFlow's ms", "ms: median", "best", "decode, fit", "network", "choose"
    )
    for one, (*_, counted) in zip(running, rows, strict=True):
        table.add_row(one.name, counted, *one.row(running[0]))
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="models:/NAME/VERSION or a model.tar.gz")
    parser.add_argument("images", nargs="?", type=Path, help="folder of JPEGs, on which int8 is calibrated too")
    parser.add_argument("--peer-python", help="interpreter of an environment with ultralytics")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=60, help="images to look at")
    parser.add_argument("--keep", type=Path, help="folder for what is exported, whose content is used again")
    parser.add_argument("--work", nargs=2, metavar=("KIND", "SOURCE"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.work:
        work(*given.work, given.threads)
        return
    Console(width=150).print(measure(given))


if __name__ == "__main__":
    main()
