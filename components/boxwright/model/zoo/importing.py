"""Turns a zoo archive into the files that the weights store keeps."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

from boxwright.model import ModelSpec, model_spec
from boxwright.model.weights import WeightsManifest, stored_file
from boxwright.model.zoo.architecture import COCO_CLASSES
from boxwright.model.zoo.checkpoint import Shapes, read_checkpoint
from boxwright.model.zoo.detector import ZooDetector
from boxwright.model.zoo.pipeline_config import read_settings
from boxwright.model.zoo.weights import ARRAYS_FILE, BOX_SCALES, checkpoint_shapes, write_arrays
from boxwright.storage import Layout, sha256_of, unpack

ARCHIVE_LAYOUT = Layout(
    folders=("checkpoint",),
    files=("pipeline.config",),
    kind="an archive of the TensorFlow 2 detection zoo",
    remedy="download it again",
    skipped=("saved_model",),
    in_folder=True,
)
_MOST_BYTES, _MOST_FILES = 2 << 30, 1000
_CHECKPOINT = "checkpoint/ckpt-0"

log = logging.getLogger("boxwright.weights")


def convert_archive(spec: ModelSpec, archive: Path, out_dir: Path) -> WeightsManifest:
    """Reads an archive and writes what the store keeps of it.

    Args:
        spec: the model that it is imported for.
        archive: `<name>.tar.gz` with `checkpoint/ckpt-0.*` and `pipeline.config`.
        out_dir: receives the files.

    Returns:
        What they are.

    Raises:
        DataError: one line: the archive is broken, another model's, or has variables missing or left over.
    """
    log.info("unpacking %s", archive.name)
    content = out_dir / "archive"
    unpack(archive, content, ARCHIVE_LAYOUT, _MOST_BYTES, _MOST_FILES)
    settings = read_settings(content / "pipeline.config", spec)
    used, unused = _shapes(spec.model_id)
    log.info("reading %d variables", len(used) + len(unused))
    values = read_checkpoint(content / _CHECKPOINT, {**used, **unused})
    write_arrays(out_dir / ARRAYS_FILE, {key: values[key] for key in used}, settings.box_scales)
    return WeightsManifest(
        model_id=spec.model_id,
        origin=archive.name,
        origin_sha256=sha256_of(archive),
        variables=len(values),
        settings={BOX_SCALES: list(settings.box_scales)},
        files=(stored_file(out_dir / ARRAYS_FILE),),
    )


@cache
def _shapes(model_id: str) -> tuple[Shapes, Shapes]:
    spec = model_spec(model_id)
    return checkpoint_shapes(ZooDetector(spec, COCO_CLASSES, spec.image_size))
