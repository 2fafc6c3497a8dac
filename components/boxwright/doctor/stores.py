"""Checks of the stores of runs: S3, ML Metadata, the model registry, and how these fit together."""

from __future__ import annotations

import time
from collections.abc import Iterator

from boxwright.config import METADATA_URI, Settings
from boxwright.doctor.finding import Finding, doubtful, looked_at, skipped, well, wrong
from boxwright.metadata import Database, look_at_database

# Seconds by which clocks may differ: a lease is compared with the database's, a signature with S3's.
SKEW = 5.0
ROOT = "BOXWRIGHT_PIPELINE_ROOT"


def look_at_stores(settings: Settings, uris: tuple[str, ...] = ()) -> Iterator[Finding]:
    """Checks all stores that this process's environment names, and further places of S3."""
    yield from looked_at("ML Metadata", lambda: _metadata(settings))
    yield from _together(settings)
    for uri in dict.fromkeys([*_places(settings), *uris]):
        yield from looked_at(f"S3 {uri}", lambda uri=uri: _bucket(uri))  # type: ignore[misc]
    yield from looked_at("model registry", lambda: _registry(settings))


def _places(settings: Settings) -> list[str]:
    places = [settings.shared_root, settings.checkpoints("doctor")[1]]
    return [place for place in places if place and place.startswith("s3://")]


def _bucket(uri: str) -> Iterator[Finding]:
    from boxwright.storage import try_bucket

    ahead = try_bucket(uri)
    yield well(f"S3 {uri}", "can be written, read, and written on a condition")
    yield from _clock("S3", ahead)


def _clock(whose: str, ahead: float) -> Iterator[Finding]:
    subject = f"clock and {whose}'s"
    if abs(ahead) < SKEW:
        yield well(subject, f"{abs(ahead):.0f} s apart")
    else:
        word = "behind" if ahead > 0 else "ahead"
        yield wrong(
            subject,
            f"this machine is {abs(ahead):.0f} s {word}: tokens and signatures are refused, and leases last too long",
            "let both keep time by NTP (chrony, systemd-timesyncd)",
        )


def _metadata(settings: Settings) -> Iterator[Finding]:
    address, subject = settings.metadata, "ML Metadata"
    if address.path is not None:
        there = address.path.is_file()
        yield well(subject, f"{address}" if there else f"{address}, which the first step makes")
        return
    began = time.time()
    found = look_at_database(address)
    if found.lacking:
        said = f"{address} lacks {', '.join(found.lacking)}"
        yield wrong(subject, said, "`boxwright db init` makes what is missing")
        return
    if found.doubled:
        said = f"{address} has {', '.join(found.doubled[:5])} more than once: steps are skipped"
        yield wrong(subject, said, "restore the database, or begin with an empty one")
        return
    yield well(subject, f"{address} is ready, and each type is there once")
    yield from _clock("PostgreSQL", found.now - (began + time.time()) / 2)
    yield from _workers(found)


def _workers(found: Database) -> Iterator[Finding]:
    subject = "workers"
    if not found.workers:
        yield skipped(subject, "none has done a step within a day")
        return
    versions = {worker.version for worker in found.workers}
    roots = {worker.root for worker in found.workers}
    listed = ", ".join(f"{worker.host} ({worker.version})" for worker in found.workers)
    if len(versions) > 1:
        yield doubtful(subject, listed, "give all of them one version: what one writes, another reads")
    elif len(roots) > 1:
        places = ", ".join(f"{worker.host}: {worker.root or 'none'}" for worker in found.workers)
        yield wrong(subject, f"they do not share one {ROOT}: {places}", f"set {ROOT} alike for all")
    else:
        yield well(subject, listed)


def _together(settings: Settings) -> Iterator[Finding]:
    """Whether the parts are all for one machine, or all for several."""
    subject, shared = "one machine or several", settings.metadata.is_shared
    problems = 0
    if shared and settings.shared_root is None:
        problems += 1
        yield doubtful(
            subject,
            "ML Metadata is a server, and what steps put out stays in this home",
            f"set {ROOT} to an s3:// prefix, unless all workers share this home's disk",
        )
    if settings.shared_root and not shared:
        problems += 1
        yield doubtful(
            subject,
            f"steps share {settings.shared_root}, and ML Metadata is a file of this machine",
            f"set {METADATA_URI} to a PostgreSQL that all workers reach, unless there is one worker",
        )
    if shared and settings.tracking_uri.startswith(("sqlite:", "/", "file:")):
        problems += 1
        yield wrong(
            subject, "ML Metadata is a server, and the model registry a file", "set MLFLOW_TRACKING_URI to a server"
        )
    if not problems:
        yield well(subject, "several" if shared else "one")


def _registry(settings: Settings) -> Iterator[Finding]:
    from boxwright.registry import open_registry

    uri = settings.tracking_uri
    if not uri.startswith(("http://", "https://")):
        yield well("model registry", "no server: each process opens it itself")
        return
    open_registry(uri, quick=True).versions("boxwright-doctor")  # of a model that is not there: a short question
    yield well("model registry", f"{uri} answers")
