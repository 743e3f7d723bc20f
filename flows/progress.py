"""How far a run is, for the terminal and for the UI."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

EVERY_S = 5

# a terminal's progress line: called with finished steps, cached ones among them, and submitted steps
on_progress: ContextVar[Callable[[int, int, int], None] | None] = ContextVar("on_progress", default=None)


class Progress:
    """Counts finished steps, and shows them while the block lasts.

    Args:
        slug: data set and scale, for the artifact's key.
    """

    def __init__(self, slug: str) -> None:
        self.listener = on_progress.get()
        self.done = self.cached = 0
        self.shown = time.monotonic()
        self.artifact: UUID | None = None
        with only_shown("progress"):
            made = create_progress_artifact(progress=0.0, key=f"progress-{slug}", description="steps of this run")
            self.artifact = cast("UUID", made)  # a coroutine only in async flows

    def step(self, state: str, submitted: int) -> None:
        """One more step has finished, in a state of this name; so many are submitted so far."""
        self.done += 1
        self.cached += state == "Cached"
        if self.listener:
            self.listener(self.done, self.cached, submitted)
        if time.monotonic() - self.shown > EVERY_S:  # each update is a call to the server
            self.shown = time.monotonic()
            self._show(self.done / submitted)

    def close(self) -> None:
        """All steps are done."""
        self._show(1.0)

    def _show(self, share: float) -> None:
        if self.artifact:
            with only_shown("progress"):
                update_progress_artifact(self.artifact, progress=100 * share)


@contextmanager
def only_shown(what: str) -> Iterator[None]:
    """Display errors never end a run: if the server rejects an update, log a warning."""
    try:
        yield
    except httpx.HTTPError as fault:
        get_run_logger().warning("the server rejected the %s of this run: %s", what, fault)
