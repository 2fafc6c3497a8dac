"""Sources of published weights: an installed package, or the weights store below `weights_uri`.

Archives are imported into the store, with a manifest that is checked; other files are put there as they are.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from boxwright.config import RunConfig
from boxwright.errors import DataError, UsageError
from boxwright.model import ModelSpec, PublishedWeights
from boxwright.model.weights.imagenet import convert_efficientnet_lite0, package_file
from boxwright.model.weights.store import fetch, find_manifest, store_uri
from boxwright.storage import download, list_files


def weights_ready(spec: ModelSpec, weights_uri: str | None = None) -> bool:
    """Whether training could start from the model's published weights now; False where there are none."""
    if spec.weights is None:
        return False
    if spec.weights.source == "store":
        uri = store_uri(weights_uri, spec.model_id)
        return find_manifest(uri) is not None if spec.weights.is_imported else bool(list_files(uri))
    try:
        return package_file(spec.weights.name).is_file()
    except UsageError:
        return False


def fetch_weights(config: RunConfig, spec: ModelSpec, weights: PublishedWeights, out_dir: Path) -> str:
    """Brings the files of a model's published weights into a folder. Needs no TensorFlow.

    Args:
        config: says where the weights store is.
        spec: the model.
        weights: its published weights.
        out_dir: receives the files.

    Returns:
        SHA-256 of the package's file, of the imported archive, or over the files in the order of their names.

    Raises:
        UsageError: when they are not there; it says how to get them.
        DataError: when they are broken, or another model's.
    """
    if weights.source == "package":
        return convert_efficientnet_lite0(package_file(weights.name), out_dir)
    uri = store_uri(config.weights_uri, spec.model_id)
    if weights.is_imported:
        return _fetch_imported(uri, spec, weights, out_dir)
    files = list_files(uri)
    if not files:
        raise UsageError(
            f"{uri} holds no weights of {spec.model_id}: put {weights.name} there, name another weights_uri, "
            "or train another model (`boxwright models` says which weights are there)"
        )
    download(uri, files, out_dir)
    return _digest(out_dir)


def _fetch_imported(uri: str, spec: ModelSpec, weights: PublishedWeights, out_dir: Path) -> str:
    manifest = find_manifest(uri)
    if manifest is None:
        raise UsageError(
            f"{uri} holds no weights of {spec.model_id}: run `boxwright weights pull {spec.model_id}`, or with an "
            f"archive at hand `boxwright weights import {spec.model_id} {weights.name}`, or name another weights_uri"
        )
    if manifest.model_id != spec.model_id:
        raise DataError(f"{uri} holds weights of {manifest.model_id}; import {weights.name} for {spec.model_id}")
    fetch(uri, manifest, out_dir)
    return manifest.origin_sha256


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
