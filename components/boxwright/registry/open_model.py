"""From a reference to a model on disk: a registered version, an archive or a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from boxwright.config import is_registered
from boxwright.packaging import unpack
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Version
from boxwright.storage import Allowed, download_file, parse_uri


@dataclass(frozen=True)
class ModelSource:
    """A model that a reference stands for at one moment.

    Attributes:
        reference: `models:/name/3` with the version that an alias meant, or the URI as it was given.
        archive: URI of its `model.tar.gz`, or a folder with what is in one.
        name: registered name, or the archive's file name.
        version: registered version; None for a model that is named by its URI.
    """

    reference: str
    archive: str
    name: str
    version: int | None

    @classmethod
    def of(cls, version: Version) -> ModelSource:
        """The model of a registered version."""
        return cls(version.reference, version.archive_uri, version.name, version.version)


def resolve_model(reference: str) -> ModelSource:
    """What a reference means now: asks the registry about `models:/...`, and takes anything else as a URI.

    Raises:
        UsageError: there is no such version, or the URI is not one.
        StorageError: the registry does not answer.
    """
    if is_registered(reference):
        return ModelSource.of(open_registry().resolve(reference))
    location = parse_uri(reference)
    return ModelSource(str(location), str(location), location.key.rpartition("/")[2], None)


@contextmanager
def open_model(model: str | ModelSource, below: Path | None = None) -> Iterator[Path]:
    """A folder with a model's files, for the time of the block; an archive is fetched and unpacked for it.

    Args:
        model: `models:/name/3`, `models:/name@champion`, the URI of a `model.tar.gz`, a folder with what is in one, or
            what `resolve_model` made of one of them.
        below: existing folder in which an archive is unpacked; the one for temporary files if unset.

    Raises:
        DataError: the archive does not exist, or is not one of a run.
        NotAllowedError: the registry names a place that the administrator's list does not have.
        UsageError, StorageError: see `resolve_model` and `boxwright.storage`.
    """
    source = resolve_model(model) if isinstance(model, str) else model
    archive = source.archive
    if source.version is not None:
        # The registry says where it lies, and whoever writes there is not believed.
        Allowed.from_environment().check_place(archive)
    location = parse_uri(archive)
    if location.bucket is None and location.path.is_dir():
        yield location.path
        return
    with tempfile.TemporaryDirectory(prefix="boxwright-model-", dir=below) as temporary:
        fetched, unpacked = Path(temporary, "model.tar.gz"), Path(temporary, "model")
        download_file(archive, fetched)
        unpack(fetched, unpacked)
        fetched.unlink()
        yield unpacked
