"""Runs many walks at a time, each step as a Prefect task.

A step is submitted once its inputs exist, so no worker thread waits for another task, and no image waits for the
slowest one. Walks that need the same step share it.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture

from flows.patience import patiently
from mkgan_core.errors import ArtifactError
from mkgan_core.machine import progress
from mkgan_core.pipeline.jobs import Job, find
from mkgan_core.pipeline.records import Record
from mkgan_core.pipeline.walk import StepFailed, Walk
from tasks.steps import task_for

T = TypeVar("T")
STOPPED = "interrupted; finished steps are kept, and a retry runs the others"
CHECKS = 8  # steps to look up in the store at a time
POLL_S = 0.2  # how often to check whether the run was stopped


@dataclass(eq=False)
class _Step:
    """One job, and the branches of walks that wait for its record.

    Attributes:
        after: the steps before it, for the edges in the UI's graph.
        found: the lookup in the store; its result is the record, or None if the step must run.
        future: of its task, while that runs.
        state: the last state of its task. It replaces the future, because a Dask cluster keeps the results of futures
            and computes them again when it loses a worker.
        record, fault: how the step ended; both None before.
        training: whether it occupies one of the places for training.
        resubmitted: whether its task was lost once.
    """

    job: Job[Any]
    after: tuple[_Step, ...]
    found: Future[Record | None]
    waiting: list[_Branch] = field(default_factory=list)
    future: PrefectFuture[Any] | None = None
    state: State[Any] | None = None
    record: Record | None = None
    fault: Exception | None = None
    training: bool = False
    resubmitted: bool = False

    @property
    def ended(self) -> bool:
        return self.record is not None or self.fault is not None


@dataclass(eq=False)
class _Branch:
    """A walk, or one of several parallel parts of a walk.

    Attributes:
        done: called with the walk's result.
        last: the steps that come before the next one.
    """

    walk: Walk[Any]
    done: Callable[[Any], None]
    last: tuple[_Step, ...] = ()


class Fanout:
    """Runs walks in the flow's thread, their steps as tasks.

    Args:
        on_step: called as each step finishes, with the name of its task's state and the seconds of its work.
        places: largest number of training steps to submit at a time; the others wait here, without occupying a thread.
    """

    def __init__(self, on_step: Callable[[str, float], None], places: int) -> None:
        self._on_step, self._places = on_step, places
        self._steps: dict[str, _Step] = {}
        self._damaged: set[str] = set()  # keys of forgotten steps (`_forget`) that have not succeeded since
        self._queued: deque[_Step] = deque()
        self._checked: deque[_Step] = deque()  # lookups in progress, in order
        self._training = self._running = 0
        self._events: queue.SimpleQueue[_Step | None] = queue.SimpleQueue()  # None: a lookup has finished

    @property
    def submitted(self) -> int:
        """Number of steps so far, each counted once."""
        return len(self._steps.keys() | self._damaged)

    @property
    def records(self) -> list[str]:
        """Names of the finished steps' records."""
        return [step.job.record_name for step in self._steps.values() if step.record is not None]

    @property
    def failed(self) -> int:
        """Number of failed steps."""
        return len(self._damaged.union(key for key, step in self._steps.items() if step.fault is not None))

    def run(self, walks: Sequence[Walk[T]], on_result: Callable[[T], None] = lambda _: None) -> list[T]:
        """Run walks until all steps have finished; return their results in the same order.

        Args:
            walks: to run.
            on_result: called with each walk's result as it becomes available.

        Raises:
            Stopped: if the work was stopped; this does not wait for steps that still run.
        """
        results: dict[int, T] = {}

        def done(index: int, result: T) -> None:
            results[index] = result
            on_result(result)

        with ThreadPoolExecutor(CHECKS, "mkgan-check") as self._checks:
            try:
                for index, walk in enumerate(walks):
                    progress.check()
                    self._advance(_Branch(walk, lambda result, index=index: done(index, result)))
                while self._running or self._checked:
                    progress.check()
                    with suppress(queue.Empty):
                        if step := self._events.get(timeout=POLL_S):
                            self._end(step)
                    while self._checked and self._checked[0].found.done():
                        self._take(self._checked.popleft())
            except BaseException:
                self._checks.shutdown(wait=False, cancel_futures=True)
                raise
        return [results[index] for index in range(len(walks))]

    def _advance(self, branch: _Branch, reply: Any = None, failed: StepFailed | None = None) -> None:
        """Pass a branch the result it waited for, and start the next step that it asks for."""
        try:
            wanted = branch.walk.throw(failed) if failed else branch.walk.send(reply)
        except StopIteration as end:
            branch.done(end.value)
            return
        if isinstance(wanted, list):
            self._split(branch, wanted)
        else:
            self._submit(wanted, branch)

    def _split(self, branch: _Branch, walks: Sequence[Walk[Any]]) -> None:
        """Run walks in parallel, then resume the branch with their results."""
        results: dict[int, Any] = {}
        children: list[_Branch] = []

        def done(index: int, result: Any) -> None:
            results[index] = result
            if len(results) == len(walks):
                branch.last = tuple(dict.fromkeys(step for child in children for step in child.last))
                self._advance(branch, [results[index] for index in range(len(walks))])

        for index, walk in enumerate(walks):
            children.append(_Branch(walk, lambda result, index=index: done(index, result), branch.last))
        for child in children:
            self._advance(child)

    def _submit(self, job: Job[Any], branch: _Branch) -> None:
        """Run a job, or join the branches that already wait for it."""
        step = self._steps.get(job.key)
        if step and step.ended:
            self._reply(step, branch)
            return
        if step is None:
            # in a thread: reading and hashing the files takes a while, and the store may need retries
            found = self._checks.submit(copy_context().run, patiently, lambda: find(job))
            step = self._steps[job.key] = _Step(job, branch.last, found)
            self._checked.append(step)
            found.add_done_callback(lambda _: self._events.put(None))
        step.waiting.append(branch)

    def _take(self, step: _Step) -> None:
        """Start a step after its lookup, or queue it."""
        try:
            record = step.found.result()
        except Exception as fault:
            self._close(step, "", fault=fault)
            return
        if record is not None or not step.job.trains or self._training < self._places:
            self._start(step, record is not None)
        else:
            self._queued.append(step)

    def _start(self, step: _Step, there: bool = False) -> None:
        if step.job.trains and not there and not step.training:
            step.training = True
            self._training += 1
        self._running += 1
        wait_for = [before.state for before in step.after if before.state]
        step.future = task_for(step.job, done=there).submit(step.job, wait_for=wait_for or None)
        step.future.add_done_callback(lambda _: self._events.put(step))

    def _end(self, step: _Step) -> None:
        """Pass a finished task's result to the branches that wait for it."""
        assert step.future is not None
        future, step.future = step.future, None
        self._running -= 1
        record, fault = None, None
        try:
            record = future.result()
        except Exception as error:  # raised by the task, or because its worker was lost repeatedly
            if not step.resubmitted and not future.state.is_final():
                # the work itself did not fail: the server did not answer a request for a slot, or the worker was lost
                step.resubmitted = True
                self._start(step)
                return
            fault = error
        step.state = future.state
        found = step.found.result()  # verified; Prefect's copy may be older
        name = "Cached" if found else future.state.name or ""
        self._close(step, name, found or record, None if found else fault)

    def _close(self, step: _Step, state: str, record: Record | None = None, fault: Exception | None = None) -> None:
        """End a step: resume the walks that wait for it, and start steps that wait for its place."""
        step.record, step.fault = record, fault
        self._damaged.discard(step.job.key)
        if isinstance(fault, ArtifactError):
            self._damaged.add(step.job.key)
            self._forget(step)
        self._on_step(state, record["seconds"] if record else 0.0)
        waiting, step.waiting = step.waiting, []
        for branch in waiting:
            self._reply(step, branch)
        # only now, so that steps that already wait come before this step's successors
        self._training -= step.training
        step.training = False
        while self._queued and self._training < self._places:
            self._start(self._queued.popleft())

    def _forget(self, step: _Step) -> None:
        """Forget a step and all steps before it: a file that it needs was damaged, so they must be looked up again."""
        if self._steps.get(step.job.key) is step:
            del self._steps[step.job.key]
            for before in step.after:
                self._forget(before)

    def _reply(self, step: _Step, branch: _Branch) -> None:
        branch.last = (step,)
        if step.fault is not None:
            self._advance(branch, failed=StepFailed(step.job, step.fault))
        else:
            self._advance(branch, step.record)
