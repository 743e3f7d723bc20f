"""Many concurrent calls -> one batched training.

There is still one task per image and region; those that train at the same time are trained together. The first caller
leads: it waits a moment for others, solves all waiting problems in its own thread and distributes the results.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mkgan_core.errors import out_of_memory

P = TypeVar("P")
R = TypeVar("R")


@dataclass
class _Entry(Generic[P, R]):
    problem: P
    done: threading.Event = field(default_factory=threading.Event)
    result: R | None = None
    error: BaseException | None = None


class Batcher(Generic[P, R]):
    """Solves the problems of concurrent callers together.

    Args:
        solve: problems -> results, in order.
        limit: largest number of problems in a batch.
        wait_s: how long a leader waits for other callers.
    """

    def __init__(self, solve: Callable[[Sequence[P]], Sequence[R]], limit: int, wait_s: float) -> None:
        self.solve, self.limit, self.wait_s = solve, limit, wait_s
        self._lock = threading.Lock()
        self._queue: list[_Entry[P, R]] = []
        self._led = False

    def __call__(self, problem: P) -> R:
        """The result for one problem; blocks until its batch is solved, and raises what the batch raised."""
        entry: _Entry[P, R] = _Entry(problem)
        with self._lock:
            self._queue.append(entry)
            leads, self._led = not self._led, True
        if leads:
            self._lead()
        entry.done.wait()
        if entry.error is not None:
            raise entry.error
        return entry.result  # type: ignore[return-value]

    def _lead(self) -> None:
        """Solve batches until no caller waits; the leader's own problem is in the first."""
        batch: list[_Entry[P, R]] = []
        try:
            while True:
                deadline = time.monotonic() + self.wait_s
                while len(self._queue) < self.limit and time.monotonic() < deadline:
                    time.sleep(self.wait_s / 20)
                with self._lock:
                    batch, self._queue = self._queue[: self.limit], self._queue[self.limit :]
                self._solve(batch)
                with self._lock:
                    if not self._queue:
                        self._led = False
                        return
        except BaseException as fault:  # Ctrl-C while waiting; the next caller must be able to lead
            with self._lock:
                left, self._queue, self._led = [*batch, *self._queue], [], False
            for entry in left:
                if not entry.done.is_set():
                    entry.error = fault
                    entry.done.set()
            raise

    def _solve(self, batch: Sequence[_Entry[P, R]]) -> None:
        """Solve a batch; if memory runs out, solve its halves one after the other."""
        results: Sequence[R] | None = None
        try:
            results = self.solve([entry.problem for entry in batch])
        except BaseException as fault:
            if len(batch) == 1 or not out_of_memory(fault):
                for entry in batch:
                    entry.error = fault
                    entry.done.set()
                return
        # not inside the handler, where the exception would keep the batch's memory
        if results is None:
            middle = len(batch) // 2
            self._solve(batch[:middle])
            self._solve(batch[middle:])
            return
        for entry, result in zip(batch, results, strict=True):
            entry.result = result
            entry.done.set()
