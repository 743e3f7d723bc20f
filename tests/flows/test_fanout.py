"""How the flow drives walks: what is shared, what waits, and what becomes of tasks that got lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Completed, Pending, State

from flows import fanout
from flows.fanout import Fanout
from mkgan_core.errors import ArtifactError
from mkgan_core.machine import progress
from mkgan_core.pipeline.walk import StepFailed, Walk, one_step


@dataclass
class Future:
    """A task's future that ends when the test says so; at once, if it is given its end."""

    state: State | None = None
    error: Exception | None = None
    calls: list[Callable[[Any], None]] = field(default_factory=list)

    def end(self, state: State) -> None:
        self.state = state
        for call in self.calls:
            call(self)

    def result(self) -> dict[str, Any]:
        if self.error:
            raise self.error
        return {"seconds": 1.0}

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        self.calls.append(call)
        if self.state:
            call(self)


@dataclass
class Tasks:
    """Stands for all tasks: hands out prepared futures, or finished ones."""

    futures: list[Future] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    waited: dict[str, Any] = field(default_factory=dict)

    def submit(self, job: Any, wait_for: Any) -> Future:
        self.started.append(job.key)
        self.waited[job.key] = wait_for
        return self.futures.pop(0) if self.futures else Future(Completed())


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> Tasks:
    found = Tasks()
    monkeypatch.setattr(fanout, "task_for", lambda job, done: found)
    monkeypatch.setattr(fanout, "find", lambda job: DONE if job.key.startswith("done") else None)
    return found


def job(key: str, *, trains: bool = False) -> Any:
    return SimpleNamespace(key=key, trains=trains, label=key)


def steps(*jobs: Any) -> Walk[list[Any]]:
    """One job after the other; returns their records, or why there is none."""
    records = []
    for one in jobs:
        try:
            records.append((yield from one_step(one)))
        except StepFailed as failed:
            records.append(str(failed))
    return records


def side_by_side(before: Any, between: list[Any], after: Any) -> Walk[list[Any]]:
    yield before
    results = yield [steps(one) for one in between]
    yield after
    return results


DONE = {"seconds": 1.0}


def test_results_come_in_the_order_of_the_walks(tasks: Tasks) -> None:
    assert Fanout(lambda *_: None, places=1).run([steps(job("a"), job("b")), steps(job("c"))]) == [[DONE, DONE], [DONE]]
    assert tasks.started == ["a", "c", "b"]


def test_a_step_that_walks_share_runs_once(tasks: Tasks) -> None:
    finished: list[tuple[str, float]] = []
    driver = Fanout(lambda *step: finished.append(step), places=9)
    assert driver.run([steps(job("a"), job("b")), steps(job("a"), job("c"))]) == [[DONE, DONE], [DONE, DONE]]
    assert sorted(tasks.started) == ["a", "b", "c"]
    assert driver.submitted == len(finished) == 3
    assert set(finished) == {("Completed", 1.0)}
    assert driver.failed == 0


def test_branches_run_side_by_side_and_draw_edges(tasks: Tasks) -> None:
    (results,) = Fanout(lambda *_: None, places=9).run([side_by_side(job("a"), [job("b"), job("c")], job("d"))])
    assert results == [[DONE], [DONE]]
    assert tasks.started == ["a", "b", "c", "d"]
    assert {key: len(states or ()) for key, states in tasks.waited.items()} == {"a": 0, "b": 1, "c": 1, "d": 2}


def test_a_fault_is_raised_inside_the_walk_and_counted(tasks: Tasks) -> None:
    tasks.futures = [Future(Completed(), ValueError("no\nluck"))]
    driver = Fanout(lambda *_: None, places=1)
    assert driver.run([steps(job("a"), job("b"))]) == [["a: ValueError: no luck", DONE]]
    assert driver.failed == 1


def test_a_step_whose_files_are_damaged_counts_as_failed_until_it_succeeds(tasks: Tasks) -> None:
    damaged = [Future(Completed(), ArtifactError("damaged")) for _ in range(3)]
    tasks.futures = damaged[:2]  # at the first try and at the second
    driver = Fanout(lambda *_: None, places=1)
    driver.run([steps(job("a"), job("a"))])
    assert (driver.failed, driver.submitted) == (1, 1)
    tasks.futures = damaged[2:]  # only at the first
    driver = Fanout(lambda *_: None, places=1)
    driver.run([steps(job("a"), job("a"))])
    assert (driver.failed, driver.submitted) == (0, 1)


def test_trainings_beyond_the_places_wait_here(tasks: Tasks) -> None:
    """In the order in which they came, while steps that are quick or done go past them."""
    open_futures = [Future(), Future()]
    tasks.futures = list(open_futures)
    walks = [steps(job(f"training {n}", trains=True)) for n in range(4)]
    walks += [steps(job("quick")), steps(job("done before", trains=True))]

    seen: list[list[str]] = []

    def look(*_: object) -> None:
        if len(tasks.started) == 4 and not seen:  # both trainings, and what goes past them
            seen.append(list(tasks.started))
            for future in open_futures:
                future.end(Completed())

    assert Fanout(look, places=2).run(walks) == [[DONE]] * 6
    assert seen[0] == ["training 0", "training 1", "quick", "done before"]
    assert tasks.started[4:] == ["training 2", "training 3"]


def lost() -> Future:
    return Future(Pending(), RuntimeError("the server is busy"))


def test_a_task_that_got_lost_is_submitted_once_more(tasks: Tasks) -> None:
    tasks.futures = [lost()]
    driver = Fanout(lambda *_: None, places=1)
    assert driver.run([steps(job("a", trains=True))]) == [[DONE]]
    assert tasks.started == ["a", "a"]
    assert driver.submitted == 1


def test_a_task_that_gets_lost_again_has_failed(tasks: Tasks) -> None:
    tasks.futures = [lost(), lost()]
    driver = Fanout(lambda *_: None, places=1)
    assert driver.run([steps(job("a", trains=True)), steps(job("b", trains=True))]) == [
        ["a: RuntimeError: the server is busy"],
        [DONE],
    ]
    assert tasks.started == ["a", "a", "b"]


def test_results_are_told_as_they_come(tasks: Tasks) -> None:
    first = Future()
    tasks.futures = [first]
    told: list[int] = []

    def tell(records: list[Any]) -> None:
        told.append(len(records))
        if not first.state:
            first.end(Completed())

    Fanout(lambda *_: None, places=9).run([steps(job("a"), job("b")), steps(job("c"))], tell)
    assert told == [1, 2]


def test_a_stopped_run_ends_though_a_step_does_not(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_stopping", threading.Event())
    tasks.futures = [Future()]
    progress.stop()
    with pytest.raises(progress.Stopped):
        Fanout(lambda *_: None, places=9).run([steps(job("a"))])
    monkeypatch.setattr(progress, "_stopping", threading.Event())
    tasks.futures = [Future(), Future(Completed())]
    with pytest.raises(progress.Stopped):
        Fanout(lambda *_: progress.stop(), places=9).run([steps(job("never ends")), steps(job("b"))])
