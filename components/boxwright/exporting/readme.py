"""`README.md` of an artefact: what it is, and a few lines of Python that run it without Boxwright."""

from __future__ import annotations

from pathlib import Path

from boxwright.config import FLOAT32
from boxwright.exporting.facts import ExportFacts
from boxwright.exporting.readme_tiles import tiled_steps, tiles_text
from boxwright.images import CUT_WEIGHT

README_FILE = "README.md"

_PACKAGES = {"litert": "ai-edge-litert", "onnx": "onnxruntime", "openvino": "openvino"}
_IMPORTS = {
    "litert": "from ai_edge_litert.interpreter import Interpreter",
    "onnx": "import onnxruntime",
    "openvino": "import openvino",
}
_OPEN = {
    "litert": 'run = Interpreter("{file}").get_signature_runner()',
    "onnx": 'session = onnxruntime.InferenceSession("{file}")\n'
    "names = [output.name for output in session.get_outputs()]",
    "openvino": 'run = openvino.Core().compile_model("{file}", "CPU"{exact})',
}
_RUN = {
    "litert": "found = run(image=pixels)",
    "onnx": 'found = dict(zip(names, session.run(None, {{"image": pixels}})))',
    "openvino": "found = run(pixels)",
}
# The class names in the file itself.
_LABELS = {
    "litert": "LiteRT's metadata names its label file, which `unzip -p model.tflite labelmap.txt` shows",
    "onnx": "its metadata property `names` has them, one a line",
    "openvino": "its `model_info` has them, with a space between and `_` for each space in a name: "
    '`openvino.Core().read_model("model.xml").get_rt_info(["model_info", "labels"]).astype(str).split()`',
}
_STRETCHED = "width, height = {size}, {size}"
_KEPT = "width, height = (max(1, round({size} * side / max(image.size))) for side in image.size)"
_SMOOTH = "small = image.resize((width, height), Image.Resampling.BILINEAR)"
_PLAIN = """\
x, y = image.width / width, image.height / height
wider = Image.fromarray(np.pad(image, ((0, 1), (0, 1), (0, 0)), "edge"))
small = wider.transform((width, height), Image.Transform.AFFINE, (x, 0, .5 - x / 2, 0, y, .5 - y / 2), \
Image.Resampling.BILINEAR)"""
_FILLED = """\
square = Image.new("RGB", ({size}, {size}), {fill})
square.paste(small)
pixels = np.asarray(square)[None]"""
_WHOLE = "pixels = np.asarray(small)[None]"
_OVERLAP = """\
def overlap(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = np.prod(np.maximum(high - low, 0))
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)

"""
_CANDIDATES = """\
boxes, scores = found["boxes"][0], found["scores"][0]
kept = []
for place, label in sorted(np.argwhere(scores >= {threshold}).tolist(), key=lambda pair: -scores[tuple(pair)]):
    {condition}kept.append((boxes[place], scores[place, label], label))"""
_SUPPRESSED = """\
kept = [(box, score, int(number) - 1) for box, score, number in zip(*(found["detection_" + name][0] for name in \
("boxes", "scores", "classes"))) if score >= {threshold}]"""
_CONDITIONS = {
    "per_class": "if all(label != other or overlap(boxes[place], box) <= {iou} for box, _, other in kept):\n        ",
    "agnostic": "if all(overlap(boxes[place], box) <= {iou} for box, _, _ in kept):\n        ",
    "none": "",
}
_SHOW = """\
labels = json.load(open("label_map.json", encoding="utf-8"))["labels"]
for box, score, label in kept:
    ymin, xmin, ymax, xmax = np.clip(box * {size} / [height, width, height, width], 0, 1) * \
([image.height, image.width] * 2)
    print(f"{{score:.3f}} {{labels[label]}}: x {{xmin:.1f}} to {{xmax:.1f}}, y {{ymin:.1f}} to {{ymax:.1f}}")"""


def write_readme(facts: ExportFacts, folder: Path) -> None:
    """Writes `README.md` of an artefact."""
    (folder / README_FILE).write_text(_text(facts), encoding="utf-8")


def program(facts: ExportFacts) -> str:
    """The Python program of the README: takes an image's path, prints a line for each detection, best first."""
    fitting, choice, tiling = facts.input, facts.choice, facts.tiling
    overlap = facts.outputs == "candidates" and choice.nms in ("per_class", "agnostic")
    start = [
        "import json, sys",
        "import numpy as np",
        _IMPORTS[facts.format],
        "from PIL import Image, ImageOps",
        "",
        _OVERLAP if overlap else None,
        'image = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")',
        _OPEN[facts.format],
    ]
    look = [
        _KEPT if fitting.keep_aspect else _STRETCHED,
        _SMOOTH if fitting.antialias else _PLAIN,
        _FILLED if fitting.keep_aspect else _WHOLE,
        _RUN[facts.format],
        _SUPPRESSED if facts.outputs == "detections" else _CANDIDATES,
    ]
    condition = _CONDITIONS.get(choice.nms, _CONDITIONS["per_class"]).format(iou=f"{choice.iou_threshold:g}")
    values = {
        "file": facts.file,
        "size": fitting.image_size,
        "fill": tuple(round(value) for value in fitting.fill),
        # One that is not shown may stand for one that is cut off at a tile's edge.
        "threshold": facts.threshold if tiling is None else facts.threshold * CUT_WEIGHT,
        "condition": condition,
        # By itself it computes in bfloat16 where the processor has instructions for that.
        "exact": ', {"INFERENCE_PRECISION_HINT": "f32"}' if facts.precision == FLOAT32 else "",
    }
    before, within = ("\n".join(step.format(**values) for step in steps if step is not None) for steps in (start, look))
    if tiling is None:
        return "\n".join([before, within, _SHOW.format(**values)])
    rest = tiled_steps(within, tiling, fitting.image_size, facts.threshold, choice.nms != "agnostic")
    return "\n".join([before, *rest])


def _text(facts: ExportFacts) -> str:
    side = facts.input.image_size
    found = facts.differences
    if facts.outputs == "candidates":
        outputs = (
            "`boxes` `(1, n, 4)`, `[ymin, xmin, ymax, xmax]` in shares of the square input, and `scores` "
            "`(1, n, classes)`: every place, before boxes that overlap are taken out (the program does that)"
        )
    else:
        outputs = (
            "`detection_boxes` `(1, 100, 4)`, `[ymin, xmin, ymax, xmax]` in shares of the square input, "
            "`detection_scores` and `detection_classes` `(1, 100)` (from 1), `num_detections` `(1,)`, best first"
        )
    return f"""# {facts.model_id}, {facts.format}, {facts.precision}

A detector of {len(facts.classes)} classes, made by Boxwright from {facts.reference}.

- Input: `image`, uint8 RGB `(1, {side}, {side}, 3)`. {_fitting_text(facts)}{tiles_text(facts.tiling)}
- Output: {outputs}.
- Boxes with a score of {facts.threshold:.6g} or more are worth showing.
- `label_map.json` has the class names by index, and `metadata.json` all of this for programs.
- `{facts.file}` has the class names as well: {_LABELS[facts.format]}.
- Beside the model that it was made from: scores differ by {found.scores:.2g} at most, and boxes by {found.boxes:.2g} of
  the input, on {found.pictures} pictures.

It runs without Boxwright and without TensorFlow (`pip install {_PACKAGES[facts.format]} pillow numpy`). In this folder,
`python detect.py image.jpg` with

```python
{program(facts)}
```
{_soft_text(facts)}"""


def _fitting_text(facts: ExportFacts) -> str:
    if not facts.input.keep_aspect:
        return "An image is stretched over the square."
    return (
        "An image is scaled until its longer side fits, put at the top left, and the rest of the square is filled with "
        f"the colour {tuple(round(value) for value in facts.input.fill)}."
    )


def _soft_text(facts: ExportFacts) -> str:
    if facts.choice.nms != "soft" or facts.outputs != "candidates":
        return ""
    return (
        "\nThis model was trained with `nms=soft`, where the scores of overlapping boxes fall; the program takes such "
        "boxes out instead. Boxwright's own runtimes do it as in training.\n"
    )
