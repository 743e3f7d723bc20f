"""Storage that loses, cuts, alters or slows what it is given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mkgan_core.errors import StorageError
from mkgan_core.machine.storage import Store
from mkgan_core.reports import upkeep
from tests.faults import walks
from tests.faults.faulty_fs import DAMAGES, REPOSITORY, Fault, environment, faulty

MADE = "/artifacts/"  # what steps make; reports are made at the end of each run anyway


def healthy(data: Path, store: Path, undisturbed: walks.Finished) -> None:
    assert walks.attempt(data, str(store)) is None
    assert walks.finished(store) == undisturbed
    assert not upkeep.check(Store(str(store))).damaged


@pytest.mark.parametrize("kind", [*DAMAGES, "delete"])
@pytest.mark.parametrize("rate", [0.15, 1.0])
def test_what_was_written_does_not_stay(
    data: Path, undisturbed: walks.Finished, tmp_path: Path, kind: str, rate: float
) -> None:
    """Written whole, then damaged, and nobody is told. No run takes it for what it was."""
    store = tmp_path / "store"
    with faulty(Fault(kind, rate=rate, name=MADE), seed=3) as plan:
        walks.attempt(data, f"faulty://{store}")
    assert plan.fired[kind]
    healthy(data, store, undisturbed)


def test_half_of_it_arrives(data: Path, undisturbed: walks.Finished, tmp_path: Path) -> None:
    """A short write is noticed on the spot, by its size, and leaves nothing."""
    store = tmp_path / "store"
    with faulty(Fault("short", at=3)) as plan:
        assert walks.attempt(data, f"faulty://{store}")
    assert plan.fired["short"] == 1
    assert not walks.parts(store)
    healthy(data, store, undisturbed)


def test_a_bit_is_flipped_on_the_way(data: Path, undisturbed: walks.Finished, tmp_path: Path) -> None:
    """One artifact in five arrives damaged. It is read again; no result is made of it."""
    store = tmp_path / "store"
    assert walks.attempt(data, str(store)) is None
    fired = 0
    for seed in range(5):
        with faulty(Fault("misread", rate=0.2, name=MADE), seed=seed) as plan:
            walks.attempt(data, f"faulty://{store}")
        fired += plan.fired["misread"]
    assert fired
    healthy(data, store, undisturbed)


@pytest.mark.parametrize("kind", ["error", "timeout", "odd", "memory", "refused"])
@pytest.mark.parametrize("rate", [0.03, 0.3])
def test_calls_fail_at_random(data: Path, undisturbed: walks.Finished, tmp_path: Path, kind: str, rate: float) -> None:
    """Whatever the exception: the run ends in order, and what it leaves is whole."""
    store, fired = tmp_path / "store", 0
    for seed in range(3):
        with faulty(Fault(kind, rate=rate), seed=seed) as plan:
            walks.attempt(data, f"faulty://{store}")
        fired += plan.fired[kind]
    assert fired
    healthy(data, store, undisturbed)


@pytest.mark.parametrize("at", [1, 12, 30])
def test_the_disk_is_full(data: Path, undisturbed: walks.Finished, tmp_path: Path, at: int) -> None:
    store = tmp_path / "store"
    with faulty(Fault("full", at=at, ever=True)) as plan:
        assert walks.attempt(data, f"faulty://{store}")
        with pytest.raises(StorageError):
            Store(f"faulty://{store}").check_writable()
    assert plan.fired["full"]
    assert not walks.parts(store)
    healthy(data, store, undisturbed)


def test_a_slow_store(data: Path, undisturbed: walks.Finished, tmp_path: Path) -> None:
    with faulty(Fault("slow", rate=1.0)) as plan:
        assert walks.attempt(data, f"faulty://{tmp_path}/store") is None
    assert plan.fired["slow"]
    assert walks.finished(tmp_path / "store") == undisturbed


def test_every_file_system_gives_the_same(data: Path, undisturbed: walks.Finished, tmp_path: Path) -> None:
    assert walks.attempt(data, "memory://same") is None
    memory = Store("memory://same")
    memory.fs.get(memory.root, str(tmp_path / "same"), recursive=True)
    assert walks.finished(tmp_path / "same") == undisturbed
    memory.fs.rm(memory.root, recursive=True)


def test_a_child_has_the_plan_of_its_parent(data: Path, undisturbed: walks.Finished, tmp_path: Path) -> None:
    """It ends on the spot at an operation; the next run goes on."""
    store, log = tmp_path / "store", tmp_path / "log"
    script = (
        "import sys, pathlib; from tests.faults.walks import attempt; attempt(pathlib.Path(sys.argv[1]), sys.argv[2])"
    )
    made = subprocess.run(
        [sys.executable, "-c", script, str(data), f"faulty://{store}"],
        env={**os.environ, **environment(Fault("exit", at=20), log=log)},
        cwd=REPOSITORY,
    )
    assert made.returncode == 9
    assert log.read_text().startswith("exit ")
    healthy(data, store, undisturbed)
