from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from mkgan_core.machine.batching import Batcher


def test_concurrent_calls_are_solved_together() -> None:
    sizes = []

    def solve(problems: Sequence[int]) -> list[int]:
        sizes.append(len(problems))
        time.sleep(0.05)
        return [p * p for p in problems]

    batcher = Batcher(solve, limit=4, wait_s=0.2)
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(batcher, range(10))) == [p * p for p in range(10)]
    assert sum(sizes) == 10
    assert max(sizes) == 4
    assert batcher(7) == 49  # and alone, afterwards


def test_the_faults_of_a_batch_reach_its_callers_only() -> None:
    def solve(problems: Sequence[int]) -> list[int]:
        if 3 in problems:
            raise ValueError("no three")
        return list(problems)

    batcher = Batcher(solve, limit=1, wait_s=0.01)
    with ThreadPoolExecutor(4) as pool:
        futures = {p: pool.submit(batcher, p) for p in range(6)}
        assert [f.result() for p, f in futures.items() if p != 3] == [0, 1, 2, 4, 5]
        with pytest.raises(ValueError, match="no three"):
            futures[3].result()


def test_after_an_interruption_the_next_call_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the caller waits for others; they fail with it."""
    batcher = Batcher(lambda problems: list(problems), limit=2, wait_s=0.2)
    waits = time.sleep

    def interrupted(_: float) -> None:
        monkeypatch.setattr(time, "sleep", waits)
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        batcher(1)
    assert batcher(2) == 2


def test_a_batch_that_does_not_fit_is_halved() -> None:
    solved = []

    def solve(problems: Sequence[int]) -> list[int]:
        if len(problems) > 2:
            raise RuntimeError("CUDA out of memory")
        solved.append(len(problems))
        return list(problems)

    batcher = Batcher(solve, limit=8, wait_s=0.3)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(batcher, range(8))) == list(range(8))
    assert max(solved) == 2


def test_what_did_not_fit_is_let_go_before_its_halves_are_tried() -> None:
    """Memory for four, as a GPU has it: what a failed batch holds is lost to its halves while its exception lives."""
    held: list[int] = []
    sizes: list[int] = []

    class Memory:
        def __init__(self, amount: int) -> None:
            self.amount = amount
            held.append(amount)

        def __del__(self) -> None:
            held.remove(self.amount)

    def solve(problems: Sequence[int]) -> list[int]:
        sizes.append(len(problems))
        memory = Memory(len(problems))
        if sum(held) > 4:
            raise RuntimeError("CUDA out of memory")
        return [p * memory.amount for p in problems]

    batcher = Batcher(solve, limit=8, wait_s=0.3)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(batcher, range(8))) == [4 * p for p in range(8)]
    assert sizes == [8, 4, 4]
