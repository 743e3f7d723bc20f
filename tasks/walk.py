"""The five steps of the walk as tasks."""

from __future__ import annotations

from mkgan_core import jobs
from mkgan_core.jobs import Job, Record
from mkgan_core.merging import MergeJob
from mkgan_core.pipeline import ComposeJob, KernelJob, SegmentJob, UpscaleJob
from tasks.caching import artifact_task


@artifact_task("segment")
def segment(job: SegmentJob) -> Record:
    """Image -> regions."""
    return jobs.run(job)


@artifact_task("merge")
def merge(job: MergeJob) -> Record:
    """Regions -> regions of different blur."""
    return jobs.run(job)


@artifact_task("kernel", gpu=True)
def estimate_kernel(job: KernelJob) -> Record:
    """Region -> kernel."""
    return jobs.run(job)


@artifact_task("upscale", gpu=True)
def upscale(job: UpscaleJob) -> Record:
    """Region and kernel -> enlarged region."""
    return jobs.run(job)


@artifact_task("score")
def compose(job: ComposeJob) -> Record:
    """Enlarged regions -> image and scores."""
    return jobs.run(job)


STORED = "stored"  # the tag of steps whose result is there already; not none, or they would keep the tag gpu
TASKS = {SegmentJob: segment, MergeJob: merge, KernelJob: estimate_kernel, UpscaleJob: upscale, ComposeJob: compose}


def task_for(job: Job, *, done: bool):
    """The task of a job.

    Args:
        done: the job's record is in the store. Then it needs no GPU slot, which Prefect would take before it looks
            into its cache: the step would queue behind trainings. Otherwise it runs even if Prefect has it cached,
            for its artifact has gone from the store.
    """
    task = TASKS[type(job)]
    return task.with_options(tags=[STORED]) if done else task.with_options(refresh_cache=True)
