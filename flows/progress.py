"""The progress of a run, for the terminal and the UI."""

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
    """The progress of a run.

    Attributes:
        run: its name in the store.
        rows: finished images × methods × seeds.
        of: all images × methods × seeds.
        steps: finished tasks.
        cached: how many of these came from the cache.
        left_s: seconds left; None while some method has not finished an image.
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
    """Estimates the remaining time: each row takes as long as the mean of its method's finished rows.

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
        """Note the seconds that a step took in this run."""
        self._spent += seconds

    def finished(self, method: str, seconds: float) -> None:
        """Note a finished row, and the seconds that its steps took in this run or earlier."""
        self._waiting[method] -= 1
        self._costs[method].append(seconds)

    @property
    def left_s(self) -> float | None:
        """Seconds left; None while unknown."""
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
        methods: the method of every row of the run.
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
        """Count a finished step, with its state's name and the seconds it took, in this run or earlier."""
        self._steps += 1
        if state == "Cached":
            self._cached += 1
        else:
            self._forecast.spent(seconds)
        self._tell()

    def row(self, result: Result) -> None:
        """Count a finished row."""
        self._rows += 1
        self._forecast.finished(result.method.name, result.seconds)
        self._tell()
        if time.monotonic() - self._shown > EVERY_S:  # each update is a call to the server
            self._shown = time.monotonic()
            self._show(self._rows / self._of)

    def close(self) -> None:
        """Show that all rows are finished."""
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
    """Errors in what is only displayed never end a run: log a warning instead."""
    try:
        yield
    except Exception as fault:
        get_run_logger().warning("cannot show the %s of this run: %s: %s", what, type(fault).__name__, fault)
