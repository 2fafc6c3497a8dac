"""Packages a trained detector and the facts of its run as `model.tar.gz`, for all later uses."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from boxwright import __version__
from boxwright.config import SAVED_MODEL, RunConfig
from boxwright.dataset.examples import ExamplesSummary
from boxwright.evaluation import METRICS_FILE, EvaluationSummary
from boxwright.model import MODEL_FILE, WEIGHTS_FILE, hyperparameters_of, read_seed
from boxwright.packaging.archive import pack
from boxwright.packaging.exports import export_all
from boxwright.packaging.outputs import ARCHIVE, RUN_FILE, output_uri, publish
from boxwright.packaging.recipe import recipe_of
from boxwright.packaging.run_facts import RunFacts
from boxwright.packaging.sample import write_sample
from boxwright.storage import sha256_of
from boxwright.training import HISTORY_FILE


@dataclass(frozen=True)
class RunParts:
    """The folders that earlier steps of the run left: what a package is made of."""

    examples: Path
    seed: Path
    detector: Path
    evaluation: Path
    label_map: Path


@dataclass(frozen=True)
class Packed:
    """The uploaded archive: its URI and the SHA-256 of its bytes."""

    archive: str
    sha256: str


def package_model(config: RunConfig, run_id: str, parts: RunParts, out_dir: Path) -> Packed:
    """Builds `model.tar.gz` and uploads it, together with files that people read without unpacking.

    Args:
        config: the run's configuration.
        run_id: names the folder below `config.output`.
        parts: what earlier steps left.
        out_dir: receives `run.json`, the losses by epoch and the archive.

    Returns:
        Where the archive is. It is uploaded last: where it is, the rest is too.
    """
    run_facts(config, run_id, parts).write(out_dir)
    shutil.copyfile(parts.detector / HISTORY_FILE, out_dir / HISTORY_FILE)
    content = out_dir / "content"
    shutil.rmtree(content, ignore_errors=True)
    content.mkdir()
    export_all(parts.detector, content, {SAVED_MODEL} - set(config.export.formats))
    for source in (
        out_dir / RUN_FILE,
        parts.detector / MODEL_FILE,
        parts.detector / WEIGHTS_FILE,
        parts.label_map / "label_map.json",
        parts.label_map / "label_map.pbtxt",
        parts.evaluation / METRICS_FILE,
    ):
        shutil.copyfile(source, content / source.name)
    write_sample(parts.examples, parts.evaluation, content)
    pack(content, out_dir / ARCHIVE)
    shutil.rmtree(content)

    publish(config, run_id, parts.label_map, ["label_map.json", "label_map.pbtxt"])
    publish(config, run_id, out_dir, [RUN_FILE, ARCHIVE])
    return Packed(output_uri(config, run_id, ARCHIVE), sha256_of(out_dir / ARCHIVE))


def run_facts(config: RunConfig, run_id: str, parts: RunParts) -> RunFacts:
    """The content of `run.json`: the origin of a model, readable without any server."""
    examples, evaluation = ExamplesSummary.read(parts.examples), EvaluationSummary.read(parts.evaluation)
    seed = read_seed(parts.seed)
    parent = seed.origin if seed.kind == "incremental" else None
    return RunFacts(
        run_id=run_id,
        model_name=config.model_name,
        model_id=config.model_id,
        classes=examples.classes,
        category_ids=examples.category_ids,
        dataset_fingerprint=examples.fingerprint,
        dropped=examples.dropped,
        images={name: split.images for name, split in examples.splits.items()},
        seed=seed,
        parent=parent,
        recipe=recipe_of(config, examples.fingerprint, parent, seed.weights),
        split=evaluation.split,
        metrics=evaluation.metrics,
        per_class=evaluation.per_class,
        hyperparameters=hyperparameters_of(config).model_dump(),
        config=json.loads(config.to_json()),
        code_version=__version__,
    )
