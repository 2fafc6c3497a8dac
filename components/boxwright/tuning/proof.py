"""The trainings of the proof: finalists with fresh seeds, each in a process of its own, then the comparison."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

from boxwright.errors import TrainingError
from boxwright.evaluation import Detections, Measurement, Resampled
from boxwright.tuning.finalists import DETECTIONS_FILE, finalist_name, read_test_images
from boxwright.tuning.pool import Ended, Job, Pool, pool_of
from boxwright.tuning.proving import DEFAULTS, candidates, fresh_seeds, prove, unproven
from boxwright.tuning.records import Finalist, Proof, StudyRecord
from boxwright.tuning.study import Study

log = logging.getLogger("boxwright.tuning")


def run_proof(study: Study, record: StudyRecord, folder: Path, on_change: Callable[[], None] = lambda: None) -> Proof:
    """Trains the best settings and the defaults again, and compares them; trainings that are done are not done again.

    Args:
        study: with its trials ended.
        record: with its examples.
        folder: of the study.
        on_change: is called when a training has ended.

    Raises:
        TrainingError: the defaults could not be trained again.
    """
    chosen = candidates(study)
    if not chosen:
        return unproven(study.space.defaults, "no trial was better than the defaults on the validation images")
    seeds = fresh_seeds(study.space.own.seed, study.tuning.proof_seeds)
    numbered = {DEFAULTS: study.space.defaults} | {one.number: one.settings for one in chosen}
    jobs = [
        Job(finalist_name(number, seed), "proof", json.dumps({**settings, "seed": seed}))
        for number, settings in numbered.items()
        for seed in seeds
    ]
    problems = _train(jobs, folder, study.tuning.parallel, on_change)
    finalists = []
    for number, settings in numbered.items():
        name = "defaults" if number == DEFAULTS else f"trial {number}"
        failed = [problems[one] for seed in seeds if (one := finalist_name(number, seed)) in problems]
        problem = failed[0] if failed else None
        finalists.append(Finalist(name=name, settings=settings, seeds=seeds, problem=problem))
    if finalists[0].problem:
        raise TrainingError(f"the defaults could not be trained again for the proof: {finalists[0].problem}")
    images = read_test_images(Path(record.examples or ""))
    measured = {
        finalist.name: [
            Resampled(Measurement(images, Detections.of_results(images, _found(folder / finalist_name(number, seed)))))
            for seed in seeds
        ]
        for number, finalist in zip(numbered, finalists, strict=True)
        if finalist.problem is None
    }
    return prove(finalists, measured)


def _train(jobs: list[Job], folder: Path, size: int, on_change: Callable[[], None]) -> dict[str, str]:
    """Runs the trainings that are not done; returns why any failed, by name."""
    left = deque(job for job in jobs if not (folder / job.name / DETECTIONS_FILE).exists())
    problems: dict[str, str] = {}
    with pool_of(folder, size) as pool:
        while left or not pool.is_empty:
            _fill(pool, left)
            ended: Ended = pool.wait()
            if ended.problem:
                problems[ended.job.name] = ended.problem
            log.info(
                "%s %s", ended.job.name, f"failed: {ended.problem}" if ended.problem else "is trained and measured"
            )
            on_change()
    return problems


def _fill(pool: Pool, left: deque[Job]) -> None:
    while left and pool.has_room:
        job = left.popleft()
        log.info("%s: training with a fresh seed", job.name)
        pool.start(job)


def _found(folder: Path) -> list[dict[str, object]]:
    """The detections that a training of the proof left, as COCO results."""
    return list(json.loads((folder / DETECTIONS_FILE).read_text()))
