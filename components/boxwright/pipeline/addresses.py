"""Addresses of what steps put out: they name no folder of a machine, and lead into the home of whoever reads them.

`boxwright://pipeline/NODE/OUTPUT/NUMBER` is the folder of these names below `pipeline/` of any machine's home, and
below the root that machines share. The numbers are ML Metadata's: each of several stores has a part of a home.
Artifacts of versions before have absolute paths; those are understood as well.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from boxwright.config import Settings
from boxwright.metadata import store_id
from boxwright.storage import join

SCHEME = "boxwright://"
ROOT = f"{SCHEME}pipeline"


def pipeline_root(settings: Settings) -> str:
    """The address below which the steps of this store's runs put out what they make."""
    number = store_id(settings.metadata)
    return f"{ROOT}/{number}" if number else ROOT


def local_folder(uri: str, settings: Settings) -> Path:
    """The folder of this machine that is meant by an address, a place as `place_of` gives it, or a path."""
    relative = _relative(uri, settings)
    return Path(uri) if relative is None else settings.pipeline_root / relative


def shared_place(uri: str, settings: Settings) -> str:
    """The place below the shared root that is meant by any of these.

    Raises:
        ValueError: there is no shared root, or it is none of them.
    """
    relative = _relative(uri, settings)
    if settings.shared_root is None or relative is None:
        raise ValueError(f"{uri} has no place below {settings.shared_root}")
    return join(settings.shared_root, relative.as_posix())


def place_of(uri: str, settings: Settings) -> str:
    """The place of an address for people: below the shared root, or in this machine's home."""
    if settings.shared_root is not None and _relative(uri, settings) is not None:
        return shared_place(uri, settings)
    return str(local_folder(uri, settings))


def folder_of(artifact: Any) -> Path:
    """The folder of an artifact, in a step that reads or fills it."""
    return local_folder(artifact.uri, Settings.from_environment())


def _relative(uri: str, settings: Settings) -> PurePosixPath | None:
    roots = [ROOT, str(settings.pipeline_root), *([settings.shared_root] if settings.shared_root else [])]
    for root in roots:
        prefix = f"{root.rstrip('/')}/"
        if uri.startswith(prefix):
            return PurePosixPath(uri.removeprefix(prefix))
    return None


def register_filesystem() -> None:
    """Lets TFX make and remove folders by such addresses."""
    from tfx.dsl.io import filesystem_registry
    from tfx.dsl.io.plugins.local import LocalFilesystem

    registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
    if SCHEME in registry._preferred_filesystem_by_scheme:
        return

    def lead_home(name: str) -> Any:
        work = getattr(LocalFilesystem, name)

        def led(*values: Any, **named: Any) -> Any:
            return work(*map(_local_name, values), **named)

        return staticmethod(led)

    calls = {name: lead_home(name) for name in _CALLS}
    registry.register(type("HomeFilesystem", (LocalFilesystem,), {"SUPPORTED_SCHEMES": [SCHEME], **calls}), priority=10)


_CALLS = ("open", "copy", "exists", "isdir", "listdir", "makedirs", "mkdir", "remove", "rename", "rmtree", "stat")


def _local_name(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(SCHEME):
        return str(local_folder(value, Settings.from_environment()))
    return value
