"""Redis as Celery's broker, and the workers that listen to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from boxwright.doctor.finding import Finding, doubtful, skipped, well, wrong
from boxwright.errors import without_secrets
from boxwright.pipeline import DATA_QUEUE, GPU_POOL, GPU_QUEUE

SECONDS = 5.0


def look_at_broker(url: str) -> Iterator[Finding]:
    """Whether the broker answers, and keeps waiting tasks over a restart."""
    subject = "broker"
    try:
        import redis
    except ImportError:
        yield skipped(subject, "the extra `cluster` is not installed")
        return
    if not url.startswith(("redis://", "rediss://")):
        yield skipped(subject, f"{without_secrets(url)} is not Redis")
        return
    try:
        broker = redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
        broker.ping()
    except (redis.RedisError, ValueError) as error:
        yield wrong(subject, f"{without_secrets(url)}: {error}", "start Redis, or correct [celery] broker_url")
        return
    try:
        kept = broker.config_get("appendonly").get("appendonly") == "yes"
    except redis.RedisError:
        yield skipped(subject, f"{without_secrets(url)} answers; it does not tell whether it is append-only")
        return
    if kept:
        yield well(subject, f"{without_secrets(url)} answers, and is append-only")
    else:
        yield doubtful(
            subject,
            f"{without_secrets(url)} forgets at a restart which tasks wait in it, and they stay queued",
            "appendonly yes in redis.conf",
        )


def look_at_workers(url: str, default_queue: str, gpu_slots: int | None) -> Iterator[Finding]:
    """Whether each queue has a worker, and the pool of trainings at most as many slots as workers can run.

    Args:
        url: of the broker.
        default_queue: name of Airflow's own queue.
        gpu_slots: of the pool `gpu`; None where it is unknown.
    """
    subject = "Celery workers"
    try:
        from celery import Celery
    except ImportError:
        return
    try:
        control = Celery(broker=url).control.inspect(timeout=SECONDS)
        queues, stats = control.active_queues() or {}, control.stats() or {}
    # Whatever kombu raises of a broker that the look before has named.
    except Exception as error:
        yield wrong(subject, f"they cannot be asked: {type(error).__name__}", "see the broker")
        return
    yield from judge_workers(subject, queues, stats, default_queue, gpu_slots)


def judge_workers(
    subject: str, queues: Mapping[str, Any], stats: Mapping[str, Any], default_queue: str, gpu_slots: int | None
) -> Iterator[Finding]:
    """Compares Celery's facts about its workers, by the worker's name, with what steps need."""
    needed = (default_queue, DATA_QUEUE, GPU_QUEUE)
    can: Counter[str] = Counter()
    for worker, listens in queues.items():
        for queue in listens:
            can[queue["name"]] += int(stats.get(worker, {}).get("pool", {}).get("max-concurrency", 0))
    if missing := [queue for queue in needed if not can[queue]]:
        yield wrong(
            subject,
            f"{len(queues)} answer, and none listens to {', '.join(missing)}: steps wait there for ever",
            f"airflow celery worker --queues {','.join(missing)}, or move steps by the Variable boxwright_queues",
        )
        return
    said = ", ".join(f"{queue} {can[queue]}" for queue in needed)
    if gpu_slots is not None and gpu_slots > can[GPU_QUEUE]:
        yield doubtful(
            subject,
            f"the pool {GPU_POOL} has {gpu_slots} slots, and workers of its queue run {can[GPU_QUEUE]} tasks: "
            "trainings wait as queued, and fail after [scheduler] task_queued_timeout",
            f"airflow pools set {GPU_POOL} {can[GPU_QUEUE]} trainings",
        )
        return
    yield well(subject, f"{len(queues)}, with places by queue: {said}")
