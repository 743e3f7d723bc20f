"""How the flow takes what becomes of its tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Completed, Pending, State

from flows import walk
from flows.walk import Fanout


@dataclass
class Future:
    """A finished task's future."""

    state: State
    error: Exception | None = None

    def result(self) -> dict[str, Any]:
        if self.error:
            raise self.error
        return {"seconds": 1.0}

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        call(self)


@dataclass
class Submissions:
    """Stands for a task: hands out one prepared future after the other."""

    futures: list[Future]
    waited: list[Any] = field(default_factory=list)

    def submit(self, job: Any, wait_for: Any) -> Future:
        self.waited.append(wait_for)
        return self.futures.pop(0)


def outcomes(monkeypatch: pytest.MonkeyPatch, *futures: Future) -> list[tuple[Any, Any]]:
    """What a job comes to whose submissions end like this."""
    task, job, found = Submissions(list(futures)), SimpleNamespace(key="k"), []
    monkeypatch.setattr(walk, "task_for", lambda job, done: task)
    monkeypatch.setattr(walk, "is_done", lambda job: False)
    fanout = Fanout(lambda *_: None, places=1)
    fanout.submit(job, lambda record, error: found.append((record, error)))  # type: ignore[arg-type]
    fanout.drain()
    assert not task.futures
    assert fanout.submitted == 1
    return found


LOST = Future(Pending(), RuntimeError("the server is busy"))


def test_a_task_that_got_lost_is_submitted_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcomes(monkeypatch, LOST, Future(Completed())) == [({"seconds": 1.0}, None)]


def test_a_task_that_gets_lost_again_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcomes(monkeypatch, LOST, LOST) == [(None, "RuntimeError: the server is busy")]
