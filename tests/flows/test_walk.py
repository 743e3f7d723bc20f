"""Which step gets a GPU slot, which waits, and what is tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.states import Failed

from flows.walk import Fanout
from mkgan_core import jobs, pipeline
from mkgan_core.datasets import Dataset
from mkgan_core.errors import DatasetError, KernelError, StorageError
from mkgan_core.jobs import Job
from mkgan_core.pipeline import KernelJob, SegmentJob, whole_region
from tasks.caching import _may_help
from tasks.walk import estimate_kernel, task_for


@pytest.fixture
def common(tmp_path: Path) -> dict[str, str]:
    return {"store": (tmp_path / "store").as_uri(), "preset": "fast", "device": "cpu"}


def kernel_jobs(folder: Path, common: dict[str, str]) -> list[KernelJob]:
    spec = Dataset(str(folder)).plan(2)[0]
    common_ = {"region": whole_region(spec), "estimator": "kernelgan"}
    return [KernelJob(spec, **common, **common_, seed=seed) for seed in range(5)]


def test_a_finished_step_needs_no_slot_and_keeps_its_cache_key(dataset_folder: Path, common: dict[str, str]) -> None:
    job: Any = kernel_jobs(dataset_folder, common)[0]
    todo, done = task_for(job, done=False), task_for(job, done=True)
    assert set(todo.tags) == {"gpu"}
    assert "gpu" not in done.tags
    keys = {task.cache_policy.compute_key(None, {"job": job}, None) for task in (todo, done, estimate_kernel)}  # type: ignore
    assert keys == {job.key}


def test_trainings_beyond_the_places_wait_here(
    dataset_folder: Path, common: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Job] = []
    fanout = Fanout(lambda state, completed: None, places=2)

    def start(job: Job, after: Job | None, there: bool = False) -> None:
        started.append(job)
        fanout.running[job.key] = None  # type: ignore[assignment]
        if isinstance(job, KernelJob):
            fanout._training.add(job.key)

    monkeypatch.setattr(fanout, "_start", start)
    kernels = kernel_jobs(dataset_folder, common)
    for job in kernels:
        fanout.submit(job, lambda record, error: None)
    assert started == kernels[:2]
    quick = SegmentJob(kernels[0].spec, **common, segmenter="whole")
    fanout.submit(quick, lambda record, error: None)
    assert started == [*kernels[:2], quick]  # goes past them
    assert fanout.submitted == len(kernels) + 1


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
    assert _may_help(estimate_kernel, None, Failed(data=fault)) is helps  # type: ignore[arg-type]


def test_an_unhealthy_kernel_gets_another_seed(
    dataset_folder: Path, common: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mkgan_core.estimators.kernelgan import KernelGan

    seeds = []

    def diverge(self: KernelGan, *inputs: Any, seed: int, **more: Any) -> None:
        seeds.append(seed)
        raise KernelError("did not converge")

    monkeypatch.setattr(KernelGan, "estimate", diverge)
    record = jobs.run(kernel_jobs(dataset_folder, common)[0])
    assert seeds == [0, pipeline.SEED_STRIDE]
    assert record["attempts"] == 2
    assert "took bicubic" in record["fallback"]
