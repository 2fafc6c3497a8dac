"""The weights store: below one URI a folder a model id, with files and a manifest that says what they are.

The manifest is written after the files, so that where it is, they are whole. It keeps their SHA-256, which every
reader checks, and what they were made from.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from boxwright.config import Frozen, Settings
from boxwright.errors import DataError, shorten
from boxwright.storage import download, exists, join, read_bytes, sha256_of, upload_file, write_json

MANIFEST_FILE = "weights.json"
_MANIFEST_LIMIT = 1 << 20


class StoredFile(Frozen):
    """A file of the store: its name, length in bytes and SHA-256."""

    name: str
    size: int
    sha256: str


class WeightsManifest(Frozen):
    """The content of a model's folder in the store.

    Attributes:
        model_id: the model.
        origin: the published archive that the files were made from.
        origin_sha256: of that archive.
        variables: how many variables it accounted for.
        settings: what the archive's own configuration decides.
        files: the files.
    """

    model_id: str
    origin: str
    origin_sha256: str
    variables: int
    settings: dict[str, list[float]]
    files: tuple[StoredFile, ...]


def stored_file(path: Path) -> StoredFile:
    """The manifest's entry for a file."""
    return StoredFile(name=path.name, size=path.stat().st_size, sha256=sha256_of(path))


def store_uri(weights_uri: str | None, model_id: str) -> str:
    """A model's folder in the store at `weights_uri`, or in this machine's."""
    return join(weights_uri or Settings.from_environment().weights_uri, model_id)


def find_manifest(uri: str) -> WeightsManifest | None:
    """The manifest of a model's folder, or None where there is none.

    Raises:
        DataError: when it is not a manifest.
    """
    manifest_uri = join(uri, MANIFEST_FILE)
    if not exists(manifest_uri):
        return None
    try:
        return WeightsManifest(**json.loads(read_bytes(manifest_uri, _MANIFEST_LIMIT)))
    except (ValueError, TypeError, RecursionError) as error:
        line = shorten((str(error).splitlines() or [type(error).__name__])[0], 200)
        raise DataError(f"{manifest_uri} is not a manifest of weights ({line}); import the archive again") from None


def put(uri: str, folder: Path, manifest: WeightsManifest) -> None:
    """Writes a model's files and then their manifest.

    Args:
        uri: the model's folder in the store.
        folder: where the manifest's files are.
        manifest: what they are.
    """
    for file in manifest.files:
        upload_file(folder / file.name, join(uri, file.name))
    write_json(folder / MANIFEST_FILE, manifest.model_dump())
    upload_file(folder / MANIFEST_FILE, join(uri, MANIFEST_FILE))


def fetch(uri: str, manifest: WeightsManifest, out_dir: Path) -> None:
    """Brings a model's files into a folder.

    Raises:
        DataError: when a file is missing, or is not the one that the manifest was written for.
    """
    for path, file in zip(download(uri, [file.name for file in manifest.files], out_dir), manifest.files, strict=True):
        if path.stat().st_size != file.size or sha256_of(path) != file.sha256:
            path.unlink()
            raise DataError(
                f"{join(uri, file.name)} is not the file that its manifest names (expected SHA-256 {file.sha256}, "
                f"{file.size} bytes); import {manifest.origin} again"
            )


def verify(uri: str, manifest: WeightsManifest) -> None:
    """Reads all files of a model and compares them with the manifest.

    Raises:
        DataError: as `fetch` does.
    """
    with TemporaryDirectory(prefix="boxwright-weights-") as folder:
        fetch(uri, manifest, Path(folder))
