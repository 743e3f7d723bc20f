"""Drives many walks at once, every step as a Prefect task.

A step is submitted when what it needs is done, so no worker thread ever waits for another task, and no image waits for
the slowest one. Walks that need the same step share it.
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
STOPPED = "interrupted; finished steps are kept, and a retry goes on with the others"
CHECKS = 8  # steps that are looked for at a time
POLL_S = 0.2  # how often is looked whether the run is to end


@dataclass(eq=False)
class _Step:
    """One job, and the branches of walks that wait for its record.

    Attributes:
        after: steps before it, for the edges in the UI's graph.
        found: being looked for in the store; its result is the record, None where the step is to be done.
        future: of its task, while that runs.
        state: its task's last one. Not the future is kept: a Dask cluster keeps what futures refer to, and computes it
            again where a worker is lost.
        record, fault: how it ended; both None before.
        training: it holds one of the places.
        resubmitted: its task was lost once.
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
    """A walk, or one of those that another runs side by side.

    Attributes:
        done: called with the walk's result.
        last: the steps that the next one comes after.
    """

    walk: Walk[Any]
    done: Callable[[Any], None]
    last: tuple[_Step, ...] = ()


class Fanout:
    """Runs walks in the flow's thread, their steps as tasks.

    Args:
        on_step: called as each step finishes, with the name of its task's state and the seconds that its work took.
        places: for steps that train; more of them wait here, where they keep no thread from steps that are quick.
    """

    def __init__(self, on_step: Callable[[str, float], None], places: int) -> None:
        self._on_step, self._places = on_step, places
        self._steps: dict[str, _Step] = {}
        self._queued: deque[_Step] = deque()
        self._checked: deque[_Step] = deque()  # those that are looked for, in the order of asking
        self._training = self._running = 0
        self._events: queue.SimpleQueue[_Step | None] = queue.SimpleQueue()  # None: one was looked for

    @property
    def submitted(self) -> int:
        """How many steps there are so far, each counted once."""
        return len(self._steps)

    @property
    def records(self) -> list[str]:
        """Names of the records of the steps that are done."""
        return [step.job.record_name for step in self._steps.values() if step.record is not None]

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(step.fault is not None for step in self._steps.values())

    def run(self, walks: Sequence[Walk[T]], on_result: Callable[[T], None] = lambda _: None) -> list[T]:
        """The results of the walks, in their order; returns when all steps have finished.

        Args:
            walks: to run.
            on_result: called with each walk's result as it comes.

        Raises:
            Stopped: if the work was stopped; steps that run then are left to themselves.
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
        """Hand a branch what it waited for, and do what it wants next."""
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
        """Run walks side by side, then go on with their results."""
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
        """Run a job, or share it with the branches that wanted it before."""
        step = self._steps.get(job.key)
        if step and step.ended:
            self._reply(step, branch)
            return
        if step is None:
            # reading and hashing what is there takes a while, and the store may have to be asked again
            found = self._checks.submit(copy_context().run, patiently, lambda: find(job))
            step = self._steps[job.key] = _Step(job, branch.last, found)
            self._checked.append(step)
            found.add_done_callback(lambda _: self._events.put(None))
        step.waiting.append(branch)

    def _take(self, step: _Step) -> None:
        """Start a step that was looked for, or let it wait."""
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
        """Take a finished task's result to whoever waits for it."""
        assert step.future is not None
        future, step.future = step.future, None
        self._running -= 1
        record, fault = None, None
        try:
            record = future.result()
        except Exception as error:  # the task's own, or that of a worker that was lost time and again
            if not step.resubmitted and not future.state.is_final():
                # its work did not fail: the server did not answer when it asked for a slot, or its worker was lost
                step.resubmitted = True
                self._start(step)
                return
            fault = error
        step.state = future.state
        found = step.found.result()  # known to be whole; Prefect's copy of it may be older
        name = "Cached" if found else future.state.name or ""
        self._close(step, name, found or record, None if found else fault)

    def _close(self, step: _Step, state: str, record: Record | None = None, fault: Exception | None = None) -> None:
        """A step has ended: the walks that wait for it go on, and steps that wait for its place start."""
        step.record, step.fault = record, fault
        if isinstance(fault, ArtifactError):
            self._forget(step)
        self._on_step(state, record["seconds"] if record else 0.0)
        waiting, step.waiting = step.waiting, []
        for branch in waiting:
            self._reply(step, branch)
        # only now: what followed on this step queues behind those that wait already
        self._training -= step.training
        step.training = False
        while self._queued and self._training < self._places:
            self._start(self._queued.popleft())

    def _forget(self, step: _Step) -> None:
        """A file that it needs was damaged after its maker was looked for: all before it is to be looked for again."""
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
