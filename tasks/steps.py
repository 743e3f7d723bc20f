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

STORED = "stored"  # the tag of steps whose result is there already; not none, or they would keep the tag gpu
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

    run.__name__ = run.__qualname__ = name  # Prefect and Dask name what they run by its function
    return artifact_task(name, gpu=kind.trains)(run)


TASKS = {kind: _task(kind, name) for kind, name in NAMES.items()}


def task_for(job: Job[Any], *, done: bool) -> Task[..., Any]:
    """The task of a job.

    Args:
        job: a step for an image.
        done: the job's record and its files are in the store, whole. Then it needs no GPU slot, which Prefect would
            take before it looks into its cache: the step would queue behind trainings. Otherwise it runs even if
            Prefect has it cached, for something of it is missing from the store, or damaged.
    """
    task = TASKS[type(job)]
    return task.with_options(tags=[STORED]) if done else task.with_options(refresh_cache=True)
