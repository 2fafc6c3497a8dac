"""Engines that run `write_shard` over many shards: processes of this machine, or Apache Beam on a cluster.

Workers of a cluster need the run's folders at the same paths, as a shared disk gives them. On one machine Beam's
DirectRunner cost far more than a fifth of a pool's throughput (`python -m benchmarks.examples`), so the pool is the
local engine. Both call the same function, and the shards are the same to the byte.
"""

from __future__ import annotations

import multiprocessing
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from boxwright.config import BEAM_ARGS
from boxwright.dataset.examples.shards import ShardTask, write_shard
from boxwright.errors import BoxwrightError, StorageError, UsageError

Progress = Callable[[int, int], None]
_NAMESPACE = "boxwright"
_FEW = 5  # shards that are written sooner than other processes have started


def write_shards(
    tasks: Sequence[ShardTask], beam_args: str | None = None, on_progress: Progress | None = None
) -> Counter[str]:
    """Writes all shards.

    Args:
        tasks: the shards.
        beam_args: arguments for Beam, as on a command line ("--runner=FlinkRunner ..."); processes of this machine
            if unset.
        on_progress: called with (shards done, shards in all); Beam's runners have pages of their own for that.

    Returns:
        How many images had to be normalised, by reason.

    Raises:
        UsageError: Beam does not know an argument.
        StorageError: a worker died, or see `write_shard`.
    """
    if beam_args:
        return _with_beam(tasks, beam_args)
    counts: Counter[str] = Counter()
    for done, found in enumerate(_with_processes(tasks), start=1):
        counts += found
        if on_progress:
            on_progress(done, len(tasks))
    return counts


def _with_processes(tasks: Sequence[ShardTask]) -> Iterator[Counter[str]]:
    workers = min(len(os.sched_getaffinity(0)), len(tasks))
    # A process in which others may not be started does the work by itself, as one with little to do.
    if workers < 2 or len(tasks) < _FEW or multiprocessing.current_process().daemon:
        yield from map(write_shard, tasks)
        return
    # Not forked: this process may have threads.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(write_shard, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BoxwrightError:
            raise
        except OSError as error:
            raise StorageError(f"writing shards: {error.strerror or error}; free space, run again") from error
        except RuntimeError as error:  # BrokenProcessPool: a worker was killed, most often for want of memory
            raise StorageError(f"writing shards: a worker process died ({error}); free memory, run again") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _with_beam(tasks: Sequence[ShardTask], beam_args: str) -> Counter[str]:
    import apache_beam as beam
    from apache_beam.metrics import Metrics, MetricsFilter
    from apache_beam.options.pipeline_options import PipelineOptions

    def write(task: ShardTask) -> None:
        for reason, count in write_shard(task).items():
            Metrics.counter(_NAMESPACE, reason).inc(count)

    try:
        options = PipelineOptions(shlex.split(beam_args))
        pipeline = beam.Pipeline(options=options)
    except (ValueError, SystemExit) as error:
        given = f"{BEAM_ARGS}={beam_args!r}"
        raise UsageError(f"{given}: {error}; see Apache Beam's pipeline options") from error
    # Fusion would write all shards in one worker.
    _ = pipeline | beam.Create(list(tasks)) | beam.Reshuffle() | beam.Map(write)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]
    return Counter({counter.key.metric.name: counter.committed or counter.attempted for counter in found})
