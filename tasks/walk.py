"""The five steps of the walk as tasks."""

from __future__ import annotations

from mkgan_core import pipeline
from mkgan_core.merging import MergeJob
from mkgan_core.pipeline import ComposeJob, Job, KernelJob, Record, SegmentJob, UpscaleJob
from tasks.caching import artifact_task


@artifact_task("segment")
def segment(job: SegmentJob) -> Record:
    """Image -> regions."""
    return pipeline.run(job)


@artifact_task("merge")
def merge(job: MergeJob) -> Record:
    """Regions -> regions of different blur."""
    return pipeline.run(job)


@artifact_task("kernel", gpu=True)
def estimate_kernel(job: KernelJob) -> Record:
    """Region -> kernel."""
    return pipeline.run(job)


@artifact_task("upscale", gpu=True)
def upscale(job: UpscaleJob) -> Record:
    """Region and kernel -> enlarged region."""
    return pipeline.run(job)


@artifact_task("score")
def compose(job: ComposeJob) -> Record:
    """Enlarged regions -> image and scores."""
    return pipeline.run(job)


TASKS = {SegmentJob: segment, MergeJob: merge, KernelJob: estimate_kernel, UpscaleJob: upscale, ComposeJob: compose}


def task_for(job: Job):
    """The task of a job; it reruns even if Prefect has it cached when its artifact has gone from the store."""
    task = TASKS[type(job)]
    return task if pipeline.is_done(job) else task.with_options(refresh_cache=True)
