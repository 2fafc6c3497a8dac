"""The engine of a cluster: `write_shard` over many shards by Apache Beam, on whatever runner its arguments name.

Workers either share a disk, and have the run's folders at the same paths, or they share a store alone: then each
fetches the images of its shard from where the dataset lies, and puts the shard where the other steps look for it.

What to write into a shard lies in a file, its plan, since runners hold a pipeline's own elements in memory, and limit
their size. What came of each shard is told by the pipeline's data, since not all runners have metrics, and held against
what was asked for.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from boxwright.config import BEAM_ARGS, StorageConfig
from boxwright.dataset.annotations import Box, ImageRecord
from boxwright.dataset.examples.reading import leave_shards
from boxwright.dataset.examples.shards import ShardTask, write_shard
from boxwright.dataset.snapshot import DatasetImages
from boxwright.errors import BoxwrightError, DataError, StorageError, UsageError, shorten, some
from boxwright.storage import (
    FileEntry,
    connected,
    download,
    join,
    list_files,
    read_bytes,
    upload_file,
    upload_missing,
    write_json,
)

_OUTCOMES_FILE = "shards.json"
_LARGEST_OUTCOMES, _LARGEST_PLAN = 100_000_000, 1_000_000_000

Outcome = tuple[str, Mapping[str, int]]  # a shard's name, and how many of its images were normalised, by reason


@dataclass(frozen=True)
class SharedPlace:
    """What machines without a common disk have in common.

    Attributes:
        uri: of the examples folder there.
        plans_uri: of a folder for what to write into each shard.
        storage: how both, and the dataset, are reached. Workers have credentials of their own: what an Airflow
            connection holds never gets to them.
    """

    uri: str
    plans_uri: str
    storage: StorageConfig

    def connected(self) -> AbstractContextManager[None]:
        """Storage as the run asks for it, on a worker."""
        return connected(self.storage.model_copy(update={"connection": None}))


@dataclass(frozen=True)
class _Order:
    """What one worker is asked for.

    Attributes:
        name: of the shard, relative to the examples folder.
        plan: URI of its plan.
        place: where to put it; None on a shared disk.
    """

    name: str
    plan: str
    place: SharedPlace | None


def write_shards_by_beam(
    tasks: Sequence[tuple[ShardTask, DatasetImages]], out_dir: Path, beam_args: str, place: SharedPlace | None
) -> Counter[str]:
    """Writes all shards, below `out_dir` on a shared disk, or to `place`, which `shards_of` then fetches them from.

    Args:
        tasks: the shards, each with the images of the split that it is made of.
        out_dir: the examples folder.
        beam_args: as on a command line ("--runner=FlinkRunner ...").
        place: where the shards go when the workers share no disk.

    Returns:
        How many images had to be normalised, by reason.

    Raises:
        UsageError: Beam does not know an argument.
        StorageError: shards are missing; or see `write_shard` and `boxwright.storage`.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    outcomes_uri = join(place.uri if place else str(out_dir), _OUTCOMES_FILE)
    with TemporaryDirectory(prefix="plans-", dir=out_dir) as plans:
        names = [_write_plan(task, images, out_dir, Path(plans)) for task, images in tasks]
        if place:
            upload_missing(Path(plans), place.plans_uri, [_plan_of(name) for name in names])
        orders = [_Order(name, join(place.plans_uri if place else plans, _plan_of(name)), place) for name in names]
        _run(orders, beam_args, _Noting(outcomes_uri, place))
    found = _outcomes(outcomes_uri)
    _require_all(names, found, outcomes_uri)
    if place:
        _leave(names, out_dir, place)
    else:
        (out_dir / _OUTCOMES_FILE).unlink()
    return sum((Counter(normalised) for normalised in found.values()), Counter())


def _plan_of(name: str) -> str:
    return f"{name}.json"


def _write_plan(task: ShardTask, images: DatasetImages, out_dir: Path, plans: Path) -> str:
    """Writes the plan of a shard; the shard's name."""
    name = Path(task.target).relative_to(out_dir).as_posix()
    rows = [
        [
            *(image.id, image.file_name, image.width, image.height),
            digest,
            [[box.category_id, *box.bbox] for box in boxes],
            vars(images.entries[image.file_name]),
        ]
        for image, boxes, digest in task.images
    ]
    content = {
        "source": task.source,
        "target": task.target,
        "labels": list(task.labels.items()),
        "names": list(task.names.items()),
        "images_uri": images.uri,
        "images": rows,
    }
    write_json(plans / _plan_of(name), content)
    return name


def _read_plan(uri: str) -> tuple[ShardTask, str, list[FileEntry]]:
    """A shard, the folder that its images came from, and each as it was listed there.

    Raises:
        StorageError: it is not as it was written.
    """
    try:
        plan: Any = json.loads(read_bytes(uri, _LARGEST_PLAN))
        images, entries = [], {}
        for number, name, width, height, digest, rows, listed in plan["images"]:
            boxes = tuple(Box(0, number, tuple(corners), category_id) for category_id, *corners in rows)
            images.append((ImageRecord(number, name, width, height), boxes, digest))
            entries[name] = FileEntry(**listed)
        task = ShardTask(plan["source"], plan["target"], tuple(images), dict(plan["labels"]), dict(plan["names"]))
        return task, plan["images_uri"], list(entries.values())
    except (DataError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StorageError(f"{uri} is not as it was written ({type(error).__name__}); run again", file=uri) from error


def _run(orders: Sequence[_Order], beam_args: str, note: Callable[[tuple[None, Iterable[Outcome]]], None]) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import PipelineState

    try:
        pipeline = beam.Pipeline(options=PipelineOptions(shlex.split(beam_args)))
    except (ValueError, SystemExit) as error:
        given = f"{BEAM_ARGS}={beam_args!r}"
        raise UsageError(f"{given}: {error}; see Apache Beam's pipeline options") from error
    # Fusion would write all shards in one worker.
    written = pipeline | beam.Create(list(orders)) | beam.Reshuffle() | beam.Map(_write)
    _ = written | beam.GroupByKey() | beam.Map(note)
    try:
        result = pipeline.run()
        try:
            state = result.wait_until_finish()
        finally:
            if client := getattr(result, "client", None):
                client.close()  # Dask's, which would tell of its lost server as long as this process lives
    except Exception as error:  # whatever the runner makes of what was raised on a worker
        raise _told(error) from error
    if state not in (None, PipelineState.DONE):
        raise StorageError(f"writing shards: Apache Beam ended as {state}; see its runner's own log")


def _told(error: BaseException) -> BoxwrightError:
    """What a worker said, where its runner hands that on."""
    one: BaseException | None = error
    while one is not None:
        if isinstance(one, BoxwrightError):
            return one
        one = one.__cause__
    # Some runners hand on the worker's traceback as text, which ends with the error.
    last = (str(error).splitlines() or [type(error).__name__])[-1]
    return StorageError(f"writing shards by Apache Beam: {shorten(last, 300)}; see its runner's own log")


def _write(order: _Order) -> tuple[None, Outcome]:
    """Writes a shard on a worker. One that is asked for twice is the same to the byte."""
    if order.place is None:
        return None, (order.name, dict(write_shard(_read_plan(order.plan)[0])))
    with order.place.connected(), TemporaryDirectory(prefix="boxwright-shard-") as folder:
        task, images_uri, entries = _read_plan(order.plan)
        images, shard = Path(folder, "images"), Path(folder, "shard")
        download(images_uri, entries, images)
        normalised = write_shard(replace(task, source=str(images), target=str(shard)))
        upload_file(shard, join(order.place.uri, order.name))
    return None, (order.name, dict(normalised))


@dataclass(frozen=True)
class _Noting:
    """Writes what came of all shards, on the worker that gets to know."""

    uri: str
    place: SharedPlace | None

    def __call__(self, gathered: tuple[None, Iterable[Outcome]]) -> None:
        # One that was written twice counts once.
        outcomes = dict(gathered[1])
        with self.place.connected() if self.place else nullcontext(), TemporaryDirectory() as folder:
            file = Path(folder, _OUTCOMES_FILE)
            write_json(file, dict(sorted(outcomes.items())))
            upload_file(file, self.uri)


def _outcomes(uri: str) -> dict[str, dict[str, int]]:
    try:
        found: Any = json.loads(read_bytes(uri, _LARGEST_OUTCOMES))
    except DataError as error:
        raise StorageError(f"Apache Beam ended without {uri}, which says what it wrote: {error}", file=uri) from error
    return dict(found)


def _require_all(asked: Sequence[str], found: Mapping[str, Any], uri: str) -> None:
    if missing := [name for name in asked if name not in found]:
        raise StorageError(
            f"Apache Beam wrote {len(asked) - len(missing)} of {len(asked)} shards; {uri} lacks {some(missing)}; see "
            "its runner's own log",
            file=uri,
        )


def _leave(names: Sequence[str], out_dir: Path, place: SharedPlace) -> None:
    """Notes that the shards are at their place, for those who read them on this machine."""
    listed = {entry.key: entry for entry in list_files(place.uri)}
    _require_all(names, listed, place.uri)
    leave_shards(out_dir, place.uri, [listed[name] for name in names])
