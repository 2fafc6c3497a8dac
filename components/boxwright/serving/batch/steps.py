"""Batch inference of a prefix in three steps that may be killed and repeated: plan, shards, manifest.

Everything lies below `{output}/{run}/detections/`: `plan.json` fixes the model's version and the images, each shard is
one file that appears whole or not at all, and `manifest.json` comes last: where it is, all the rest is.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from boxwright.config import BatchInferenceConfig, Frozen, ServingConfig
from boxwright.errors import DataError, UsageError
from boxwright.packaging import run_folder
from boxwright.registry import ModelSource, resolve_model
from boxwright.serving.batch.files import images_at, look_at, record
from boxwright.serving.engine import load_predictor, one_line
from boxwright.storage import exists, join, parse_uri, read_bytes, upload_file

PLAN_FILE, MANIFEST_FILE = "plan.json", "manifest.json"
_LARGEST = 1 << 30  # bytes of a plan or a shard
_LIMITS = ServingConfig()  # type: ignore[call-arg]


class Plan(Frozen):
    """The images and the model of one run.

    Attributes:
        config: as it was asked for.
        reference: the model, as `models:/name/3` where the registry has it.
        archive: URI of its `model.tar.gz`.
        name: registered name, or the archive's file name.
        version: registered version, if any.
        images: keys below `config.images`; an image's id is its place in this list, from 1.
    """

    config: BatchInferenceConfig
    reference: str
    archive: str
    name: str
    version: int | None
    images: tuple[str, ...]

    @property
    def source(self) -> ModelSource:
        """The model."""
        return ModelSource(self.reference, self.archive, self.name, self.version)

    @property
    def shards(self) -> int:
        """The number of shards."""
        return -(-len(self.images) // self.config.shard_images)


def plan_batch(config: BatchInferenceConfig, run_id: str) -> Plan:
    """Writes, or finds, the plan of a run.

    Raises:
        DataError: there is no image.
        UsageError: the model does not exist, or the run was begun with other settings.
    """
    target = _uri(config, run_id, PLAN_FILE)
    if exists(target):
        plan = read_plan(config, run_id)
        if plan.config != config:
            raise UsageError(f"{target} was made with other settings than run {run_id} has now; start a new run")
        return plan
    source = resolve_model(config.model)
    root = str(parse_uri(config.images))
    keys = tuple(uri.removeprefix(root).lstrip("/") for uri in images_at(config.images))
    plan = Plan(
        config=config,
        reference=source.reference,
        archive=source.archive,
        name=source.name,
        version=source.version,
        images=keys,
    )
    _put(f"{plan.model_dump_json(indent=1)}\n".encode(), target)
    return plan


def read_plan(config: BatchInferenceConfig, run_id: str) -> Plan:
    """The plan of a run.

    Raises:
        DataError: there is none.
    """
    target = _uri(config, run_id, PLAN_FILE)
    try:
        return Plan.model_validate_json(read_bytes(target, _LARGEST))
    except ValidationError:
        raise DataError(f"{target} is not a plan of this version; start a new run") from None


def predict_shard(config: BatchInferenceConfig, run_id: str, shard: int) -> dict[str, Any]:
    """Looks at the images of one shard and writes its file; one that is there already is kept.

    Args:
        config: as the plan has it.
        run_id: of the plan.
        shard: from 0.

    Returns:
        `shard`, `file`, and counts of `images`, `detections` and `errors`.
    """
    plan = read_plan(config, run_id)
    if not 0 <= shard < plan.shards:
        raise UsageError(f"shard {shard} does not exist; run {run_id} has {plan.shards}, from 0")
    target = _uri(config, run_id, _shard_file(shard, plan.shards))
    if not exists(target):
        _put(b"".join(one_line(line) + b"\n" for line in _lines(plan, shard)), target)
    told = _counted(shard, target)
    del told["failed"]  # the manifest has them; Airflow keeps what a task returns in its database
    return told


def _lines(plan: Plan, shard: int) -> list[dict[str, Any]]:
    first = shard * plan.config.shard_images
    keys = plan.images[first : first + plan.config.shard_images]
    predictor = load_predictor(plan.source)
    threshold = predictor.info.threshold if plan.config.threshold is None else plan.config.threshold
    looked = look_at(predictor, [_image_uri(plan, key) for key in keys], _LIMITS)
    numbered = enumerate(zip(keys, looked, strict=True), start=first + 1)
    return [record(one, number, key, predictor.info, threshold) for number, (key, one) in numbered]


def _image_uri(plan: Plan, key: str) -> str:
    return join(plan.config.images, key) if key else plan.config.images


def write_manifest(config: BatchInferenceConfig, run_id: str) -> dict[str, Any]:
    """Counts all shards and writes the manifest.

    Returns:
        The manifest without its lists.

    Raises:
        DataError: a shard is missing, or no image at all could be looked at.
    """
    plan = read_plan(config, run_id)
    uris = [_uri(config, run_id, _shard_file(shard, plan.shards)) for shard in range(plan.shards)]
    if missing := [uri for uri in uris if not exists(uri)]:
        raise DataError(
            f"{len(missing)} of {plan.shards} shards are missing, first {missing[0]}; run their tasks again"
        )
    shards = [_counted(shard, uri) for shard, uri in enumerate(uris)]
    errors = [error for shard in shards for error in shard.pop("failed")]
    totals = {name: sum(shard[name] for shard in shards) for name in ("images", "detections", "errors")}
    manifest = {
        "model": plan.reference,
        "archive": plan.archive,
        "settings": plan.config.model_dump(),
        **totals,
        "failed": errors,
        "shards": shards,
    }
    if totals["errors"] == totals["images"]:
        raise DataError(f"none of {totals['images']} images could be processed; the first: {errors[0]}")
    _put(f"{json.dumps(manifest, indent=1)}\n".encode(), _uri(config, run_id, MANIFEST_FILE))
    return {"model": plan.reference, "manifest": _uri(config, run_id, MANIFEST_FILE), **totals}


def _counted(shard: int, uri: str) -> dict[str, Any]:
    data = read_bytes(uri, _LARGEST)
    try:
        lines = [json.loads(line) for line in data.splitlines()]
        failed = [{"file_name": line["file_name"], "error": line["error"]} for line in lines if "error" in line]
        detections = sum(len(line.get("detections", ())) for line in lines)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{uri} is not as a shard was written; remove it, and run its task again") from None
    return {
        "shard": shard,
        "file": uri.rpartition("/")[2],
        "sha256": hashlib.sha256(data).hexdigest(),
        "images": len(lines),
        "detections": detections,
        "errors": len(failed),
        "failed": failed,
    }


def _shard_file(shard: int, shards: int) -> str:
    return f"detections-{shard:05d}-of-{shards:05d}.jsonl"


def _uri(config: BatchInferenceConfig, run_id: str, name: str) -> str:
    return join(config.output, run_folder(run_id), "detections", name)


def _put(data: bytes, uri: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "content")
        path.write_bytes(data)
        upload_file(path, uri)
