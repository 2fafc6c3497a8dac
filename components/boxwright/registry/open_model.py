"""From a reference to a model on disk: a registered version, an archive or a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from boxwright.config import is_registered
from boxwright.errors import DataError
from boxwright.packaging import is_foreign, unpack, unpack_foreign
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
    """The model that a reference names now: `models:/...` is looked up in the registry, anything else is a URI.

    Raises:
        UsageError: there is no such version, or the URI is not one.
        StorageError: the registry does not answer.
    """
    if is_registered(reference):
        return ModelSource.of(open_registry().resolve(reference))
    location = parse_uri(reference)
    return ModelSource(str(location), str(location), location.key.rpartition("/")[2], None)


# What a SavedModel of another program is good for, and why training cannot start from it.
_FOREIGN = (
    "is a SavedModel of another program: serve, predict and evaluate take it with --trust-saved-model, if you know who "
    "made it and a file of labels lies beside it. Nothing can be trained or exported from it, since it is a program "
    "without the layers that its numbers belong to; train the same model_id on your data instead"
)


@contextmanager
def open_model(model: str | ModelSource, below: Path | None = None, trusted: bool = False) -> Iterator[Path]:
    """A folder with a model's files, for the time of the block; an archive is fetched and unpacked for it.

    Args:
        model: `models:/name/3`, `models:/name@champion`, the URI of a `model.tar.gz`, a folder with what is in one, or
            what `resolve_model` made of one of them.
        below: existing folder in which an archive is unpacked; the one for temporary files if unset.
        trusted: whether it may be an archive of another program with a SavedModel, as the managed algorithm's are.

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
        if not trusted and is_foreign(location.path):
            raise DataError(f"{source.reference} {_FOREIGN}")
        yield location.path
        return
    with tempfile.TemporaryDirectory(prefix="boxwright-model-", dir=below) as temporary:
        fetched, unpacked = Path(temporary, "model.tar.gz"), Path(temporary, "model")
        download_file(archive, fetched)
        if trusted:
            unpack_foreign(fetched, unpacked)
        else:
            _unpack_own(fetched, unpacked, source.reference)
        fetched.unlink()
        yield unpacked


def _unpack_own(archive: Path, folder: Path, reference: str) -> None:
    """Unpacks an archive of a run; of another program's it says what can be done with it.

    Raises:
        DataError: it is not the archive of a run.
    """
    try:
        unpack(archive, folder)
    except DataError as error:
        if _is_foreign_archive(archive):
            raise DataError(f"{reference} {_FOREIGN}") from None
        raise DataError(str(error).replace(str(archive), reference)) from None  # nobody knows of the fetched copy
    if is_foreign(folder):
        raise DataError(f"{reference} {_FOREIGN}")


def _is_foreign_archive(archive: Path) -> bool:
    with tempfile.TemporaryDirectory(dir=archive.parent) as temporary, suppress(DataError):
        unpack_foreign(archive, folder := Path(temporary, "model"))
        return is_foreign(folder)
    return False
