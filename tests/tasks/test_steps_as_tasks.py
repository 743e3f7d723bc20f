"""Which step gets a GPU slot, which cache key a task has, and what is tried again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prefect.states import Failed

from mkgan_core.datasets.layout import Dataset
from mkgan_core.errors import DatasetError, KernelError, StorageError
from mkgan_core.pipeline.artifacts import whole_region
from mkgan_core.pipeline.steps.kernel import KernelJob
from mkgan_core.pipeline.steps.merge import MergeJob
from mkgan_core.pipeline.steps.segment import SegmentJob
from tasks.steps import TASKS, task_for
from tests.drive import common_of


def test_a_finished_step_needs_no_slot_and_keeps_its_cache_key(dataset_folder: Path, tmp_path: Path) -> None:
    spec = Dataset(str(dataset_folder)).plan(2)[0]
    job = KernelJob(spec, **common_of(tmp_path), region=whole_region(spec), seed=0, estimator="kernelgan")
    todo, done = task_for(job, done=False), task_for(job, done=True)
    assert set(todo.tags) == {"gpu"}
    assert "gpu" not in done.tags
    tasks = (todo, done, TASKS[KernelJob])

    def keys(job: KernelJob) -> set[str]:
        return {task.cache_policy.compute_key(None, {"job": job}, None) for task in tasks}  # type: ignore[union-attr]

    (key,) = keys(job)
    assert keys(replace(job, device="cuda")) == {key}
    assert key not in keys(replace(job, seed=1))
    assert key not in keys(replace(job, store="memory://elsewhere"))  # what is cached for one store is in that store


def test_only_steps_that_may_train_want_a_gpu() -> None:
    assert {kind.step for kind, task in TASKS.items() if "gpu" in task.tags} == {"kernel", "upscale"}
    assert not set(TASKS[SegmentJob].tags) and not set(TASKS[MergeJob].tags)


@pytest.mark.parametrize(
    ("fault", "helps"),
    [
        (StorageError("the store is away"), True),
        (OSError("connection reset"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (DatasetError("im_1.png is not a readable image"), False),
        (KernelError("did not converge"), False),  # another seed was tried already
        (ValueError("a fault of ours"), False),
    ],
)
def test_what_is_tried_again(fault: Exception, helps: bool) -> None:
    task = TASKS[KernelJob]
    assert task.retry_condition_fn is not None
    assert task.retry_condition_fn(task, None, Failed(data=fault)) is helps  # type: ignore[arg-type]
