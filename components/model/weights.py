"""Where published weights are kept: in an installed package, or in the weights store below `weights_uri`.

The store holds a folder a model id, with the files that the model's family reads.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from components.config import RunConfig, Settings
from components.errors import UsageError
from components.model.catalogue import ModelSpec, PublishedWeights
from components.model.pretrained import package_file
from components.storage import download, join, list_files, write_atomic


def store_uri(weights_uri: str | None, spec: ModelSpec) -> str:
    """The model's folder in the weights store."""
    return join(weights_uri or Settings.from_environment().weights_uri, spec.model_id)


def weights_ready(spec: ModelSpec, weights_uri: str | None = None) -> bool:
    """Whether training could start from the model's published weights now; False where there are none."""
    if spec.weights is None:
        return False
    if spec.weights.source == "store":
        return bool(list_files(store_uri(weights_uri, spec)))
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
        SHA-256 over the files, in the order of their names.

    Raises:
        UsageError: when they are not there; it says how to get them.
    """
    if weights.source == "package":
        path = package_file(weights.name)
        write_atomic(out_dir / path.name, path.read_bytes())
    else:
        uri = store_uri(config.weights_uri, spec)
        files = list_files(uri)
        if not files:
            raise UsageError(
                f"{uri} holds no weights of {spec.model_id}: put {weights.name} there, name another weights_uri, "
                "or train another model (`boxwright models` says which weights are there)"
            )
        download(uri, files, out_dir)
    return _digest(out_dir)


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
