"""Sources of published weights: an installed package, or the weights store below `weights_uri`.

Archives are imported into the store, with a manifest that is checked; other files are put there as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from boxwright.config import RunConfig
from boxwright.errors import DataError, UsageError
from boxwright.model import ModelSpec, PublishedWeights
from boxwright.model.weights.efficientnet_lite0_layout import SHA256
from boxwright.model.weights.imagenet import convert_efficientnet_lite0, package_file
from boxwright.model.weights.store import fetch, find_manifest, store_uri
from boxwright.storage import FileEntry, download, list_files


class FetchedWeights(NamedTuple):
    """Published weights that were brought into a folder.

    Attributes:
        sha256: of the package's file, of the imported archive, or over the files in the order of their names.
        identity: see `weights_identity`.
    """

    sha256: str
    identity: str


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


def weights_identity(config: RunConfig, spec: ModelSpec) -> str | None:
    """Text that is another one as soon as other weights are published for a model. Reads no weights.

    SHA-256 of the package's file or of the imported archive; for files that were put into the store as they are, over
    their names, sizes and etags.

    Returns:
        None where the model has no published weights, or they are not there.
    """
    if spec.weights is None:
        return None
    if spec.weights.source == "package":
        return SHA256
    uri = store_uri(config.weights_uri, spec.model_id)
    if spec.weights.is_imported:
        manifest = find_manifest(uri)
        return manifest.origin_sha256 if manifest else None
    files = list_files(uri)
    return _listing_digest(files) if files else None


def fetch_weights(config: RunConfig, spec: ModelSpec, weights: PublishedWeights, out_dir: Path) -> FetchedWeights:
    """Brings the files of a model's published weights into a folder. Needs no TensorFlow.

    Args:
        config: says where the weights store is.
        spec: the model.
        weights: its published weights.
        out_dir: receives the files.

    Raises:
        UsageError: when they are not there; it says how to get them.
        DataError: when they are broken, or another model's.
    """
    if weights.source == "package":
        digest = convert_efficientnet_lite0(package_file(weights.name), out_dir)
        return FetchedWeights(digest, digest)
    uri = store_uri(config.weights_uri, spec.model_id)
    if weights.is_imported:
        digest = _fetch_imported(uri, spec, weights, out_dir)
        return FetchedWeights(digest, digest)
    files = list_files(uri)
    if not files:
        raise UsageError(
            f"{uri} holds no weights of {spec.model_id}: put {weights.name} there, name another weights_uri, "
            "or train another model (`boxwright models` says which weights are there)"
        )
    download(uri, files, out_dir)
    return FetchedWeights(_digest(out_dir), _listing_digest(files))


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


def _listing_digest(files: Sequence[FileEntry]) -> str:
    lines = "".join(f"{file.key}\0{file.size}\0{file.etag}\0" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
