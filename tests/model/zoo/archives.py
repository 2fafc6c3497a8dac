"""Zoo archives of the tests' own making."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.zoo_reference import write_checkpoint
from boxwright.model.zoo.architecture import ZooArchitecture


def config_text(spec: Any, **scales: float) -> str:
    """A `pipeline.config` that fits a model; `scales` replace those of the box code."""
    architecture = ZooArchitecture(**spec.architecture)
    names = ("y_scale", "x_scale", "height_scale", "width_scale")
    scales = dict(zip(names, architecture.box_scales, strict=True)) | scales
    size = spec.image_size
    resizer = f"fixed_shape_resizer {{ height: {size} width: {size} }}"
    if architecture.keep_aspect:
        resizer = f"keep_aspect_ratio_resizer {{ min_dimension: {size} max_dimension: {size} }}"
    return f"""model {{
  ssd {{
    num_classes: 90  # COCO
    image_resizer {{ {resizer} }}
    feature_extractor {{ type: "{architecture.extractor}" use_depthwise: true }}
    box_coder {{ faster_rcnn_box_coder {{ {" ".join(f"{name}: {value}" for name, value in scales.items())} }} }}
    box_predictor {{ weight_shared_convolutional_box_predictor {{ depth: {architecture.filters} }} }}
    anchor_generator {{
      multiscale_anchor_generator {{
        anchor_scale: 4.0 aspect_ratios: 1.0 aspect_ratios: 2.0 scales_per_octave: {spec.anchors.scales_per_octave}
      }}
    }}
    post_processing {{ batch_non_max_suppression {{ score_threshold: 1e-08 iou_threshold: {architecture.nms_iou} }} }}
    loss {{
      classification_loss {{ weighted_sigmoid_focal {{ gamma: {architecture.focal_gamma} alpha: 0.25 }} }}
    }}
  }}
}}
"""


def write_archive(path: Path, values: dict[str, Any], config: str, *extra: tarfile.TarInfo) -> Path:
    """An archive in the zoo's layout, with entries of zeros after it."""
    root, work = path.name.removesuffix(".tar.gz"), path.parent / f"parts-{path.name}"
    write_checkpoint(work / "checkpoint" / "ckpt-0", values)
    (work / "pipeline.config").write_text(config)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name in ("checkpoint", "pipeline.config"):
            archive.add(work / name, f"{root}/{name}")
        for entry in extra:
            archive.addfile(entry, io.BytesIO(bytes(min(entry.size, 1 << 20))) if entry.size <= 1 << 20 else None)
    return path


def random_values(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Small numbers of these shapes; variances are near one."""
    rng = np.random.default_rng(0)
    return {
        key: (rng.standard_normal(shape) * 0.05 + (key.endswith(("gamma", "variance")))).astype("float32")
        for key, shape in shapes.items()
    }
