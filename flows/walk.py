"""The order of the steps: which job follows which, and what became of each image.

Jobs are submitted when what they need is done, so no worker thread ever waits for another task, and nothing waits for
the slowest image. A job that several methods share is submitted once.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from typing import Any

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture

from mkgan_core.datasets import ImageSpec
from mkgan_core.jobs import Job, Record, is_done
from mkgan_core.merging import MergeJob, can_merge
from mkgan_core.method import Method
from mkgan_core.pipeline import ComposeJob, KernelJob, RegionJob, SegmentJob, UpscaleJob
from mkgan_core.report import RegionResult, Result
from tasks.walk import task_for

Done = Callable[[Record | None, str | None], None]  # called with the record, or with the reason of the failure


class Fanout:
    """Submits jobs as tasks and calls back, in the flow's thread, as they finish.

    Args:
        on_finish: called with the name of the task's state, and whether it completed.
        places: for steps that train; more of them wait here, where they keep no thread from steps that are quick.
    """

    def __init__(self, on_finish: Callable[[str, bool], None], places: int) -> None:
        self.running: dict[str, PrefectFuture[Any]] = {}
        self.finished: dict[str, tuple[Record | None, str | None]] = {}
        # not the futures: a Dask cluster keeps what they refer to, and computes it again where a worker is lost
        self._states: dict[str, State[Any]] = {}
        self._waiting: dict[str, list[Done]] = {}
        self._events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._on_finish = on_finish
        self._places = places
        self._training: set[str] = set()
        self._queued: dict[str, tuple[Job, Job | None]] = {}
        self._jobs: dict[str, tuple[Job, Job | None]] = {}  # of the running tasks
        self._lost: set[str] = set()  # tasks that are submitted for the second time

    def submit(self, job: Job, done: Done, *, after: Job | None = None) -> None:
        """Run a job, or join it if it is running; ``after`` draws the edge in the UI's graph."""
        key = job.key
        if key in self.finished:
            done(*self.finished[key])
            return
        self._waiting.setdefault(key, []).append(done)
        if key in self.running or key in self._queued:
            return
        there = is_done(job)
        if there or len(self._training) < self._places or not isinstance(job, RegionJob):
            self._start(job, after, there)
        else:
            self._queued[key] = job, after

    def _start(self, job: Job, after: Job | None, there: bool = False) -> None:
        key = job.key
        if isinstance(job, RegionJob) and not there:
            self._training.add(key)
        wait_for = [self._states[after.key]] if after else None
        self._jobs[key] = job, after
        self.running[key] = task_for(job, done=there).submit(job, wait_for=wait_for)
        self.running[key].add_done_callback(lambda _: self._events.put(key))

    @property
    def submitted(self) -> int:
        """How many jobs there are so far."""
        return len(self.running) + len(self._queued) + len(self.finished)

    def drain(self) -> None:
        """Handle finished tasks until none is left."""
        while self._waiting:
            key = self._events.get()
            future = self.running.pop(key)
            try:
                record, error = future.result(), None
            except Exception as fault:  # the task's own, or that of a worker that was lost time and again
                record, error = None, " ".join(f"{type(fault).__name__}: {fault}".split())
            job, after = self._jobs.pop(key)
            if error and key not in self._lost and not future.state.is_final():
                # its work did not fail: the server did not answer when it asked for a slot, or its worker was lost
                self._lost.add(key)
                self._start(job, after)
                continue
            self._states[key] = future.state
            self.finished[key] = record, error
            self._on_finish(future.state.name or "", error is None)
            for done in self._waiting.pop(key):
                done(record, error)
            self._training.discard(key)
            while self._queued and len(self._training) < self._places:
                self._start(*self._queued.pop(next(iter(self._queued))))


class Walk:
    """All methods and seeds of one image."""

    def __init__(
        self,
        fanout: Fanout,
        spec: ImageSpec,
        methods: Sequence[Method],
        seeds: Sequence[int],
        common: dict[str, str],
        results: list[Result],
    ) -> None:
        self.fanout, self.spec, self.common, self.results = fanout, spec, common, results
        for segmenter in dict.fromkeys(method.segmenter for method in methods):
            self._segment(segmenter, [m for m in methods if m.segmenter == segmenter], seeds)

    def _segment(self, segmenter: str, methods: Sequence[Method], seeds: Sequence[int]) -> None:
        job = SegmentJob(self.spec, **self.common, segmenter=segmenter)

        def done(record: Record | None, error: str | None) -> None:
            for method in methods:
                for seed in seeds:
                    if record is None:
                        self.results.append(Result(self.spec, method, seed, None, [], None, f"segment: {error}"))
                    else:
                        self._merge(method, seed, record, job)

        self.fanout.submit(job, done)

    def _merge(self, method: Method, seed: int, segmentation: Record, after: Job) -> None:
        """Where the estimator can tell, regions that are blurred alike go on as one."""
        if len(segmentation["regions"]) < 2 or not can_merge(method.estimator):
            MethodWalk(self, method, seed, segmentation, after)
            return
        assert method.estimator is not None
        regions = tuple(segmentation["regions"])
        job = MergeJob(self.spec, **self.common, regions=regions, estimator=method.estimator)

        def done(record: Record | None, error: str | None) -> None:
            if record is None:
                self.results.append(Result(self.spec, method, seed, segmentation, [], None, f"merge: {error}"))
            else:
                notes = "; ".join(note for note in (segmentation["note"], record["note"]) if note) or None
                both = {**record, "seconds": segmentation["seconds"] + record["seconds"], "note": notes}
                MethodWalk(self, method, seed, both, job)

        self.fanout.submit(job, done, after=after)


class MethodWalk:
    """One method with one seed on one image, its regions side by side."""

    def __init__(self, walk: Walk, method: Method, seed: int, segmentation: Record, after: Job) -> None:
        self.walk, self.method, self.seed, self.segmentation = walk, method, seed, segmentation
        self.parts: list[RegionResult | None] = [None] * len(segmentation["regions"])
        for index, region in enumerate(segmentation["regions"]):
            self._region(index, region, after)

    def _region(self, index: int, region: Record, after: Job) -> None:
        walk, method = self.walk, self.method

        def upscale(kernel: Record | None, after: Job) -> None:
            job = UpscaleJob(
                walk.spec,
                **walk.common,
                region=region,
                seed=self.seed,
                upscaler=method.upscaler,
                estimator=method.estimator,
                kernel=kernel,
            )

            def done(record: Record | None, error: str | None) -> None:
                why = error and f"{job.label}: {error}"
                self._finish(index, RegionResult(region, kernel, record, why), job)

            walk.fanout.submit(job, done, after=after)

        if method.estimator is None:
            upscale(None, after)
            return
        job = KernelJob(walk.spec, **walk.common, region=region, seed=self.seed, estimator=method.estimator)

        def estimated(record: Record | None, error: str | None) -> None:
            if record is None:
                self._finish(index, RegionResult(region, error=f"{job.label}: {error}"), job)
            else:
                upscale(record, job)

        walk.fanout.submit(job, estimated, after=after)

    def _finish(self, index: int, part: RegionResult, after: Job) -> None:
        self.parts[index] = part
        parts = [part for part in self.parts if part]
        if len(parts) < len(self.parts):
            return
        errors = [part.error for part in parts if part.error]
        if errors:
            self._report(parts, None, "; ".join(errors))
            return
        job = ComposeJob(
            self.walk.spec,
            **self.walk.common,
            method=self.method.name,
            parts=tuple((part.region, part.kernel, part.upscaled) for part in parts if part.upscaled),
        )
        self.walk.fanout.submit(job, lambda record, error: self._report(parts, record, error), after=after)

    def _report(self, parts: Sequence[RegionResult], composed: Record | None, error: str | None) -> None:
        result = Result(self.walk.spec, self.method, self.seed, self.segmentation, parts, composed, error)
        self.walk.results.append(result)
