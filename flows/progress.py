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

from flows.walk import Fanout

EVERY_S = 5

# a terminal's progress line: called with finished steps, cached ones among them, and submitted steps
on_progress: ContextVar[Callable[[int, int, int], None] | None] = ContextVar("on_progress", default=None)


class Progress:
    """Counts finished steps.

    Args:
        slug: data set and scale, for the artifact's key.
    """

    def __init__(self, slug: str) -> None:
        self.listener = on_progress.get()
        self.fanout: Fanout | None = None
        self.done = self.cached = 0
        self.shown = time.monotonic()
        self.artifact: UUID | None = None
        with only_shown("progress"):
            made = create_progress_artifact(progress=0.0, key=f"progress-{slug}", description="steps of this run")
            self.artifact = cast(UUID, made)  # a coroutine only in async flows

    def step(self, state: str, completed: bool) -> None:
        """One more step has finished, in a state of this name."""
        self.done += 1
        self.cached += state == "Cached"
        total = self.fanout.submitted if self.fanout else 1
        if self.listener:
            self.listener(self.done, self.cached, total)
        if time.monotonic() - self.shown > EVERY_S:  # each update is a call to the server
            self.shown = time.monotonic()
            self._show(self.done / total)

    def close(self) -> None:
        """All steps are done."""
        self._show(1.0)

    def _show(self, share: float) -> None:
        if self.artifact:
            with only_shown("progress"):
                update_progress_artifact(self.artifact, progress=100 * share)


@contextmanager
def only_shown(what: str) -> Iterator[None]:
    """What a run only shows must not end it: where the server cannot take it, a line in the log says so."""
    try:
        yield
    except httpx.HTTPError as fault:
        get_run_logger().warning("the server did not take the %s of this run: %s", what, fault)
