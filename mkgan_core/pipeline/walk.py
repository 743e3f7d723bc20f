"""The walk of an image: the order of its steps, defined once.

A walk is a generator that yields jobs and receives their records. It does not depend on threads or Prefect: a driver
decides how the jobs run. `run` does them one after another, `flows.fanout` in parallel as Prefect tasks. The driver
raises a failed step inside the walk as `StepFailed`, so the consequences are decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any, TypedDict, TypeVar

from mkgan_core.datasets.layout import ImageSpec
from mkgan_core.errors import ArtifactError
from mkgan_core.pipeline import jobs
from mkgan_core.pipeline.jobs import Job
from mkgan_core.pipeline.method import Method
from mkgan_core.pipeline.records import KernelRecord, RegionEntry, SegmentRecord, StepRecord
from mkgan_core.pipeline.results import RegionResult, Result
from mkgan_core.pipeline.steps.enlarge import UpscaleJob
from mkgan_core.pipeline.steps.kernel import KernelJob
from mkgan_core.pipeline.steps.merge import MergeJob, can_merge
from mkgan_core.pipeline.steps.score import ComposeJob
from mkgan_core.pipeline.steps.segment import SegmentJob

T = TypeVar("T")
R = TypeVar("R", bound=StepRecord)
# yields a job, whose record it receives, or a list of walks, whose results it receives; returns its own result
Walk = Generator["Job[Any] | list[Walk[Any]]", Any, T]


class Common(TypedDict):
    """Arguments that all jobs of a run share: the store's URI, the preset's name, and the device."""

    store: str
    preset: str
    device: str


class StepFailed(Exception):
    """A step failed; its ``__cause__`` is the fault."""

    def __init__(self, job: Job[Any], fault: BaseException) -> None:
        reason = " ".join(f"{type(fault).__name__}: {fault}".split())
        super().__init__(f"{job.label}: {reason}")
        self.__cause__ = fault

    @property
    def damaged(self) -> bool:
        """Whether it failed because a file of an earlier step was damaged meanwhile."""
        return isinstance(self.__cause__, ArtifactError)


def enlarge(spec: ImageSpec, method: Method, seed: int, common: Common) -> Walk[Result]:
    """Run a method with a seed on an image: split it, enlarge every region with its kernel, compose the regions.

    If a region fails, the image's result fails, but the other regions are finished. If a file of an earlier step was
    damaged meanwhile, the walk starts again once.
    """
    return (yield from _once_more(lambda: _enlarge(spec, method, seed, common)))


def estimate(spec: ImageSpec, method: Method, seed: int, common: Common) -> Walk[Result]:
    """The first half of `enlarge`: the image's regions and the kernel of each; the result has no enlargements."""
    return (yield from _once_more(lambda: _estimate(spec, method, seed, common)))


def _once_more(walk: Callable[[], Walk[Result]]) -> Walk[Result]:
    result = yield from walk()
    if result.damaged:
        result = yield from walk()
    return result


def _enlarge(spec: ImageSpec, method: Method, seed: int, common: Common) -> Walk[Result]:
    segmentation, failed = yield from _split(spec, method, common)
    if segmentation is None or failed:
        return _result(spec, method, seed, segmentation, [], failed)
    parts = yield from _side_by_side(
        [_enlarge_region(spec, method, seed, common, region, segmentation) for region in segmentation["regions"]]
    )
    result = _result(spec, method, seed, segmentation, parts)
    if result.error:
        return result
    try:
        return replace(result, composed=(yield from one_step(_compose_job(spec, method, common, parts))))
    except StepFailed as failed:
        return _result(spec, method, seed, segmentation, parts, failed)


def _estimate(spec: ImageSpec, method: Method, seed: int, common: Common) -> Walk[Result]:
    segmentation, failed = yield from _split(spec, method, common)
    if segmentation is None or failed:
        return _result(spec, method, seed, segmentation, [], failed)
    parts = yield from _side_by_side(
        [_estimate_region(spec, method, seed, common, region, segmentation) for region in segmentation["regions"]]
    )
    return _result(spec, method, seed, segmentation, parts)


def _result(
    spec: ImageSpec,
    method: Method,
    seed: int,
    segmentation: SegmentRecord | None,
    parts: Sequence[RegionResult],
    failed: StepFailed | None = None,
) -> Result:
    """The image's result, up to the failed step."""
    errors = [part.error for part in parts if part.error] + ([str(failed)] if failed else [])
    damaged = any(part.damaged for part in parts) or (failed is not None and failed.damaged)
    return Result(spec, method, seed, segmentation, parts, None, "; ".join(errors) or None, damaged)


def _split(spec: ImageSpec, method: Method, common: Common) -> Walk[tuple[SegmentRecord | None, StepFailed | None]]:
    """The image's regions, merged where their blurs are equal if the estimator can compare blurs; the failed step.

    Such an estimator also gets the single objects, because some may be blurred like the background.
    """
    before, estimator = None, method.estimator if can_merge(method.estimator) else None
    sorts = estimator is not None and method.tells_objects_apart and not method.segmenter_changes
    try:
        job = SegmentJob(spec, **common, segmenter=method.segmenter, changes=method.segmenter_changes, objects=sorts)
        before = yield from one_step(job)
        if len(before["regions"]) < 2 or estimator is None:
            return before, None
        regions, objects = tuple(before["regions"]), tuple(before.get("objects", ()))
        after = yield from one_step(MergeJob(spec, **common, regions=regions, estimator=estimator, objects=objects))
    except StepFailed as failed:
        return before, failed
    notes = "; ".join(note for note in (before["note"], after["note"]) if note) or None
    return {**after, "seconds": before["seconds"] + after["seconds"], "note": notes}, None


def _estimate_region(
    spec: ImageSpec, method: Method, seed: int, common: Common, region: RegionEntry, split: SegmentRecord
) -> Walk[RegionResult]:
    if method.estimator is None:
        return RegionResult(region)
    try:
        regions = tuple(split["regions"]) if len(split["regions"]) > 1 and can_merge(method.estimator) else ()
        job = KernelJob(spec, **common, region=region, seed=seed, estimator=method.estimator, regions=regions)
        return RegionResult(region, (yield from one_step(job)))
    except StepFailed as failed:
        return RegionResult(region, error=str(failed), damaged=failed.damaged)


def _enlarge_region(
    spec: ImageSpec, method: Method, seed: int, common: Common, region: RegionEntry, split: SegmentRecord
) -> Walk[RegionResult]:
    estimated = yield from _estimate_region(spec, method, seed, common, region, split)
    if estimated.error:
        return estimated
    try:
        enlarged = yield from one_step(_upscale_job(spec, method, seed, common, region, estimated.kernel))
    except StepFailed as failed:
        return replace(estimated, error=str(failed), damaged=failed.damaged)
    return RegionResult(region, estimated.kernel, enlarged)


def _upscale_job(
    spec: ImageSpec, method: Method, seed: int, common: Common, region: RegionEntry, kernel: KernelRecord | None
) -> UpscaleJob:
    return UpscaleJob(
        spec,
        **common,
        region=region,
        seed=seed,
        upscaler=method.upscaler,
        estimator=method.estimator,
        kernel=kernel,
        changes=method.upscaler_changes,
    )


def _compose_job(spec: ImageSpec, method: Method, common: Common, parts: Sequence[RegionResult]) -> ComposeJob:
    enlarged = tuple((part.region, part.kernel, part.upscaled) for part in parts if part.upscaled)
    return ComposeJob(
        spec,
        **common,
        method=method.name,
        parts=enlarged,
        feather=method.feather,
        upscaler=method.upscaler,
        changes=method.upscaler_changes,
    )


def one_step(job: Job[R]) -> Walk[R]:
    """The walk of a single job; its result is the job's record."""
    return (yield job)


def _side_by_side(walks: list[Walk[T]]) -> Walk[list[T]]:
    """The results of walks that may run in parallel."""
    return (yield walks)


def run(walk: Walk[T], step: Callable[[Job[Any]], Any] = jobs.run, *, strict: bool = False) -> T:
    """Drive a walk in plain Python, one step after another.

    Args:
        walk: from `enlarge` or `estimate`.
        step: computes a job's record.
        strict: whether to raise a step's exception unchanged, instead of raising `StepFailed` inside the walk.
    """
    reply: Any = None
    failed: StepFailed | None = None
    while True:
        try:
            wanted = walk.throw(failed) if failed else walk.send(reply)
        except StopIteration as end:
            return end.value
        failed = None
        if isinstance(wanted, list):
            reply = [run(part, step, strict=strict) for part in wanted]
            continue
        try:
            reply = step(wanted)
        except Exception as fault:
            if strict:
                raise
            failed = StepFailed(wanted, fault)
