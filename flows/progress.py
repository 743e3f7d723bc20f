"""How far a run is, for the terminal and for the UI."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

from mkgan_core.pipeline.results import Result

EVERY_S = 5


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Attributes:
        run: its name in the store.
        rows: images × methods × seeds that are finished.
        of: how many there will be.
        steps: tasks that are finished.
        cached: those of them that were finished before.
        left_s: seconds until the end; None while some method has not finished an image.
    """

    run: str
    rows: int
    of: int
    steps: int = 0
    cached: int = 0
    left_s: float | None = None


# a terminal's progress line: called as steps and rows finish
on_progress: ContextVar[Callable[[Standing], None] | None] = ContextVar("on_progress", default=None)


class Forecast:
    """How long the rest takes: as long for each row as those of its method that are finished.

    Args:
        methods: the method of every row.
        clock: the time in seconds.
    """

    def __init__(self, methods: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._start = clock, clock()
        self._waiting: dict[str, int] = defaultdict(int)
        self._costs: dict[str, list[float]] = defaultdict(list)
        self._spent = 0.0
        for method in methods:
            self._waiting[method] += 1

    def spent(self, seconds: float) -> None:
        """A step took so many seconds in this run."""
        self._spent += seconds

    def finished(self, method: str, seconds: float) -> None:
        """A row is finished whose steps took so many seconds, in this run or before."""
        self._waiting[method] -= 1
        self._costs[method].append(seconds)

    @property
    def left_s(self) -> float | None:
        """Seconds until the end; None if nothing tells."""
        waiting = {method: count for method, count in self._waiting.items() if count}
        if not waiting:
            return 0.0
        if not self._spent or not all(self._costs[method] for method in waiting):
            return None
        means = {method: sum(self._costs[method]) / len(self._costs[method]) for method in waiting}
        pace = (self._clock() - self._start) / self._spent  # several steps run at a time
        return pace * sum(count * means[method] for method, count in waiting.items())


class Progress:
    """Counts finished rows and steps, and shows them.

    Args:
        run: the run's name in the store.
        slug: data set and scale, for the artifact's key.
        methods: the method of every row that the run will have.
    """

    def __init__(self, run: str, slug: str, methods: Sequence[str]) -> None:
        self._listener = on_progress.get()
        self._run, self._of = run, len(methods)
        self._rows = self._steps = self._cached = 0
        self._forecast = Forecast(methods)
        self._shown = time.monotonic()
        self._artifact: UUID | None = None
        self._tell()
        with only_shown("progress"):
            made = create_progress_artifact(progress=0.0, key=f"progress-{slug}", description="rows of this run")
            self._artifact = cast("UUID", made)  # a coroutine only in async flows

    def step(self, state: str, seconds: float) -> None:
        """One more step has finished, in a state of this name, after so many seconds in this run or before."""
        self._steps += 1
        if state == "Cached":
            self._cached += 1
        else:
            self._forecast.spent(seconds)
        self._tell()

    def row(self, result: Result) -> None:
        """One more row has finished."""
        self._rows += 1
        self._forecast.finished(result.method.name, result.seconds)
        self._tell()
        if time.monotonic() - self._shown > EVERY_S:  # each update is a call to the server
            self._shown = time.monotonic()
            self._show(self._rows / self._of)

    def close(self) -> None:
        """All rows are done."""
        self._show(1.0)

    def _tell(self) -> None:
        if self._listener:
            counts = (self._rows, self._of, self._steps, self._cached)
            self._listener(Standing(self._run, *counts, self._forecast.left_s))

    def _show(self, share: float) -> None:
        if self._artifact:
            with only_shown("progress"):
                update_progress_artifact(self._artifact, progress=100 * share)


@contextmanager
def only_shown(what: str) -> Iterator[None]:
    """What is only shown never ends a run: whatever goes wrong with it, log a warning."""
    try:
        yield
    except Exception as fault:
        get_run_logger().warning("the %s of this run cannot be shown: %s: %s", what, type(fault).__name__, fault)
