"""Every operation of the store fails in its turn (here, every seventh): once, or with all that come after it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mkgan_core.machine.storage import Store
from mkgan_core.reports import upkeep
from tests.faults import walks
from tests.faults.faulty_fs import Fault, faulty

STRIDE = 7


@pytest.fixture(scope="module")
def operations(data: Path, undisturbed: walks.Finished, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many there are in a run in which none fails; it makes what any store's run makes."""
    store = tmp_path_factory.mktemp("count") / "store"
    with faulty() as plan:
        assert walks.attempt(data, f"faulty://{store}") is None
    assert walks.finished(store) == undisturbed
    return plan.operations


def check(store: Path, data: Path, undisturbed: walks.Finished) -> None:
    """What a faulty run left is sound or known not to be; a healthy run makes of it what an undisturbed one does."""
    found = upkeep.check(Store(str(store))) if store.exists() else upkeep.Inventory()
    assert not found.damaged
    assert walks.attempt(data, str(store)) is None
    assert walks.finished(store) == undisturbed
    left = walks.parts(store)
    assert {str(path.relative_to(store)) for path in left} <= set(upkeep.unneeded(Store(str(store)), timedelta(0)))


@pytest.mark.parametrize("start", range(1, STRIDE + 1, 3))
@pytest.mark.parametrize(("ever", "late"), [(False, False), (True, False), (False, True)])
def test_the_nth_operation_fails(
    data: Path, undisturbed: walks.Finished, operations: int, tmp_path: Path, start: int, ever: bool, late: bool
) -> None:
    first = 1 + (start + 2 * ever + 3 * late) % STRIDE
    for at in range(first, operations + 1, 3 * STRIDE):
        store = tmp_path / str(at)
        with faulty(Fault("error", at=at, ever=ever, late=late)) as plan:
            fault = walks.attempt(data, f"faulty://{store}")
        assert plan.fired["error"], at
        assert fault is None or "\n" not in fault, at
        if not ever:  # a write that fails takes its file away; where nothing works any more it cannot
            assert not [path for path in walks.parts(store) if not late], at
        check(store, data, undisturbed)


@pytest.mark.parametrize("seed", range(3))
def test_a_second_fault_while_the_first_is_mended(
    data: Path, undisturbed: walks.Finished, operations: int, tmp_path: Path, seed: int
) -> None:
    store, total = tmp_path / "store", 0
    for depth in range(3):
        with faulty(Fault("error", at=1 + operations * (seed + depth) // 6), Fault("flip", at=2 + seed)) as plan:
            walks.attempt(data, f"faulty://{store}")
        total += plan.fired["error"] + plan.fired["flip"]
    assert total > 1
    assert walks.attempt(data, str(store)) is None
    assert walks.finished(store) == undisturbed
