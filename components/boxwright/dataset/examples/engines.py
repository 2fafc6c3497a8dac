"""The local engine: `write_shard` over many shards in processes of this machine.

On one machine Beam's DirectRunner cost far more than a fifth of a pool's throughput (`python -m benchmarks.examples`),
so the pool is the local engine; `beam.py` is that of a cluster. Both call the same function, and the shards are the
same to the byte.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from boxwright.dataset.examples.shards import ShardTask, write_shard
from boxwright.errors import BoxwrightError, StorageError

Progress = Callable[[int, int], None]
_FEW = 5  # shards that are written sooner than other processes have started


def write_shards(tasks: Sequence[ShardTask], on_progress: Progress | None = None) -> Counter[str]:
    """Writes all shards.

    Args:
        tasks: the shards.
        on_progress: called with (shards done, shards in all).

    Returns:
        How many images had to be normalised, by reason.

    Raises:
        StorageError: a worker died, or see `write_shard`.
    """
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
