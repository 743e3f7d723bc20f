"""The steps of the walk as tasks."""

from __future__ import annotations

from typing import Any

from prefect import Task

from mkgan_core.pipeline import jobs
from mkgan_core.pipeline.jobs import Job
from mkgan_core.pipeline.records import Record
from mkgan_core.pipeline.steps.enlarge import UpscaleJob
from mkgan_core.pipeline.steps.kernel import KernelJob
from mkgan_core.pipeline.steps.merge import MergeJob
from mkgan_core.pipeline.steps.score import ComposeJob
from mkgan_core.pipeline.steps.segment import SegmentJob
from tasks.caching import artifact_task

STORED = "stored"  # the tag of steps whose result is already stored; with an empty list they would keep the tag gpu
NAMES: dict[type[Job[Any]], str] = {
    SegmentJob: "segment",
    MergeJob: "merge",
    KernelJob: "kernel",
    UpscaleJob: "upscale",
    ComposeJob: "score",
}


def _task(kind: type[Job[Any]], name: str) -> Task[..., Any]:
    def run(job: Job[Any]) -> Record:
        return jobs.run(job)

    run.__name__ = run.__qualname__ = name  # Prefect and Dask show the function's name
    return artifact_task(name, gpu=kind.trains)(run)


TASKS = {kind: _task(kind, name) for kind, name in NAMES.items()}


def task_for(job: Job[Any], *, done: bool) -> Task[..., Any]:
    """The task of a job.

    Args:
        job: a step for an image.
        done: whether the store has the job's record and all its files, undamaged. Then the task asks for no GPU slot:
            Prefect takes the slot before it reads its cache, so the step would queue behind trainings. Otherwise the
            task runs even if Prefect has it cached, because something is missing from the store or damaged.
    """
    task = TASKS[type(job)]
    return task.with_options(tags=[STORED]) if done else task.with_options(refresh_cache=True)
